import json
import os
import socket
import subprocess
import sys
from pathlib import Path

import numpy as np
import pytest

from covidctnet.errors import ConfigError
from covidctnet.training.workers import count_workers, describe_workers, is_chief, join_workers

ROOT = Path(__file__).parents[3]


def test_a_worker_is_told_of_all_and_of_itself() -> None:
    environment = {"COVIDCTNET_WORKERS": "job-node-0-0.job, job-node-0-1.job:1234", "JOB_COMPLETION_INDEX": "1"}
    join_workers(environment)
    config = json.loads(environment["TF_CONFIG"])
    assert config["cluster"]["worker"] == ["job-node-0-0.job:2222", "job-node-0-1.job:1234"]
    assert config["task"] == {"type": "worker", "index": 1}
    assert (count_workers(environment), is_chief(environment)) == (2, False)
    assert (count_workers({}), is_chief({})) == (1, True)


def test_a_configuration_set_by_somebody_else_stays() -> None:
    environment = {"COVIDCTNET_WORKERS": "a,b", "JOB_COMPLETION_INDEX": "0", "TF_CONFIG": "{}"}
    join_workers(environment)
    assert environment["TF_CONFIG"] == "{}"


@pytest.mark.parametrize(("addresses", "index"), [("", "0"), ("a,a", "0"), ("a,b", "2"), ("a,b", ""), ("a,b", "-1")])
def test_contradictions_are_refused(addresses: str, index: str) -> None:
    with pytest.raises(ConfigError, match="workers"):
        describe_workers(addresses, index)


def test_a_torn_configuration_is_refused() -> None:
    with pytest.raises(ConfigError, match="TF_CONFIG must be a JSON object"):
        count_workers({"TF_CONFIG": "{"})


def train(folder: Path, workers: int, *arguments: str) -> list[dict[str, np.ndarray]]:
    ports = [socket.create_server(("127.0.0.1", 0)) for _ in range(workers)]
    addresses = ",".join(f"127.0.0.1:{port.getsockname()[1]}" for port in ports)
    for port in ports:
        port.close()
    base = {**os.environ, "KERAS_BACKEND": "tensorflow", "TF_CPP_MIN_LOG_LEVEL": "3"}
    outputs = [folder / f"{workers}-{index}.npz" for index in range(workers)]
    several = {"COVIDCTNET_WORKERS": addresses} if workers > 1 else {}
    started = [
        subprocess.Popen(
            [sys.executable, "-m", "tests.helpers.train_workers", str(output), *arguments],
            cwd=ROOT,
            env={**base, **several, "JOB_COMPLETION_INDEX": str(index)},
            stderr=subprocess.PIPE,
        )
        for index, output in enumerate(outputs)
    ]
    for process in started:
        _, error = process.communicate(timeout=240)
        assert process.returncode == 0, error[-3000:]
    return [dict(np.load(output)) for output in outputs]


@pytest.mark.slow
def test_two_workers_hold_the_same_weights_and_learn_what_one_learns(tmp_path: Path) -> None:
    first, second = train(tmp_path, 2, "plain")
    (alone,) = train(tmp_path, 1, "plain")
    for name, values in first.items():
        np.testing.assert_array_equal(values, second[name])
        if name != "history":
            np.testing.assert_allclose(values, alone[name], atol=1e-5, err_msg=name)
    together, apart = (json.loads(str(run["history"])) for run in (first, alone))
    np.testing.assert_allclose(together["val_loss"], apart["val_loss"], atol=1e-5)
    assert together["loss"][-1] < together["loss"][0]


@pytest.mark.slow
def test_the_real_optimizer_keeps_two_workers_equal(tmp_path: Path) -> None:
    first, second = train(tmp_path, 2)
    for name, values in first.items():
        np.testing.assert_array_equal(values, second[name])
