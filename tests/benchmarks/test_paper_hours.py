"""The hours in docs/reproduce.md are those that the command prints."""

from pathlib import Path

import pytest

from benchmarks.paper_hours import NETWORKS, Costs, experiments, table, training_run
from covidctnet.config import load_profile
from covidctnet.experiments.results import EXPERIMENTS


def test_the_page_has_the_tables_of_the_paper_profile() -> None:
    page = (Path(__file__).parents[2] / "docs" / "reproduce.md").read_text("utf-8")
    config = load_profile("paper")
    costs = Costs.of(config)
    # docs/performance.md: 8.8 GFLOP a slice.
    assert costs.slice == pytest.approx(8.8e9, rel=0.01)
    run = training_run(config, costs, patients=335, slices=300)
    rows = [
        *table("part of one training run", run, 5.0),
        *table("experiment", experiments(config, costs, slices=300), 5.0),
    ]
    missing = [row for row in rows if row not in page]
    assert not missing
    assert set(NETWORKS) == set(EXPERIMENTS) - {"readers", "localisation"}
