"""The page of components says what their signatures say, and every component is on it."""

import pytest

from components.document import COMPONENTS, README, load_component, render


def test_the_page_is_the_one_that_the_signatures_give() -> None:
    assert README.read_text("utf-8") == render(), "run: python -m components.document"


def test_every_component_file_is_on_the_page() -> None:
    files = {path.stem for path in README.parent.glob("*.py")} - {"__init__", "base", "document"}
    assert files == set(COMPONENTS)


@pytest.mark.parametrize("name", COMPONENTS)
def test_every_input_and_output_is_described(name: str) -> None:
    from docstring_parser import parse

    component = load_component(name)
    spec, text = component.component_spec, parse(component.python_func.__doc__)
    described = {param.arg_name for param in text.params} | ({"Output"} if text.returns else set())
    assert set(spec.inputs) | set(spec.outputs or {}) == described
