"""What a stage comes to: bounds, evidence, and what counts as one answer."""

from dataclasses import replace
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from covidctnet.rollout.judgement import Figures, Handled, Side, compare, judge, summarise
from covidctnet.rollout.policy import Bounds, Observation

BOUNDS = Bounds(requests=10, error_rate=0.1, p95_seconds=60.0, p95_ratio=2.0, disagreement=0.2, restarts=0)
ASKED = Observation(requests=20, seconds=100.0, patience_seconds=1000.0)
GOOD = Side(requests=20, failures=0, p95_seconds=1.0)
FIGURES = Figures(candidate=GOOD, stable=GOOD, joined=20, differing=0)


def verdict(figures: Figures = FIGURES, *, elapsed: float = 100.0, mirrored: bool = True) -> str:
    return judge(figures, BOUNDS, ASKED, elapsed_seconds=elapsed, mirrored=mirrored).outcome


def candidate(**changes: Any) -> Figures:
    return replace(FIGURES, candidate=replace(GOOD, **changes))


@pytest.mark.parametrize(
    ("figures", "elapsed", "outcome"),
    [
        (FIGURES, 100.0, "go on"),
        (FIGURES, 99.0, "wait"),
        (replace(FIGURES, joined=19), 100.0, "wait"),
        (replace(FIGURES, joined=19), 1000.0, "go back"),
        (candidate(failures=2), 100.0, "go on"),
        (candidate(failures=3), 1.0, "go back"),
        (candidate(requests=40, failures=4), 100.0, "go on"),
        (replace(FIGURES, differing=4), 100.0, "go on"),
        (replace(FIGURES, differing=5), 1.0, "go back"),
        (candidate(p95_seconds=2.0), 100.0, "go on"),
        (candidate(p95_seconds=2.1), 100.0, "go back"),
        (replace(candidate(p95_seconds=61.0), stable=None), 100.0, "go back"),
        (candidate(requests=19, p95_seconds=61.0), 100.0, "go on"),
        (candidate(restarts=1), 1.0, "go back"),
        (candidate(foreign=("b" * 16,)), 1.0, "go back"),
    ],
)
def test_bounds_and_evidence_decide(figures: Figures, elapsed: float, outcome: str) -> None:
    assert verdict(figures, elapsed=elapsed) == outcome


def test_without_a_mirror_the_candidate_s_own_requests_are_the_evidence() -> None:
    alone = replace(FIGURES, joined=0)
    assert verdict(alone, mirrored=False) == "go on"
    assert verdict(alone) == "wait"


SIDES = st.builds(
    Side,
    requests=st.integers(0, 100),
    failures=st.integers(0, 100),
    p95_seconds=st.one_of(st.none(), st.floats(0.0, 200.0)),
    restarts=st.integers(0, 2),
)
SEEN = st.builds(
    Figures, candidate=SIDES, stable=st.one_of(st.none(), SIDES), joined=st.integers(0, 100),
    differing=st.integers(0, 100),
)  # fmt: skip
WORSE = st.sampled_from(["failures", "restarts", "differing"])


@given(SEEN, WORSE, st.integers(1, 50), st.floats(0.0, 2000.0), st.booleans())
def test_what_gets_worse_never_gets_further(
    figures: Figures, what: str, by: int, elapsed: float, mirrored: bool
) -> None:
    if what == "differing":
        worse = replace(figures, differing=figures.differing + by)
    else:
        side = replace(figures.candidate, **{what: getattr(figures.candidate, what) + by})
        worse = replace(figures, candidate=side)
    if verdict(figures, elapsed=elapsed, mirrored=mirrored) == "go back":
        assert verdict(worse, elapsed=elapsed, mirrored=mirrored) == "go back"
    if verdict(worse, elapsed=elapsed, mirrored=mirrored) == "go on":
        assert verdict(figures, elapsed=elapsed, mirrored=mirrored) == "go on"


@given(st.integers(0, 60), st.integers(0, 60))
def test_a_stage_that_goes_back_early_would_have_gone_back_in_the_end(failures: int, successes: int) -> None:
    """However many of the requests to come go well, up to what is asked for."""
    early = candidate(requests=failures + successes, failures=failures)
    if verdict(early, elapsed=1.0, mirrored=False) == "go back":
        rest = max(0, ASKED.requests - early.candidate.requests)
        late = candidate(requests=early.candidate.requests + rest, failures=failures)
        assert verdict(late, mirrored=False) == "go back"


YES, NO = (("Covid-19", True),), (("Covid-19", False),)


@pytest.mark.parametrize(
    ("one", "other", "joined", "differing"),
    [
        (Handled(status=200, seconds=1.0, answers=YES), Handled(status=200, seconds=9.0, answers=YES), 1, 0),
        (Handled(status=200, seconds=1.0, answers=YES), Handled(status=200, seconds=1.0, answers=NO), 1, 1),
        (Handled(status=200, seconds=1.0, answers=YES), Handled(status=422, seconds=1.0), 1, 1),
        (Handled(status=422, seconds=1.0), Handled(status=422, seconds=1.0), 1, 0),
        (Handled(status=422, seconds=1.0), Handled(status=400, seconds=1.0), 1, 1),
        (Handled(status=200, seconds=1.0, answers=YES), Handled(status=503, seconds=1.0), 0, 0),
        (Handled(status=200, seconds=1.0, answers=YES), Handled(status=429, seconds=1.0), 0, 0),
        (Handled(status=200, seconds=1.0, answers=YES), Handled(status=499, seconds=1.0), 0, 0),
        (Handled(status=200, seconds=1.0), Handled(status=200, seconds=1.0), 0, 0),
    ],
)
def test_answers_are_compared_where_both_pairs_told_one(
    one: Handled, other: Handled, joined: int, differing: int
) -> None:
    assert compare({"r": one, "only here": one}, {"r": other}) == (joined, differing)
    assert compare({"r": other}, {"r": one, "only there": one}) == (joined, differing)


def test_a_side_counts_what_the_server_did_and_not_what_the_client_did() -> None:
    handled = {
        str(number): Handled(status=status, seconds=float(number), answers=YES, pair_ids=frozenset({"p"}))
        for number, status in enumerate([200] * 19 + [499, 500, 429, 422])
    }
    side = summarise("p", handled, 3)
    assert (side.requests, side.failures, side.restarts, side.foreign) == (22, 2, 3, ())
    assert side.p95_seconds == 18.0
    assert summarise("q", handled, 0).foreign == ("p",)
    assert summarise("p", {}, 0) == Side(requests=0, failures=0, p95_seconds=None)
