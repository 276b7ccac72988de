"""Two pairs that nobody could take for each other, what each says offline, and a load whose every answer is checked."""

import itertools
import json
import shutil
import threading
import time
from collections import Counter
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import grpc
import httpx
import numpy as np
from kserve.protocol.grpc import grpc_predict_v2_pb2 as pb
from kserve.protocol.grpc import grpc_predict_v2_pb2_grpc

from covidctnet.bundle import Bundle, write_bundle
from covidctnet.predictor import Predictor
from covidctnet.reading import read_volume
from covidctnet.volume import Volume
from tests.helpers.bundles import untrained_bundle
from tests.helpers.series import crude_chest, make_files, zip_of
from tests.helpers.serving import ZIP

VISIBLE = 1e-4
"""A hundred times what two computations of one answer may differ by."""


@dataclass(frozen=True, kw_only=True)
class TwoPairs:
    """Two bundles, studies, and every offline answer.

    Attributes:
        studies: zips.
        bundles: by `pair_id`.
        oracles: answers by `pair_id`, one a study.
    """

    studies: list[bytes]
    bundles: dict[str, Bundle] = field(default_factory=dict)
    oracles: dict[str, list[dict[str, Any]]] = field(default_factory=dict)
    _predictors: list[Predictor] = field(default_factory=list)

    @property
    def ids(self) -> list[str]:
        """Both `pair_id`s."""
        return list(self.bundles)

    def add(self, folder: Path) -> str:
        """Ask a bundle offline for every study; gives its `pair_id`."""
        predictor = Predictor.load(folder)
        pair_id = predictor.bundle.pair_id
        self.bundles[pair_id] = predictor.bundle
        self.oracles[pair_id] = [json.loads(predictor.predict(one).to_json()) for one in self._volumes(predictor)]
        self._predictors.append(predictor)
        return pair_id

    def require_apart(self) -> None:
        """No denoiser of one with the classifier of the other says what a pair says, for any study."""
        for volume in self._volumes(self._predictors[0]):
            said = [
                json.loads(
                    Predictor(one.bundle, denoiser=one._denoiser, classify=other._classify).predict(volume).to_json()
                )
                for one in self._predictors
                for other in self._predictors
            ]
            assert all(_distance(one, other) > VISIBLE for one, other in itertools.combinations(said, 2)), said

    def _volumes(self, predictor: Predictor) -> list[Volume]:
        return [read_volume(study, predictor.bundle.config.reader) for study in self.studies]


def make_two_pairs(folder: Path) -> TwoPairs:
    """Networks of other seeds."""
    pairs = TwoPairs(studies=[_study(number) for number in range(3)])
    for name, seed in (("a", 1), ("b", 2)):
        pairs.add(untrained_bundle(folder / name, seed=seed).folder)
    pairs.require_apart()
    return pairs


def _study(number: int) -> bytes:
    hu = crude_chest(20 + 2 * number).astype(np.int16)
    hu[4:-4, 26:36, 14:26] += np.int16(250 * number)
    return zip_of(make_files(hu, series=str(number)))


def _distance(one: Any, other: Any) -> float:
    """The largest difference of any number in two answers."""
    if isinstance(one, dict):
        return max((_distance(value, other[name]) for name, value in one.items()), default=0.0)
    if isinstance(one, list):
        return max((_distance(*values) for values in zip(one, other, strict=False)), default=0.0)
    return abs(one - other) if isinstance(one, float) and isinstance(other, float) else 0.0


