"""How large an experiment is. Its seeds are no part of it: a step of one seed is the same whatever others there are."""

import json
from dataclasses import asdict
from typing import Annotated, Any

from pydantic import ConfigDict, Field
from pydantic.dataclasses import dataclass

from covidctnet.yaml_values import check_values

Share = Annotated[float, Field(ge=0.05, le=0.5)]


@dataclass(frozen=True, kw_only=True, config=ConfigDict(extra="forbid"))
class ExperimentOptions:
    """Sizes of an experiment; the paper's ablation has 50 cases a class (Results, Fig. 1).

    Attributes:
        cases: patients a class, beside the denoiser's Controls; 0 for all.
        denoiser_controls: Controls that train the denoiser and do nothing else.
        folds: of the cross-validation.
        validation: share of a class that chooses temperature and threshold.
        test: share of a class that is answered and scored, where there are no folds.
    """

    cases: Annotated[int, Field(ge=0, le=1_000_000)] = 50
    denoiser_controls: Annotated[int, Field(ge=0, le=1_000_000)] = 30
    folds: Annotated[int, Field(ge=3, le=50)] = 5
    validation: Share = 0.15
    test: Share = 0.25

    def to_json(self) -> str:
        """All fields, as a component takes them."""
        return json.dumps(asdict(self), sort_keys=True)


def parse_options(values: dict[str, Any]) -> ExperimentOptions:
    """Check plain values, as the command line or JSON gives them.

    Raises:
        ConfigError: names every field that is unknown or out of range, with its value.
    """
    return check_values(ExperimentOptions, values, "options of the experiment")
