"""The three tables that the metadata validation looks at."""

from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np

from covidctnet.errors import CohortError
from covidctnet.evaluation.baselines import CaseDescription
from covidctnet.evaluation.confounding import cramers_v, metadata_auc
from covidctnet.labels import CONTROL, LABELS, label_index
from covidctnet.volume import Scanner
from integrations.metadata_policy import MetadataClassifier

if TYPE_CHECKING:
    import pandas as pd

_TEXT = ("case", "patient", "site", "label", "brand", "model", "scanner", "kernel", "body_part", "warnings", "refused")


def read_cases(path: Path, columns: tuple[str, ...]) -> "pd.DataFrame":
    """One row a case; an empty cell is a missing value.

    Raises:
        CohortError: the table has other columns, or no rows.
    """
    import pandas as pd

    table = pd.read_csv(path, dtype=dict.fromkeys(_TEXT, "object"), keep_default_na=False, na_values=[""])
    if tuple(table.columns) != columns:
        raise CohortError(f"the metadata table must have the columns {', '.join(columns)}, not {list(table.columns)}")
    if table.empty:
        raise CohortError("the metadata table has no rows: the cohort is empty")
    return table


def read_splits(path: Path, cases: "pd.DataFrame") -> "pd.DataFrame":
    """One row a patient of the ledger, with what the policy asks beside it as "yes" or "no"."""
    import pandas as pd

    table = pd.read_csv(path, dtype="object", keep_default_na=False, na_values=[""])
    for column in ("patient", "split", "label"):
        if column not in table.columns:
            raise CohortError(f"the ledger must have a column {column}, not {list(table.columns)}")
    labels = dict(zip(cases["patient"], cases["label"], strict=True))
    now = [labels.get(patient, label) for patient, label in zip(table["patient"], table["label"], strict=True)]
    table["denoiser_without_control"] = _yes_or_no((table["split"] == "denoiser") & (np.array(now) != LABELS[CONTROL]))
    table["label_differs"] = _yes_or_no(table["label"] != np.array(now))
    return table


def _yes_or_no(condition: "pd.Series[bool]") -> Any:
    return np.where(condition, "yes", "no")


def summarise_cohort(cases: "pd.DataFrame", total: int, classifier: MetadataClassifier) -> "pd.DataFrame":
    """One row: counts, balance and how far class goes with scanner, site and kernel.

    Args:
        cases: those that are left.
        total: how many there were before.
        classifier: folds and seed of the classifier that sees metadata alone.
    """
    import pandas as pd

    patients = cases.drop_duplicates("patient")
    counts = [int((patients["label"] == label).sum()) for label in LABELS]
    scanners = cases["scanner"].value_counts()
    row: dict[str, Any] = {
        "cases": len(cases),
        "patients": len(patients),
        "sites": cases["site"].nunique(),
        "scanners": len(scanners),
        **{f"patients_{label}": count for label, count in zip(LABELS, counts, strict=True)},
        "smallest_class_patients": min(counts),
        "class_balance": min(counts) / max(1, *counts),
        "largest_scanner_share": float(scanners.iloc[0]) / len(cases) if len(scanners) else 1.0,
        "quarantined_share": 1.0 - len(cases) / total,
        **{
            f"{column}_v": cramers_v(list(patients["label"]), list(patients[column].fillna("")))
            for column in ("scanner", "site", "kernel")
        },
        "metadata_auc": metadata_auc(_descriptions(cases), folds=classifier.folds, seed=classifier.seed),
    }
    numbers = {name: np.nan if value is None else float(value) for name, value in row.items()}
    return pd.DataFrame([numbers])


def _descriptions(cases: "pd.DataFrame") -> list[CaseDescription]:
    records = cases.to_dict("records")
    return [
        CaseDescription(
            case=row["case"],
            patient=row["patient"],
            label=label_index(row["label"]),
            scanner=Scanner(
                manufacturer=row["brand"] or "",
                model=row["model"] or "",
                kernel=row["kernel"] or "",
                slice_thickness_mm=row["slice_thickness_mm"],
                kvp=row["kvp"],
            ),
            spacing_mm=(row["spacing_z_mm"], row["spacing_y_mm"], row["spacing_x_mm"]),
            shape=(row["slices"], row["rows"], row["columns"]),
            mean_lung_hu=float("nan"),
        )
        for row in ({name: _none_if_missing(value) for name, value in record.items()} for record in records)
    ]


def _none_if_missing(value: Any) -> Any:
    return None if isinstance(value, float) and np.isnan(value) else value
