"""More than 500 malformed or hostile requests: a refusal below 500, or the offline answer where the study is valid."""

import json
import random
import struct
import time
from collections import Counter
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
from typing import Any

import httpx
import psutil
import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from covidctnet.errors import StudyError
from covidctnet.predictor import Predictor
from covidctnet.reading import read_volume
from tests.helpers.hostile import Body, hostile_bodies
from tests.helpers.serving import Process, post
from tests.serving.conftest import Known
from tests.serving.test_parity import assert_same

pytestmark = pytest.mark.slow

SLOWEST_SECONDS = 60.0
GROWTH_BYTES = 100_000_000
PARTS = 4


class Oracle:
    """What the Predictor says offline, in this process."""

    def __init__(self, bundle: Path) -> None:
        self._predictor = Predictor.load(bundle)

    def check(self, response: httpx.Response, body: bytes) -> None:
        """A 200 must be the offline answer."""
        try:
            volume = read_volume(body, self._predictor.bundle.config.reader)
        except StudyError as error:
            raise AssertionError(f"answered what the reader refuses: {error}") from error
        assert_same(response.json(), json.loads(self._predictor.predict(volume).to_json()))


@pytest.fixture(scope="module")
def oracle(served_bundle: Path) -> Oracle:
    return Oracle(served_bundle)


def send(server: Process, name: str, kind: str, body: bytes) -> httpx.Response:
    began = time.monotonic()
    for _ in range(100):
        headers = {"content-type": kind.encode("latin-1")}
        response = httpx.post(f"{server.http}/v1/studies", content=body, headers=headers, timeout=SLOWEST_SECONDS)
        if response.status_code != 429:
            break
        time.sleep(0.2)
    assert time.monotonic() - began < SLOWEST_SECONDS, name
    assert response.status_code == 200 or 400 <= response.status_code < 500, f"{name}: {response.text}"
    if response.status_code != 200:
        refused = response.json()
        assert set(refused) == {"code", "message", "detail", "request_id"}, name
        assert "Traceback" not in response.text
        assert not any(word in refused["detail"] for word in ("/tmp", "/root", "site-packages", ".py")), name
    return response


def test_hostile_studies_are_refused_and_good_ones_answered_after(
    server: Process, studies: list[Known], oracle: Oracle
) -> None:
    bodies: list[Body] = hostile_bodies(studies[0].data, studies[0].files)
    assert len(bodies) >= 500
    assert len({name for name, _, _ in bodies}) == len(bodies)
    process = psutil.Process(server.popen.pid)
    random.Random(3).shuffle(bodies)
    statuses: Counter[int] = Counter()
    seen: list[int] = []
    with ThreadPoolExecutor(4) as pool:
        for part in (bodies[number::PARTS] for number in range(PARTS)):
            responses = list(pool.map(lambda body: send(server, *body), part))
            seen.append(process.memory_info().rss)
            statuses.update(response.status_code for response in responses)
            for response, (_, _, body) in zip(responses, part, strict=True):
                if response.status_code == 200:
                    oracle.check(response, body)
    assert {200, 400, 413, 415, 422} <= set(statuses), statuses
    # The first half fills the pools of the libraries.
    growth = [(size - seen[0]) // 1_000_000 for size in seen]
    assert seen[-1] - seen[PARTS // 2 - 1] < GROWTH_BYTES, f"memory grew by so many MB: {growth}"
    for study in studies:
        assert_same(post(server, study.data).json(), study.answer)
    unexpected = [line for line in server.logs() if line["event"] == "unexpected error"]
    assert unexpected == []


PLACES = st.floats(0.0, 1.0, exclude_max=True)


@given(
    edits=st.lists(st.tuples(PLACES, st.binary(min_size=1, max_size=8)), max_size=4),
    moved=st.none() | st.tuples(PLACES, PLACES, st.integers(1, 4000)),
    kept=st.just(1.0) | PLACES,
)
@settings(max_examples=60, deadline=None, derandomize=True, suppress_health_check=list(HealthCheck))
def test_any_damage_to_a_good_study_is_refused_or_changes_nothing_else(
    server: Process,
    studies: list[Known],
    oracle: Oracle,
    edits: list[tuple[float, bytes]],
    moved: tuple[float, float, int] | None,
    kept: float,
) -> None:
    body = bytearray(studies[1].data)
    for share, data in edits:
        place = int(share * len(body))
        body[place : place + len(data)] = data
    if moved is not None:
        source, target = (int(share * len(body)) for share in moved[:2])
        body[target : target + moved[2]] = body[source : source + moved[2]]
    damaged = bytes(body[: int(kept * len(body))])
    response = send(server, "damage", "application/zip", damaged)
    if response.status_code == 200:
        oracle.check(response, damaged)


VALUES = st.recursive(
    st.none() | st.booleans() | st.integers() | st.floats(allow_nan=False) | st.text(max_size=20),
    lambda inner: st.lists(inner, max_size=4) | st.dictionaries(st.text(max_size=10), inner, max_size=4),
    max_leaves=12,
)
V2_FIELDS = st.fixed_dictionaries(
    {},
    optional={
        "name": st.just("study") | VALUES,
        "datatype": st.just("BYTES") | VALUES,
        "shape": st.lists(st.integers(-2, 2**40), max_size=4) | VALUES,
        "data": VALUES,
        "parameters": st.fixed_dictionaries({}, optional={"binary_data_size": st.integers(-5, 2**70)}) | VALUES,
    },
)


@given(body=st.fixed_dictionaries({"instances": st.lists(VALUES, max_size=3) | VALUES}) | VALUES)
@settings(max_examples=120, deadline=None, derandomize=True, suppress_health_check=list(HealthCheck))
def test_any_json_to_v1_is_refused_below_500(server: Process, body: Any) -> None:
    content = json.dumps(body)
    url = f"{server.http}/v1/models/covidctnet:predict"
    response = httpx.post(url, content=content, headers={"content-type": "application/json"}, timeout=30)
    assert 400 <= response.status_code < 500, response.text


@given(
    inputs=st.lists(V2_FIELDS | VALUES, max_size=2),
    more=st.dictionaries(st.sampled_from(["id", "parameters", "outputs"]), VALUES),
    tail=st.binary(max_size=40),
    shift=st.integers(-3, 3),
    binary=st.booleans(),
)
@settings(max_examples=120, deadline=None, derandomize=True, suppress_health_check=list(HealthCheck))
def test_any_v2_request_is_refused_below_500(
    server: Process, inputs: list[Any], more: dict[str, Any], tail: bytes, shift: int, binary: bool
) -> None:
    content = json.dumps({"inputs": inputs, **more}).encode()
    headers = {"content-type": "application/json"}
    if binary:
        headers["inference-header-content-length"] = str(len(content) + shift)
        content += struct.pack("<I", len(tail)) + tail
    url = f"{server.http}/v2/models/covidctnet/infer"
    response = httpx.post(url, content=content, headers=headers, timeout=30)
    assert 400 <= response.status_code < 500, response.text
