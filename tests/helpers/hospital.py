"""Exports of made-up hospitals: small series whose class a small network learns in a minute."""

import csv
from pathlib import Path
from typing import Any

import numpy as np

from covidctnet.labels import LABELS
from tests.helpers.series import crude_chest, make_files

SLICES, MATRIX = 14, 64
_LEFT, _RIGHT = (slice(20, 40), slice(12, 28)), (slice(20, 40), slice(36, 52))


def write_export(
    folder: Path, site: str, *, manufacturer: str, model: str, patients_per_class: int, shuffled: bool = False
) -> Path:
    """Series as they come from a scanner, with names and identifiers, and `labels.csv` beside.

    Args:
        folder: receives `series/` and `labels.csv`.
        site: part of the patients' identifiers, and source of what varies.
        manufacturer: of the scanner.
        model: of the scanner.
        patients_per_class: one series each.
        shuffled: every patient gets another class's label in the table.
    """
    rng = np.random.default_rng([ord(letter) for letter in site])
    rows = []
    for number in range(patients_per_class * len(LABELS)):
        label = number % len(LABELS)
        name = f"{site}-{number:03d}"
        for place, data in enumerate(draw_series(rng, label, name, manufacturer=manufacturer, model=model)):
            path = folder / "series" / name / f"{place:03d}.dcm"
            path.parent.mkdir(parents=True, exist_ok=True)
            path.write_bytes(data)
        told = (label + 1) % len(LABELS) if shuffled else label
        rows.append({"patient": name, "label": LABELS[told]})
    with (folder / "labels.csv").open("w", newline="", encoding="utf-8") as file:
        writer = csv.DictWriter(file, ("patient", "label"))
        writer.writeheader()
        writer.writerows(rows)
    return folder


def draw_series(rng: np.random.Generator, label: int, name: str, *, manufacturer: str, model: str) -> list[bytes]:
    """A patient's series as the scanner sends it, with a name in it."""

    def edit(image: Any, index: int) -> None:
        image.Manufacturer, image.ManufacturerModelName = manufacturer, model
        image.PatientID, image.PatientName, image.BodyPartExamined = name, f"Doe^{name}", "CHEST"

    return make_files(draw_chest(rng, label), edit=edit, series=name)


def draw_chest(rng: np.random.Generator, label: int) -> np.ndarray:
    """HU, axes (z, y, x): no lesion, patches in both lungs (Covid-19), or one side filled (CAP)."""
    hu = crude_chest(SLICES, MATRIX).astype(np.float64)
    hu += rng.normal(0.0, 15.0, hu.shape) + rng.normal(0.0, 8.0)
    lungs = slice(3, SLICES - 3)
    if LABELS[label] == "Covid-19":
        for side in (_LEFT, _RIGHT):
            rows, columns = side
            low, left = rows.start + rng.integers(0, 8), columns.start + rng.integers(0, 5)
            hu[lungs, low : low + 10, left : left + 9] = rng.normal(-450.0, 60.0)
    elif LABELS[label] == "CAP":
        rows, columns = (_LEFT, _RIGHT)[rng.integers(0, 2)]
        hu[lungs, rows.start + 2 : rows.stop - 2, columns.start + 2 : columns.stop - 2] = rng.normal(-60.0, 30.0)
    return np.clip(np.round(hu), -1020, 3000).astype(np.int16)
