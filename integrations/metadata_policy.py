"""The policy of the metadata validation: which expectation fails, quarantines or warns, and its thresholds."""

from dataclasses import field
from importlib import resources
from pathlib import Path
from typing import Annotated, Any, Literal

from pydantic import ConfigDict, Field, model_validator
from pydantic.dataclasses import dataclass

from covidctnet.errors import ConfigError
from covidctnet.labels import LABELS
from covidctnet.splits import SPLITS
from covidctnet.yaml_values import check_values, parse_mapping

_STRICT = ConfigDict(extra="forbid")

Consequence = Literal["fail", "quarantine", "warn"]


@dataclass(frozen=True, kw_only=True, config=_STRICT)
class Check:
    """One expectation and what follows where it is not met.

    Attributes:
        check: what is expected, in words.
        then: fail, quarantine or warn.
        expect: name of the expectation, without "expect_".
        arguments: of the expectation.
    """

    check: str
    then: Consequence
    expect: str
    arguments: dict[str, Any]


@dataclass(frozen=True, kw_only=True, config=_STRICT)
class Scanners:
    """Names of brands, and of models with their brand before them."""

    brands: tuple[str, ...] = ()
    models: tuple[str, ...] = ()


@dataclass(frozen=True, kw_only=True, config=_STRICT)
class MetadataClassifier:
    """Cross-validation of the classifier that sees metadata alone."""

    folds: Annotated[int, Field(ge=2, le=50)] = 5
    seed: Annotated[int, Field(ge=0, lt=2**31)] = 0


@dataclass(frozen=True, kw_only=True, config=_STRICT)
class Policy:
    """Checks of each table: one row a case, one row for the whole cohort, one row a patient in the ledger."""

    known: Scanners
    declared_new: Scanners = field(default_factory=Scanners)
    metadata_classifier: MetadataClassifier = field(default_factory=MetadataClassifier)
    cases: tuple[Check, ...] = ()
    cohort: tuple[Check, ...] = ()
    splits: tuple[Check, ...] = ()

    @model_validator(mode="after")
    def _only_cases_are_quarantined(self) -> "Policy":
        for check in (*self.cohort, *self.splits):
            if check.then == "quarantine":
                raise ValueError(f"{check.check!r} is about the whole cohort: it can fail or warn, not quarantine")
        return self

    @property
    def value_sets(self) -> dict[str, list[str]]:
        """The lists that a check may name."""
        return {
            "brands": [*self.known.brands, *self.declared_new.brands],
            "models": [*self.known.models, *self.declared_new.models],
            "labels": list(LABELS),
            "splits": list(SPLITS),
        }


def load_policy(path: Path | None = None) -> Policy:
    """Read a policy file; the shipped one when None.

    Raises:
        ConfigError: the file is missing, no YAML, or a field is refused.
    """
    if path is None:
        text = (resources.files("integrations") / "metadata_policy.yaml").read_text("utf-8")
    elif path.is_file():
        text = path.read_text("utf-8")
    else:
        raise ConfigError("there is no such policy file; leave it out to use the shipped one")
    values = parse_mapping(text, "the policy")
    return check_values(Policy, _with_arguments(values), "policy")


def _with_arguments(values: dict[str, Any]) -> dict[str, Any]:
    """Everything of a check but its three own fields is an argument of the expectation."""
    own = ("check", "then", "expect")
    shaped = dict(values)
    for table in ("cases", "cohort", "splits"):
        rows = values.get(table) or []
        if isinstance(rows, list) and all(isinstance(row, dict) for row in rows):
            shaped[table] = [
                {
                    **{name: row[name] for name in own if name in row},
                    "arguments": {name: value for name, value in row.items() if name not in own},
                }
                for row in rows
            ]
    return shaped
