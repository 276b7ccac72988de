"""Wire formats: each codec turns a received body into study files on disk, and an answer into its protocol's form."""

from collections.abc import Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any


@dataclass(frozen=True, kw_only=True)
class Decoded:
    """What a request brought.

    Attributes:
        studies: a zip, a DICOM file or a folder of them, one a study.
        options: what the protocol says of the answer's form.
    """

    studies: tuple[Path, ...]
    options: Mapping[str, Any] = field(default_factory=dict)
