"""Age bands and sex for phantoms, drawn without regard to their class: what they seem to add is chance."""

import csv
import hashlib
import io
import os
from collections.abc import Sequence
from pathlib import Path

_BANDS = ("18-34", "35-44", "45-54", "55-64", "65-74", "75+")
_UNKNOWN_IN = 10
"""One patient in so many has neither age nor sex."""


def write_demographics(path: Path, patients: Sequence[str], seed: int) -> None:
    """Write `patient, sex, age_band` of each patient; the same seed and pseudonyms give the same bytes."""
    text = io.StringIO()
    writer = csv.writer(text, lineterminator="\n")
    writer.writerow(("patient", "sex", "age_band"))
    for patient in sorted(set(patients)):
        drawn = hashlib.sha256(f"demographics/{seed}/{patient}".encode()).digest()
        known = drawn[0] % _UNKNOWN_IN > 0
        writer.writerow((patient, "FM"[drawn[1] % 2], _BANDS[drawn[2] % len(_BANDS)]) if known else (patient, "", ""))
    partial = path.with_name(f"{path.name}.partial")
    partial.write_text(text.getvalue(), "utf-8")
    os.replace(partial, path)
