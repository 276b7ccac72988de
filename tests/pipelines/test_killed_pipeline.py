"""Real processes, really killed: each step in turn, in the middle of its work; a rerun uses what was finished."""

import json
import os
import signal
import subprocess
import sys
import time
from pathlib import Path
from typing import Any

import pytest

from pipelines.record import find_record
from pipelines.settings import STEPS

ROOT = Path(__file__).parents[2]
PROFILE = """
name: tiny
phantom: {controls: 8, covid: 4, cap: 4, matrix: 64, slice_spacing_mm: 10.0}
splits: {denoiser: 0.5, validation: 0.25, holdout: 0.25}
preprocess: {spacing_mm: [10.0, 4.0, 4.0], slice_size: [32, 32]}
noise: {scale: [3, 8], placement: lung}
denoiser: {filters: [4, 4, 8, 8], batch_size: 8, warm_start_epochs: 0, epochs: 6, slices_per_epoch: 64}
residual: {shape: [32, 32, 32], batch_size: 8}
classifier: {filters: [2, 2, 4, 4], dense_units: 4, batch_size: 2, epochs: 3}
evaluation: {bootstrap_samples: 50}
"""
SETTINGS = "image: covidctnet-python:embedded\ncases_per_shard: 10\nparallelism: 1\n"
KILLED = [
    "fetch dataset", "assign splits", "validate scanner metadata", "preprocess 2 of 2", "train denoiser",
    "extract residuals 1 of 2", "train classifier", "evaluate", "register", "gate",
]  # fmt: skip
"""Every step, with one shard of each fan-out."""


def command(workspace: Path) -> list[str]:
    return [
        sys.executable, "-c", "from cli.main import main; main()", "pipeline", "run", "--workspace", str(workspace),
        "--profile", str(workspace.parent / "tiny.yaml"), "--settings", str(workspace.parent / "settings.yaml"),
    ]  # fmt: skip


def run(workspace: Path) -> subprocess.CompletedProcess[str]:
    return subprocess.run(command(workspace), cwd=ROOT, capture_output=True, text=True, check=False)


def make_workspaces(folder: Path) -> tuple[Path, Path]:
    """Two workspaces with the same data."""
    from covidctnet.config import load_profile
    from covidctnet.phantom.cohort import make_phantom_cohort
    from pipelines.workspaces import adopt_cohort

    (folder / "tiny.yaml").write_text(PROFILE)
    (folder / "settings.yaml").write_text(SETTINGS)
    make_phantom_cohort(folder / "cohort", load_profile(str(folder / "tiny.yaml")).phantom, 0)
    places = folder / "whole", folder / "killed"
    for place in places:
        adopt_cohort(place, folder / "cohort")
    return places


def progress(workspace: Path, step: str) -> int:
    """How often a step under way told of its progress in the latest attempt."""
    record = find_record(workspace)
    log = (workspace / "runs" / f"{record.run_id}.log").read_text("utf-8", "replace")
    started = log.rfind(f'{{"covidctnet_step": "{step}", "event": "started"')
    return log.count('"event": "progress"', started) if started >= 0 else -1


def is_writing(workspace: Path, step: str) -> bool:
    """Whether a step has written some of its outputs, or is in the middle of a later epoch."""
    if step not in {"fetch dataset", "assign splits", "register"}:
        return progress(workspace, step) >= (2 if step.startswith("train") else 1)
    folders = (workspace / "steps").glob(f"*/{step.replace(' ', '-')}")
    return any(path.is_file() for folder in folders for path in folder.rglob("*"))


def kill_within(workspace: Path, step: str) -> str:
    """Start the pipeline and kill the step's process when it is in the middle of its work; what the run said."""
    runner = subprocess.Popen(command(workspace), cwd=ROOT, stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True)
    deadline = time.monotonic() + 400
    while runner.poll() is None and time.monotonic() < deadline:
        record = find_record(workspace) if list((workspace / "runs").glob("*.json")) else None
        found = record.find(step) if record else None
        if found and found.state == "running" and is_writing(workspace, step):
            os.kill(found.process, signal.SIGKILL)
            break
        time.sleep(0.01)
    said = runner.communicate(timeout=400)[1]
    assert runner.returncode == 1, f"{step}: {said}"
    return said


def final(workspace: Path) -> dict[str, Any]:
    summary: dict[str, Any] = json.loads((workspace / "summary.json").read_text())
    # Not the bundle's hash: Keras and SavedModel files hold times and names of their own making.
    return {name: summary[name] for name in ("metrics", "baselines", "residual_contrast")}


@pytest.mark.slow
@pytest.mark.long
def test_each_step_killed_in_turn_ends_with_the_metrics_of_a_run_that_never_was(tmp_path: Path) -> None:
    whole, killed = make_workspaces(tmp_path)
    result = run(whole)
    assert result.returncode == 0, result.stderr
    assert {name.split(" of ")[0].rstrip(" 12") for name in KILLED} == set(STEPS) - {"gather shards"}
    for number, step in enumerate(KILLED):
        said = kill_within(killed, step)
        assert f"step {step} ended without a word" in said, said
        assert "Traceback" not in said
        assert not (killed / "summary.json").exists()
        if number > 1:
            # What was over before the last kill was reused, and said so; the step killed then was done again.
            assert f"reused: {KILLED[0]}" in said
    result = run(killed)
    assert result.returncode == 0, result.stderr
    assert "reused: train classifier" in result.stderr
    assert "reused: gate" not in result.stderr
    assert final(killed) == final(whole)
    log = (killed / "runs" / f"{find_record(killed).run_id}.log").read_text()
    for step in KILLED:
        assert log.count(f'{{"covidctnet_step": "{step}", "event": "finished"') == 1, step
        assert log.count(f'{{"covidctnet_step": "{step}", "event": "started"') == 2, step
    assert not any("/steps/" in line and "executor_main" in line for line in _commands(killed))


@pytest.mark.slow
@pytest.mark.long
def test_a_killed_runner_leaves_a_workspace_in_which_the_next_run_goes_on(tmp_path: Path) -> None:
    _, killed = make_workspaces(tmp_path)
    runner = subprocess.Popen(command(killed), cwd=ROOT, stderr=subprocess.DEVNULL)
    while progress(killed, "train denoiser") < 2 if list((killed / "runs").glob("*.log")) else True:
        assert runner.poll() is None
        time.sleep(0.02)
    runner.kill()
    runner.wait()
    result = run(killed)
    assert result.returncode == 0, result.stderr
    assert "reused: preprocess 1 of 2" in result.stderr
    log = (killed / "runs" / f"{find_record(killed).run_id}.log").read_text()
    epochs = [
        line for line in log.splitlines() if '"stage": "train denoiser"' in line and '"event": "progress"' in line
    ]
    assert len(epochs) < 2 * 6
    assert json.loads((killed / "summary.json").read_text())["attempts"] == 2


def _commands(workspace: Path) -> list[str]:
    found = []
    for entry in Path("/proc").glob("[0-9]*/cmdline"):
        try:
            text = entry.read_bytes().decode("utf-8", "replace")
        except OSError:
            continue
        if str(workspace) in text:
            found.append(text)
    return found
