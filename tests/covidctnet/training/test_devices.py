"""Several devices, mixed precision, and cohorts larger than memory."""

import json
import os
import subprocess
import sys
from pathlib import Path

import numpy as np
import pytest

from covidctnet.training.denoiser import train_denoiser
from tests.covidctnet.training.test_train_denoiser import config, healthy

ROOT = Path(__file__).parents[3]


def run(module: str, *arguments: object) -> str:
    environment = {**os.environ, "KERAS_BACKEND": "tensorflow", "TF_CPP_MIN_LOG_LEVEL": "3"}
    command = [sys.executable, "-m", f"tests.helpers.{module}", *map(str, arguments)]
    done = subprocess.run(command, cwd=ROOT, env=environment, capture_output=True, text=True, check=False)
    assert done.returncode == 0, done.stderr[-2000:]
    return done.stdout.strip().splitlines()[-1]


def test_two_devices_learn_what_one_learns() -> None:
    one, two = (json.loads(run("train_mirrored", devices)) for devices in (1, 2))
    assert one.keys() == two.keys()
    for name, values in one.items():
        np.testing.assert_allclose(two[name], values, rtol=2e-3, atol=1e-4, err_msg=name)
    assert one["loss"][-1] < one["loss"][0]


def test_mixed_precision_gives_a_network_in_float32() -> None:
    model, history = train_denoiser(healthy(24), healthy(8, 1), config(epochs=2, precision="mixed"))
    assert {layer.dtype_policy.name for layer in model.layers} == {"float32"}
    plain = train_denoiser(healthy(24), healthy(8, 1), config(epochs=2, precision="float32"))[1]
    assert history["loss"] != plain["loss"]
    assert history["loss"][-1] == pytest.approx(plain["loss"][-1], rel=0.1)


def test_an_operation_keeps_to_its_cores() -> None:
    assert run("train_with_threads", 1) == "1"


def test_memory_does_not_grow_with_the_cohort(tmp_path: Path) -> None:
    """8 GB of slices on paper, 40 times more than the small cohort, in the same memory."""
    peaks = []
    for count in (40_000, 1_600_000):
        folder = tmp_path / str(count)
        folder.mkdir()
        peaks.append(int(run("train_within", folder, count, 3000)) / 1024)
        size = sum(path.stat().st_size for path in folder.iterdir()) / 2**20
    assert size > 7800
    assert peaks[1] < peaks[0] + 150
