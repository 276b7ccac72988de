import pytest

from covidctnet.evaluation.tables import format_p, format_value


@pytest.mark.parametrize(
    ("value", "text"),
    [(0.04712, "0.047"), (1.0, "1.000"), (0.001, "0.001"), (2e-5, "below 0.001"), (0.0, "below 0.001")],
)
def test_a_p_value_is_never_shown_as_zero(value: float, text: str) -> None:
    assert format_p(value) == text


def test_a_p_value_that_is_not_there_is_said_to_be_missing() -> None:
    assert format_p(None) == format_value(None)
