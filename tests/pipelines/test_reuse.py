"""A run that is started again reuses every finished step, in the local runner's own cache."""

from pathlib import Path

import pytest

from tests.pipelines.test_killed_pipeline import KILLED, make_workspaces, run


@pytest.mark.slow
def test_a_finished_run_is_reused_step_by_step(tmp_path: Path) -> None:
    workspace, _ = make_workspaces(tmp_path)
    first = run(workspace)
    assert first.returncode == 0, first.stderr
    assert "reused" not in first.stderr
    again = run(workspace)
    assert again.returncode == 0, again.stderr
    reused = {line.removeprefix("reused: ") for line in again.stderr.splitlines() if line.startswith("reused: ")}
    assert set(KILLED) <= reused
