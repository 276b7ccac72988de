"""The licence of every package that gets into an image: `python -m infra.licences` writes requirements/licences.csv.

What the packages say of themselves, in SPDX's words. Where one says nothing, or something that is no identifier, the
licence was read in its distribution and stands in `_READ`. Copyleft needs an entry in requirements/copyleft.yaml.
"""

import csv
import importlib.metadata
import re
import sys
from pathlib import Path
from typing import Any

REQUIREMENTS = Path(__file__).parents[1] / "requirements"
IMAGES = ("pipeline", "train", "train-gpu", "transformer", "serve-gpu", "predictor", "tracking")
"""Lock files of the images, infra/docker/Dockerfile."""

PERMISSIVE = {
    "0BSD", "Apache-2.0", "BSD-2-Clause", "BSD-3-Clause", "CC0-1.0", "HPND", "ISC", "MIT", "MIT-0", "MIT-CMU",
    "PSF-2.0", "Unlicense", "Zlib", "ZPL-2.1",
}  # fmt: skip

_WORDS = {
    "apache": "Apache-2.0", "apache 2": "Apache-2.0", "apache 2.0": "Apache-2.0", "apache license": "Apache-2.0",
    "apache license 2.0": "Apache-2.0", "apache license version 2.0": "Apache-2.0",
    "apache license, version 2.0": "Apache-2.0", "apache software license": "Apache-2.0",
    "apache software license 2.0": "Apache-2.0", "https://www.apache.org/licenses/license-2.0": "Apache-2.0",
    "osi approved :: apache software license": "Apache-2.0", "mit license": "MIT", "the mit license (mit)": "MIT",
    "expat license": "MIT", "bsd": "BSD-3-Clause", "bsd license": "BSD-3-Clause", "new bsd": "BSD-3-Clause",
    "bsd 3-clause": "BSD-3-Clause", "3-clause bsd license": "BSD-3-Clause", "bsd 3-clause license": "BSD-3-Clause",
    "new bsd license": "BSD-3-Clause", "modified bsd license": "BSD-3-Clause", "isc license": "ISC",
    "isc license (iscl)": "ISC", "python software foundation license": "PSF-2.0", "zope public license": "ZPL-2.1",
    "mozilla public license 2.0 (mpl 2.0)": "MPL-2.0", "the unlicense (unlicense)": "Unlicense",
}  # fmt: skip

_READ = {
    # Said with a name that is no identifier, or not at all.
    "grandalf": "GPL-2.0-only OR EPL-1.0",
    "huey": "MIT",
    "matplotlib": "PSF-2.0",
    "namex": "Apache-2.0",
    "psycopg2-binary": "LGPL-3.0-or-later",
    "pygit2": "GPL-2.0-only WITH GCC-exception-2.0",
    "skops": "MIT",
    "python-dateutil": "Apache-2.0 OR BSD-3-Clause",
}
_NVIDIA = "LicenseRef-NVIDIA-proprietary"
_PIN = re.compile(r"^([a-z0-9][a-z0-9._-]*)(?:\[[^]]*\])?==([^ ;\\]+)", re.MULTILINE)


class LicenceError(ValueError):
    """A package's licence is unknown; read it in its distribution and name it here."""


def locked(role: str) -> dict[str, str]:
    """Versions by package of a role's lock file."""
    return dict(_PIN.findall((REQUIREMENTS / f"{role}.lock").read_text("utf-8")))


def licence_of(package: str) -> str:
    """SPDX expression of an installed package.

    Raises:
        LicenceError: it says nothing that is known.
    """
    if package in _READ:
        return _READ[package]
    if package.startswith("nvidia-"):
        return _NVIDIA
    described: Any = importlib.metadata.metadata(package)
    expression = described.get("License-Expression")
    if expression:
        return str(expression)
    said = [line.strip() for line in (described.get("License") or "").strip().splitlines()[:1]]
    said += [
        line.rpartition(" :: ")[2] for line in described.get_all("Classifier") or [] if line.startswith("License ::")
    ]
    for words in said:
        if words in PERMISSIVE or identifiers(words) <= PERMISSIVE | {"MPL-2.0", "EPL-2.0", "GPL-2.0-or-later"}:
            return words
        if words.lower() in _WORDS:
            return _WORDS[words.lower()]
    raise LicenceError(f"the licence of {package} is not known: it says {said}")


def identifiers(expression: str) -> set[str]:
    """The licences that an SPDX expression names."""
    return set(re.split(r"\s+(?:AND|OR|WITH)\s+|[()]", expression)) - {""}


def is_permissive(expression: str) -> bool:
    """Whether one may take the package under permissive terms alone; of `A OR B`, one is enough."""
    if "(" in expression:
        return all(is_permissive(part.strip(" ()")) for part in re.split(r"\sAND\s(?![^(]*\))", expression))
    return all(any(choice.strip() in PERMISSIVE for choice in part.split(" OR ")) for part in expression.split(" AND "))


def read_list() -> dict[str, str]:
    """Licences by package, as the list says."""
    with (REQUIREMENTS / "licences.csv").open(encoding="utf-8") as file:
        return {row["package"]: row["licence"] for row in csv.DictReader(file)}


def main() -> int:
    """Write the list anew from what is installed."""
    packages = sorted({package for role in IMAGES for package in locked(role)})
    with (REQUIREMENTS / "licences.csv").open("w", encoding="utf-8", newline="") as file:
        rows = csv.writer(file, lineterminator="\n")
        rows.writerow(("package", "licence"))
        rows.writerows((package, licence_of(package)) for package in packages)
    return 0


if __name__ == "__main__":
    sys.exit(main())
