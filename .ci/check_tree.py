"""Refuse tracked files that do not belong in the repository: data, large files, foreign addresses, home paths.

Two test files of one name are refused as well: pytest takes the second for the first.
"""

import re
import subprocess
import sys
from collections import Counter
from pathlib import Path

MOST_BYTES = 1_000_000
DATA = {".dcm", ".zip", ".nii", ".gz", ".nrrd", ".mha", ".keras", ".npy"}
# Written in two parts, so that this file does not hold what it looks for.
FOREIGN = [
    re.compile(pattern)
    for pattern in ("files\\.python" + "hosted", "index-" + "url =", "/ho" + "me/[a-z]", "/ro" + "ot/")
]


def problems_of(path: Path) -> list[str]:
    """What is wrong with one tracked file."""
    if not path.is_file():
        return []
    found = []
    if path.suffix in DATA:
        found.append(f"{path}: data does not belong in the repository")
    if path.stat().st_size > MOST_BYTES:
        found.append(f"{path}: {path.stat().st_size} bytes, more than {MOST_BYTES}")
    text = path.read_bytes().decode("utf-8", "ignore")
    found += [f"{path}: holds {pattern.pattern!r}" for pattern in FOREIGN if pattern.search(text)]
    return found


def shared_names(tracked: list[str]) -> list[str]:
    """Names that more than one test file has."""
    names = Counter(Path(name).name for name in tracked if re.search(r"(^|/)test_[^/]*\.py$", name))
    return [f"{name}: {count} test files have this name" for name, count in names.items() if count > 1]


def main() -> int:
    """Check every tracked file; the number of problems is the exit code's sign."""
    tracked = subprocess.run(["git", "ls-files", "-z"], capture_output=True, check=True, text=True).stdout
    names = [name for name in tracked.split("\0") if name]
    problems = [*shared_names(names), *(problem for name in names for problem in problems_of(Path(name)))]
    sys.stdout.write("\n".join([*problems, f"{len(problems)} problems"]) + "\n")
    return 1 if problems else 0


if __name__ == "__main__":
    sys.exit(main())
