"""The hours in docs/reproduce.md are those that the command prints."""

from pathlib import Path

from benchmarks.paper_hours import work_of_a_run
from covidctnet.config import load_profile


def test_the_page_has_the_operations_of_the_paper_profile() -> None:
    page = (Path(__file__).parents[2] / "docs" / "reproduce.md").read_text("utf-8")
    parts = work_of_a_run(load_profile("paper"), patients=335, slices=300)
    for part in parts:
        assert f"| {part.name} | {part.flops / 1e15:.2f} | {part.hours(5.0):.2f} |" in page
    # Denoising takes 8.8 GFLOP a slice: docs/performance.md.
    assert round(parts[1].flops / (335 * 300) / 1e9, 1) == 8.8
