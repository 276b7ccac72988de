"""What one model answered on a hold-out: the gate's only evidence, case by case."""

import json
import math
import os
from dataclasses import asdict
from pathlib import Path
from typing import Annotated, Any, Literal, TypeVar

from pydantic import Field, TypeAdapter, ValidationError
from pydantic.dataclasses import dataclass

from covidctnet.errors import PromotionError
from covidctnet.labels import LABELS
from covidctnet.promotion.policy import STRICT

_T = TypeVar("_T")
_SUM_TOLERANCE = 1e-3

Probability = Annotated[float, Field(ge=-_SUM_TOLERANCE, le=1.0 + _SUM_TOLERANCE)]
Sex = Literal["F", "M", "O", ""]
AgeBand = Annotated[str, Field(pattern=r"^([0-9]{1,3}-[0-9]{1,3}|[0-9]{1,3}\+)?$")]


@dataclass(frozen=True, kw_only=True, config=STRICT)
class CaseResult:
    """The answer for one hold-out case; pseudonyms only.

    Attributes:
        case, patient, site: pseudonyms.
        label: class index, as in `covidctnet.labels`.
        brand: the scanner's manufacturer, empty where unknown.
        sex: F, M, O, or empty where unknown.
        age_band: as `45-64` or `65+`, empty where unknown.
        probabilities: by class index; None where the reader refused the study.
        covid_positive: the binary read-out at the model's own threshold; None where no class is answered.

    Raises:
        PromotionError: the probabilities do not add up to 1, or a refused study has a read-out.
    """

    case: str
    patient: str
    label: Annotated[int, Field(ge=0, lt=len(LABELS))]
    brand: str
    site: str
    sex: Sex = ""
    age_band: AgeBand = ""
    probabilities: tuple[Probability, Probability, Probability] | None
    covid_positive: bool | None

    def __post_init__(self) -> None:
        if self.probabilities is None:
            if self.covid_positive is not None:
                raise PromotionError(f"case {self.case} has a read-out but no probabilities")
        elif not math.isclose(sum(self.probabilities), 1.0, abs_tol=_SUM_TOLERANCE):
            raise PromotionError(
                f"case {self.case}: probabilities must add up to 1, not to {sum(self.probabilities):.6g}"
            )

    @property
    def description(self) -> tuple[str, str, int, str, str, str, str]:
        """All that does not depend on the model."""
        return self.case, self.patient, self.label, self.brand, self.site, self.sex, self.age_band


@dataclass(frozen=True, kw_only=True, config=STRICT)
class Validation:
    """Verdict of the data validation over what the model was trained on."""

    passed: bool
    failures: tuple[str, ...] = ()


@dataclass(frozen=True, kw_only=True, config=STRICT)
class ModelReport:
    """One model on one hold-out version.

    Attributes:
        format: of this document.
        pair_id, data_version, code_version: of the bundle.
        intact: whether the bundle agreed with its manifest before and after, and signed every answer.
        holdout_version: hash of the cases, labels and images that were answered.
        holdout_uses: evaluations of this hold-out version so far, this one among them.
        holdout_candidates: different candidates that it has judged, this one among them.
        validation: of the training data; None where no verdict was handed over.
        metadata_auc: macro AUC of scanner metadata alone on the hold-out; None where it was not measured.
        trained_on: `bundle.patient_key` of each patient that shaped the model; empty where not recorded.
        cases: in the order of their names.

    Raises:
        PromotionError: a case is there twice.
    """

    format: Literal[1] = 1
    pair_id: str
    data_version: str
    code_version: str
    intact: bool
    holdout_version: str
    holdout_uses: Annotated[int, Field(ge=1)]
    holdout_candidates: Annotated[int, Field(ge=1)]
    validation: Validation | None
    metadata_auc: Annotated[float, Field(ge=0.0, le=1.0)] | None
    trained_on: tuple[str, ...]
    cases: tuple[CaseResult, ...]

    def __post_init__(self) -> None:
        names = [case.case for case in self.cases]
        if len(set(names)) < len(names):
            raise PromotionError(f"{len(names) - len(set(names))} cases appear twice in the report of {self.pair_id}")


def save_report(report: ModelReport, path: Path) -> None:
    """Write a report at once."""
    write_text(path, json.dumps(asdict(report), indent=2))


def load_report(path: Path) -> ModelReport:
    """Read a report.

    Raises:
        PromotionError: it is missing, damaged, or holds a value out of range.
    """
    return parse_document(ModelReport, read_object(path), "report")


def read_object(path: Path) -> dict[str, Any]:
    """The JSON object in a file.

    Raises:
        PromotionError: there is none.
    """
    try:
        values = json.loads(path.read_text("utf-8"))
    except OSError:
        raise PromotionError(f"{path.name} is missing or cannot be read; run `covidctnet model compare`") from None
    except ValueError:
        raise PromotionError(f"{path.name} is no JSON document; run `covidctnet model compare` again") from None
    if not isinstance(values, dict):
        raise PromotionError(f"{path.name} must hold a JSON object, not {type(values).__name__}")
    return values


def parse_document(kind: type[_T], values: Any, what: str) -> _T:
    """Check plain values against a dataclass.

    Raises:
        PromotionError: names every field that is unknown, missing or out of range.
    """
    try:
        return TypeAdapter(kind).validate_python(values)
    except ValidationError as error:
        lines = [f"{'.'.join(map(str, item['loc']))}: {item['msg']}" for item in error.errors()[:5]]
        raise PromotionError(f"{what} refused: " + "; ".join(lines)) from None


def write_text(path: Path, text: str) -> None:
    """Write a text file beside its place and rename it."""
    path.parent.mkdir(parents=True, exist_ok=True)
    partial = path.with_name(path.name + ".partial")
    partial.write_text(text, "utf-8")
    os.replace(partial, path)
