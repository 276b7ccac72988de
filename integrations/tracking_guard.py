"""No patient identity in MLflow: what a record may be named, what it may hold, and which files may go.

A guard of last resort: nothing in the product sends such a thing. It knows names and forms, not people, so it
does not replace de-identification.
"""

import csv
import json
import re
from collections.abc import Mapping
from pathlib import Path
from typing import Any

from covidctnet.errors import PrivateRecordError

_WORDS = frozenset(
    {"patient", "pseudonym", "pseudonyms", "mrn", "accession", "birth", "birthdate", "birthday", "dob", "ssn",
     "surname", "uid", "uids", "physician", "referring", "operator", "phone", "telephone", "email"}
)  # fmt: skip
_COMPACT = re.compile(
    "patient(?:s?names?|ids?|s?birth|s?address|comments)|birthdate|accessionnumber|instanceuid|firstname|lastname|"
    "fullname|medicalrecord|insurance"
)
_COUNTED = frozenset({"patients"})
"""Words that may name a number of people, and never a list of them."""

_UID = re.compile(r"(?<![\d.])[012](?:\.(?:0|[1-9]\d*)){5,}(?![\d.])")
_PERSON_NAME = re.compile(r"[^\W\d_]{2,}\^[^\W\d_]+")
_EMAIL = re.compile(r"[\w.+-]+@[\w-]+(?:\.[\w-]+)+")
_SHORTEST_UID = 16
_IMAGES = frozenset({".dcm", ".zip", ".nii", ".gz", ".nrrd", ".mha", ".npy", ".npz", ".ima", ".parquet", ".pkl"})
_TEXTS = frozenset({".csv", ".json", ".jsonl", ".html", ".txt", ".md", ".yaml", ".yml", ".log", ".xml"})


def check_values(values: Mapping[str, Any]) -> None:
    """Refuse a parameter, metric or tag that names or holds a patient's identity.

    Raises:
        PrivateRecordError: with the key and never the value.
    """
    for key, value in values.items():
        check_key(key, countable=isinstance(value, int | float))
        reason = _find_identity(str(value))
        if reason:
            raise PrivateRecordError(f"the value of {key!r} looks like {reason}; it does not belong in MLflow")


def check_key(key: str, *, countable: bool = False) -> None:
    """Refuse a name that stands for a patient; `countable` allows a number of patients.

    Raises:
        PrivateRecordError: the name, with what to do.
    """
    words = set(re.findall(r"[a-z]+", re.sub(r"(?<=[a-z])(?=[A-Z])", " ", key).lower()))
    compact = re.sub(r"[^a-z]", "", key.lower())
    if words & _WORDS or _COMPACT.search(compact) or (words & _COUNTED and not countable):
        raise PrivateRecordError(
            f"{key!r} names a patient or a study, which does not belong in MLflow, not even as a pseudonym; "
            "log a count or a hash of the data version"
        )


def check_file(path: Path) -> None:
    """Refuse an image, a table of patients, or a text that holds an identity.

    Raises:
        PrivateRecordError: with the reason and the kind of file, never its content or name.
    """
    suffix = path.suffix.lower()
    with path.open("rb") as file:
        head = file.read(132)
    if suffix in _IMAGES or head[128:] == b"DICM" or head[:2] == b"PK":
        raise PrivateRecordError(f"a file of type {suffix or 'DICOM'} may hold a patient's images; log figures instead")
    if suffix not in _TEXTS:
        return
    text = path.read_text("utf-8", "replace")
    reason = _find_identity(text)
    if reason:
        raise PrivateRecordError(f"a {suffix} file holds what looks like {reason}; it does not belong in MLflow")
    if suffix == ".csv":
        for column in next(csv.reader(text.splitlines()), []):
            check_key(column)
    if suffix == ".json":
        _check_json(text)


def _check_json(text: str) -> None:
    try:
        pending: list[Any] = [json.loads(text)]
    except ValueError:
        return
    while pending:
        value = pending.pop()
        if isinstance(value, dict):
            for key, held in value.items():
                check_key(str(key), countable=isinstance(held, int | float | dict))
            pending.extend(value.values())
        elif isinstance(value, list):
            pending.extend(value)


def _find_identity(text: str) -> str | None:
    if any(len(match.group()) >= _SHORTEST_UID for match in _UID.finditer(text)):
        return "a DICOM UID"
    if _PERSON_NAME.search(text):
        return "a DICOM person name"
    if _EMAIL.search(text):
        return "a mail address"
    return None
