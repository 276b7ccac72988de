import pytest
from matplotlib.colors import to_hex

from covidctnet.evaluation.bootstrap import Estimate
from covidctnet.report.forest import ForestRow, forest_figure
from covidctnet.report.style import CLASS_COLOURS


def test_a_forest_plot_draws_intervals_and_says_what_is_missing() -> None:
    rows = [
        ForestRow(name="all", estimate=Estimate(value=0.8, low=0.6, high=0.9, method="exact"), main=True),
        ForestRow(name="Siemens", estimate=Estimate(value=0.5)),
        ForestRow(name="GE", estimate=Estimate(value=None)),
    ]
    figure = forest_figure({"Accuracy": rows, "AUC": rows}, reference=0.5)
    first, second = figure.axes
    assert [label.get_text() for label in first.get_yticklabels()] == ["all", "Siemens", "GE"]
    assert [label.get_text() for label in second.get_yticklabels()] == [""] * 3
    bars = [line for line in first.lines if line.get_xdata() == pytest.approx([0.6, 0.9])]
    assert [to_hex(bar.get_color()) for bar in bars] == [CLASS_COLOURS[0]]
    assert "not computable" in [text.get_text() for text in first.texts]
    assert first.get_ylim()[0] > first.get_ylim()[1]
