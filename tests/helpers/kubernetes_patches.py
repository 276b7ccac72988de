"""What a Kubernetes API does with manifests: merge patches, fields by their paths, labels against a selector."""

import copy
from collections.abc import Iterator
from typing import Any

Manifest = dict[str, Any]


def clean(item: Manifest) -> Manifest:
    """An object without what only the server sets."""
    theirs = {"resourceVersion", "uid", "generation", "managedFields"}
    metadata = {name: value for name, value in item["metadata"].items() if name not in theirs}
    return {**{name: value for name, value in item.items() if name != "status"}, "metadata": metadata}


def stripped(item: Manifest) -> Manifest:
    """An object without its version."""
    metadata = {name: value for name, value in item["metadata"].items() if name != "resourceVersion"}
    return {**item, "metadata": metadata}


def merged(old: Any, patch: Any) -> Any:
    """A merge patch (RFC 7386) applied; neither argument is changed."""
    if not isinstance(patch, dict):
        return copy.deepcopy(patch)
    result = copy.deepcopy(old) if isinstance(old, dict) else {}
    for name, value in patch.items():
        if value is None:
            result.pop(name, None)
        else:
            result[name] = merged(result.get(name), value)
    return result


def leaves(value: Any, path: tuple[str, ...] = ()) -> Iterator[tuple[tuple[str, ...], Any]]:
    """Fields by path that a manager owns; lists are taken as a whole."""
    if isinstance(value, dict) and value:
        for name, one in value.items():
            if (*path, name) not in {("apiVersion",), ("kind",), ("metadata", "name"), ("metadata", "resourceVersion")}:
                yield from leaves(one, (*path, name))
    else:
        yield path, value


def at(item: Any, path: tuple[str, ...]) -> Any:
    """The field at a path, None where there is none."""
    for name in path:
        item = item.get(name) if isinstance(item, dict) else None
    return item


def drop(item: Any, path: tuple[str, ...]) -> None:
    """Remove the field at a path, if it is there."""
    *way, last = path
    for name in way:
        item = item.get(name, {}) if isinstance(item, dict) else {}
    if isinstance(item, dict):
        item.pop(last, None)


def fits(item: Manifest, selector: str) -> bool:
    """Whether an object has the labels of a selector."""
    labels = item["metadata"].get("labels", {})
    for term in filter(None, selector.split(",")):
        name, unlike, value = term.partition("!=")
        if unlike:
            if labels.get(name) == value:
                return False
            continue
        name, equal, value = term.partition("=")
        if name not in labels or (equal and labels[name] != value):
            return False
    return True
