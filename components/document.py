"""Write `components/README.md` from the components' signatures: `python -m components.document`."""

import importlib
import sys
from pathlib import Path
from typing import Any

COMPONENTS = (
    "fetch_dataset",
    "assign_splits",
    "validate_scanner_metadata",
    "preprocess",
    "gather_shards",
    "train_denoiser",
    "extract_residuals",
    "train_classifier",
    "evaluate",
    "register",
    "gate",
    "select_cases",
    "adopt_denoiser",
    "stack_slices",
    "join_shards",
    "list_folds",
    "train_fold",
    "train_patches",
    "localise",
    "conclude",
    "compare_readers",
)
"""All components, in the order of the data flow, those of experiments behind; each is a module of its name."""

README = Path(__file__).with_name("README.md")

_HEAD = """# Components

One file a component, one call in each. Every component but `gather_shards` and `join_shards` also takes
`data_version`, `config`, `code_version` and `tracking`; the first three are what the cache sees of data, settings
and code. Those from `select_cases` on are of experiments.
This page is made from the signatures by `python -m components.document`.
"""
_SHARED = {"data_version", "config", "code_version", "tracking"}


def load_component(name: str) -> Any:
    """A component by its name."""
    return getattr(importlib.import_module(f"components.{name}"), name)


def render() -> str:
    """The page."""
    return "\n".join([_HEAD, *(_section(name) for name in COMPONENTS)])


def _section(name: str) -> str:
    from docstring_parser import parse

    component = load_component(name)
    spec, text = component.component_spec, parse(component.python_func.__doc__ or "")
    words = {param.arg_name: param.description for param in text.params}
    words["Output"] = text.returns.description if text.returns else ""
    inputs = [("in", key, value) for key, value in (spec.inputs or {}).items() if key not in _SHARED]
    outputs = [("out", key, value) for key, value in (spec.outputs or {}).items()]
    rows = [_row(way, key, value, words.get(key) or "") for way, key, value in (*inputs, *outputs)]
    about = " ".join((text.short_description or "").split())
    return "\n".join([f"## {name}", "", about, "", "| | name | type | |", "|---|---|---|---|", *rows, ""])


def _row(way: str, name: str, value: Any, words: str) -> str:
    kind = str(value.type).removeprefix("system.").split("@")[0]
    many = " of each shard" if getattr(value, "is_artifact_list", False) else ""
    shown = "returned" if name == "Output" else f"`{name}`"
    return f"| {way} | {shown} | {kind}{many} | {' '.join(words.split())} |"


if __name__ == "__main__":
    sys.stdout.write(f"{README.write_text(render(), 'utf-8')} characters\n")