@dataclass
class Load:
    """What clients sent and got.

    Attributes:
        answers: study and document of each request that was answered.
        failures: what happened to the others, in words.
        stopped: set where no further request is to be sent.
        pause: between two requests of a client, s.
        threads: of the clients.
    """

    answers: list[tuple[int, dict[str, Any]]] = field(default_factory=list)
    failures: list[str] = field(default_factory=list)
    stopped: threading.Event = field(default_factory=threading.Event)
    pause: float = 0.0
    threads: list[threading.Thread] = field(default_factory=list)

    def end(self) -> None:
        """Let the clients take the answers that are under way, and stop."""
        self.stopped.set()
        for thread in self.threads:
            thread.join()

    def counts(self) -> Counter[str]:
        """Answers by `pair_id`."""
        return Counter(answer["pair_id"] for _, answer in list(self.answers))

    def wait_for(self, pair_id: str, more: int = 5, seconds: float = 180.0) -> None:
        """Wait until a pair has given some more answers."""
        goal, end = self.counts()[pair_id] + more, time.monotonic() + seconds
        while self.counts()[pair_id] < goal:
            assert time.monotonic() < end, f"{pair_id} did not answer: {self.counts()}, {self.failures[:3]}"
            time.sleep(0.1)

    def check(self, pairs: TwoPairs) -> None:
        """No request of the whole load failed, and each answer is its own pair's, to the last number."""
        from tests.serving.test_parity import assert_same

        self.end()
        assert self.failures == []
        for study, answer in self.answers:
            assert_same(answer, pairs.oracles[answer["pair_id"]][study])


@contextmanager
def load_on(http: str, pairs: TwoPairs, *, grpc_address: str = "", clients: int = 2) -> Iterator[Load]:
    """Clients that post one study after the other: over kept connections, over new ones, and over gRPC."""
    load = Load()
    load.threads = [threading.Thread(target=_post, args=(load, http, pairs, number)) for number in range(clients)]
    if grpc_address:
        load.threads.append(threading.Thread(target=_infer, args=(load, grpc_address, pairs)))
    for thread in load.threads:
        thread.start()
    try:
        yield load
    finally:
        load.end()


def _post(load: Load, http: str, pairs: TwoPairs, client: int) -> None:
    keeps = client % 2 == 0
    with httpx.Client(timeout=120) as kept:
        count = client
        while not load.stopped.is_set():
            study = count % len(pairs.studies)
            post = kept.post if keeps else httpx.post
            try:
                response = post(f"{http}/v1/studies", content=pairs.studies[study], headers=ZIP, timeout=120)
                if response.status_code == httpx.codes.OK:
                    load.answers.append((study, response.json()))
                else:
                    load.failures.append(f"{response.status_code} {response.text}")
            except httpx.HTTPError as error:
                load.failures.append(repr(error))
            count += 1
            load.stopped.wait(load.pause)


def _infer(load: Load, address: str, pairs: TwoPairs) -> None:
    with grpc.insecure_channel(address) as channel:
        stub = grpc_predict_v2_pb2_grpc.GRPCInferenceServiceStub(channel)
        count = 0
        while not load.stopped.is_set():
            study = count % len(pairs.studies)
            request = pb.ModelInferRequest(model_name="covidctnet", raw_input_contents=[_framed(pairs.studies[study])])
            request.inputs.add(name="study", datatype="BYTES", shape=[1])
            try:
                response = stub.ModelInfer(request, timeout=120)
                load.answers.append((study, json.loads(response.raw_output_contents[0][4:])))
            except grpc.RpcError as error:
                load.failures.append(f"gRPC {error.code()} {error.details()}")
            count += 1
            load.stopped.wait(load.pause)


def _framed(data: bytes) -> bytes:
    return len(data).to_bytes(4, "little") + data


def break_classifier(bundle: Bundle, folder: Path) -> Bundle:
    """An intact bundle whose classifier is no network: nothing shows it before it is loaded."""
    networks = folder.with_name(f"{folder.name}-networks")
    shutil.copytree(bundle.folder, networks)
    for name in ("manifest.json", "metrics.json"):
        (networks / name).unlink(missing_ok=True)
    (networks / "classifier" / "saved_model.pb").write_bytes(b"no graph")
    return write_bundle(
        folder,
        networks=networks,
        config=bundle.config,
        calibration=bundle.calibration,
        reference=bundle.reference,
        data_version=bundle.data_version,
        code_version=bundle.code_version,
    )
