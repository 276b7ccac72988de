"""Real processes, really killed: what a power cut or a preempted node does to a training."""

import os
import random
import subprocess
import sys
import time
from pathlib import Path

import numpy as np
import pytest

from covidctnet.networks.saving import load_keras_denoiser

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


def command(*arguments: object) -> list[str]:
    return [sys.executable, "-c", "from cli.main import main; main()", *map(str, arguments)]


@pytest.mark.long
def test_a_terminated_train_command_says_how_to_go_on_and_does(tmp_path: Path) -> None:
    cohort = tmp_path / "cohort"
    subprocess.run(command("cohort", "phantom", cohort, "--profile", "smoke"), cwd=ROOT, check=True)
    weights = {}
    for name in ("whole", "stopped"):
        train = command("train", cohort, "--output", tmp_path / name, "--profile", "smoke", "--json")
        if name == "stopped":
            process = subprocess.Popen(train, cwd=ROOT, stderr=subprocess.PIPE, text=True)
            while not (tmp_path / name / "state" / "checkpoints" / "denoiser.history.jsonl").exists():
                assert process.poll() is None
                time.sleep(0.01)
            process.terminate()
            _, message = process.communicate(timeout=120)
            assert process.returncode == 143
            assert "training of the denoiser was stopped in epoch" in message
            assert "run the same command to go on" in message
            assert not (tmp_path / name / "bundle").exists()
        subprocess.run(train, cwd=ROOT, check=True, stdout=subprocess.DEVNULL)
        weights[name] = load_keras_denoiser(tmp_path / name / "bundle").get_weights()
    for one, other in zip(weights["whole"], weights["stopped"], strict=True):
        np.testing.assert_array_equal(one, other)
