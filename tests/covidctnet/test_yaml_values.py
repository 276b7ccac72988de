from typing import Annotated

import pytest
from pydantic import ConfigDict, Field
from pydantic.dataclasses import dataclass

from covidctnet.errors import ConfigError
from covidctnet.yaml_values import check_values, parse_mapping


@dataclass(frozen=True, kw_only=True, config=ConfigDict(extra="forbid"))
class Limits:
    files: Annotated[int, Field(ge=1)]
    seconds: float = 2.0


def test_a_mapping_becomes_a_checked_dataclass() -> None:
    assert check_values(Limits, parse_mapping("files: 3", "the file"), "limits") == Limits(files=3, seconds=2.0)
    assert parse_mapping("# nothing yet\n", "the file") == {}


@pytest.mark.parametrize(
    ("text", "says"),
    [
        ("files: 3\nseconds: [", "^the file is not YAML in line 2: expected the node content"),
        ("\x00", "^the file is not YAML"),
        ("- 1", "^the file must hold a mapping, not list$"),
        ("3", "^the file must hold a mapping, not int$"),
    ],
)
def test_a_text_that_is_no_mapping_is_refused(text: str, says: str) -> None:
    with pytest.raises(ConfigError, match=says):
        parse_mapping(text, "the file")


def test_every_wrong_field_is_named_with_its_value() -> None:
    with pytest.raises(ConfigError, match=r"^limits refused: files: .*, not 0; second: .*, not 1$"):
        check_values(Limits, {"files": 0, "second": 1}, "limits")
