"""Files and folders that are complete or absent: written beside their place and renamed."""

import json
import os
import shutil
from pathlib import Path
from typing import Any


def write_json(path: Path, value: Any) -> None:
    """Write a JSON document at once."""
    partial = path.with_name(path.name + ".partial")
    partial.write_text(json.dumps(value, indent=2), "utf-8")
    os.replace(partial, path)


def read_json(path: Path) -> Any:
    """Read a JSON document."""
    return json.loads(path.read_text("utf-8"))


def link_tree(source: Path, target: Path) -> None:
    """Make a folder's files appear in another, which must not exist: without copying where the disk allows it.

    The files share their content, so neither may be changed in place afterwards.
    """
    shutil.copytree(source, target, copy_function=_link_or_copy)


def publish(source: Path, target: Path) -> None:
    """Put a linked copy of a file or folder in place; what was there before stays until the new one is whole."""
    partial = target.with_name(f".{target.name}.partial")
    _remove(partial)
    target.parent.mkdir(parents=True, exist_ok=True)
    if source.is_dir():
        link_tree(source, partial)
        old = target.with_name(f".{target.name}.old")
        _remove(old)
        if target.exists():
            os.replace(target, old)
        os.replace(partial, target)
        _remove(old)
    else:
        _link_or_copy(str(source), str(partial))
        os.replace(partial, target)


def _link_or_copy(source: str, target: str) -> str:
    try:
        os.link(source, target)
    except OSError:
        shutil.copy2(source, target)
    return target


def _remove(path: Path) -> None:
    if path.is_dir():
        shutil.rmtree(path)
    else:
        path.unlink(missing_ok=True)
