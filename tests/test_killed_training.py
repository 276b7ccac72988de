"""Real processes, really killed: what a power cut or a preempted node does to a training."""

import os
import random
import subprocess
import sys
import time
from pathlib import Path

import numpy as np
import pytest

ROOT = Path(__file__).parents[1]
KILLS = 5
pytestmark = pytest.mark.slow


def start(network: str, folder: Path) -> subprocess.Popen[bytes]:
    environment = {**os.environ, "KERAS_BACKEND": "tensorflow", "TF_CPP_MIN_LOG_LEVEL": "3"}
    command = [sys.executable, "-m", "tests.helpers.train_once", network, str(folder)]
    return subprocess.Popen(command, cwd=ROOT, env=environment, stderr=subprocess.DEVNULL)


def epochs_in(folder: Path) -> int:
    path = folder / "epochs"
    return path.stat().st_size if path.is_file() else 0


def kill_at_random(network: str, folder: Path, rng: random.Random) -> None:
    """Kill a run at a random moment within its first epochs: while it computes, writes or renames."""
    process, before = start(network, folder), epochs_in(folder)
    deadline = time.monotonic() + 120
    wanted = before + rng.choice([0, 1, 1, 2])
    while epochs_in(folder) < wanted or not (folder / "checkpoint.npz").exists():
        assert process.poll() is None, "the training ended before it could be killed"
        assert time.monotonic() < deadline
        time.sleep(0.002)
    time.sleep(rng.uniform(0.0, 0.5))
    process.kill()
    assert process.wait() == -9


@pytest.mark.parametrize("network", ["denoiser", "classifier"])
def test_a_training_killed_five_times_ends_with_the_weights_of_one_that_never_was(network: str, tmp_path: Path) -> None:
    whole, killed = tmp_path / "whole", tmp_path / "killed"
    whole.mkdir()
    killed.mkdir()
    assert start(network, whole).wait() == 0
    rng = random.Random(f"{network} 1")
    for _ in range(KILLS):
        kill_at_random(network, killed, rng)
        assert not (killed / "weights.npz").exists()
    assert start(network, killed).wait() == 0
    with np.load(whole / "weights.npz") as one, np.load(killed / "weights.npz") as other:
        assert one.files == other.files
        for name in one.files:
            np.testing.assert_array_equal(one[name], other[name])
    # The work of the killed runs was used: no epoch was trained anew from the start each time.
    assert epochs_in(killed) < epochs_in(whole) + KILLS
