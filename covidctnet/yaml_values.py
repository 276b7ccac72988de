"""Values of YAML files as checked dataclasses, with one way to say what is wrong."""

from typing import Any, TypeVar

import yaml
from pydantic import TypeAdapter, ValidationError

from covidctnet.errors import ConfigError

_T = TypeVar("_T")


def parse_mapping(text: str, what: str) -> dict[str, Any]:
    """The mapping that a YAML text holds; none where it holds nothing.

    Args:
        text: the file's content.
        what: the file is, for messages, for instance "profile 'demo'".

    Raises:
        ConfigError: it is not YAML, or holds something else.
    """
    try:
        values = yaml.safe_load(text)
    except yaml.YAMLError as error:
        mark = getattr(error, "problem_mark", None)
        place = "" if mark is None else f" in line {mark.line + 1}"
        problem = getattr(error, "problem", None) or "cannot be parsed"
        raise ConfigError(f"{what} is not YAML{place}: {problem}") from None
    if values is None:
        return {}
    if not isinstance(values, dict):
        raise ConfigError(f"{what} must hold a mapping, not {type(values).__name__}")
    return values


def check_values(kind: type[_T], values: Any, what: str) -> _T:
    """Plain values, as YAML or JSON gives them, as a dataclass.

    Args:
        kind: a dataclass of pydantic.
        values: by field.
        what: the values are, for messages, for instance "configuration".

    Raises:
        ConfigError: names every field that is unknown, missing or out of range, with its value.
    """
    try:
        return TypeAdapter(kind).validate_python(values)
    except ValidationError as error:
        lines = [f"{'.'.join(map(str, item['loc']))}: {item['msg']}, not {item['input']!r}" for item in error.errors()]
        raise ConfigError(f"{what} refused: " + "; ".join(lines)) from None
