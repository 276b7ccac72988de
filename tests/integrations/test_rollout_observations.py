"""Logs of the transformers, read piece by piece, as requests and their answers."""

import json
from typing import Any

from covidctnet.rollout.judgement import Handled
from integrations.rollout.observations import Journal

SINCE = 1_800_000_000.0
IN, BEFORE = "2027-01-15T08:00:01.250Z", "2027-01-15T07:59:59.000Z"


def line(event: str, request: str, *, time: str = IN, **fields: Any) -> str:
    return json.dumps({"time": time, "event": event, "request_id": request, **fields})


def answer(request: str, label: str, *, pair: str = "p") -> str:
    return line("answer", request, label=label, covid_positive=label == "Covid-19", pair_id=pair)


def ended(request: str, *, status: Any = 200, time: str = IN) -> str:
    return line("request", request, time=time, status=status, seconds=1.5, protocol="plain")


def test_requests_are_joined_with_their_answers_and_other_lines_are_passed_over() -> None:
    journal = Journal(SINCE)
    journal.add(
        [
            "Traceback (most recent call last):", "[1]", "", json.dumps({"event": "request"}),
            answer("a", "Control"), answer("a", "Covid-19"), ended("a"),
            ended("b", status=422), ended("early", time=BEFORE), ended("grpc", status="OK"), answer("open", "CAP"),
        ]
    )  # fmt: skip
    assert journal.handled() == {
        "a": Handled(
            status=200, seconds=1.5, answers=(("Control", False), ("Covid-19", True)), pair_ids=frozenset({"p"})
        ),
        "b": Handled(status=422, seconds=1.5),
    }


def test_pieces_that_overlap_count_once_and_one_that_is_cut_between_is_made_whole() -> None:
    lines = [answer("a", "Control"), answer("a", "Control"), ended("a"), answer("b", "CAP", pair="q"), ended("b")]
    whole = Journal(SINCE)
    whole.add(lines)
    for cut in range(len(lines) + 1):
        for overlap in range(cut + 1):
            pieces = Journal(SINCE)
            pieces.add(lines[:cut])
            pieces.add(lines[cut - overlap :])
            # Only a cut in the answers of one request, without any overlap, could lose one; they are logged at once.
            if (cut, overlap) != (1, 0):
                assert pieces.handled() == whole.handled(), (cut, overlap)
