"""Several predictors behind one name: each is asked in turn, and only those of the transformer's pair answer."""

from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

import pytest

from tests.helpers.serving import (
    Process,
    is_ready,
    lay_out_version,
    post,
    start_predictor,
    start_transformer,
    wait_for,
)
from tests.serving.conftest import Known
from tests.serving.test_parity import assert_same


@pytest.fixture
def second(served_bundle: Path, tmp_path: Path) -> Iterator[Process]:
    """Another predictor of the same pair, which the test may end."""
    process = start_predictor(lay_out_version(tmp_path / "second", served_bundle), tmp_path / "second.log")
    yield process
    process.stop()


@pytest.fixture
def other(other_bundle: Path, tmp_path: Path) -> Iterator[Process]:
    """A predictor of another pair."""
    process = start_predictor(lay_out_version(tmp_path / "other", other_bundle), tmp_path / "other.log")
    yield process
    process.stop()


def behind_one_name(*predictors: Process) -> str:
    """As a headless service's name resolves: to the address of every pod."""
    return "ipv4:" + ",".join(one.grpc for one in predictors)


def test_during_a_roll_out_studies_find_the_predictor_of_their_pair(
    served_bundle: Path, predictor: Process, other: Process, studies: list[Known], tmp_path: Path
) -> None:
    transformer = start_transformer(served_bundle, behind_one_name(other, predictor), tmp_path / "log")
    try:
        wait_for(lambda: is_ready(transformer))
        with ThreadPoolExecutor(2) as pool:
            answers = list(pool.map(lambda study: post(transformer, study.data), studies * 3))
        for answer, study in zip(answers, studies * 3, strict=True):
            assert answer.status_code == 200, answer.text
            assert_same(answer.json(), study.answer)
        # Half of the calls came to the other one, and none of its answers was taken.
        assert any(line["event"] == "predictor call failed" for line in transformer.logs())
        other.stop()
        assert_same(post(transformer, studies[0].data).json(), studies[0].answer)
    finally:
        transformer.stop()


def test_one_of_several_predictors_may_go(
    served_bundle: Path, predictor: Process, second: Process, studies: list[Known], tmp_path: Path
) -> None:
    transformer = start_transformer(served_bundle, behind_one_name(second, predictor), tmp_path / "log")
    try:
        wait_for(lambda: is_ready(transformer))
        second.stop()
        for study in studies:
            assert_same(post(transformer, study.data).json(), study.answer)
        assert is_ready(transformer)
    finally:
        transformer.stop()
