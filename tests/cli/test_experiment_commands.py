"""The group `experiment` as its users run it."""

import subprocess
import sys
from pathlib import Path

import pytest


def call(*arguments: object) -> subprocess.CompletedProcess[str]:
    command = [sys.executable, "-c", "from cli.main import main; main()", "experiment", *map(str, arguments)]
    return subprocess.run(command, capture_output=True, text=True, check=False)


@pytest.mark.parametrize(
    ("arguments", "words"),
    [
        (("readers", "--readers", "none.csv"), "CohortError: there is no none.csv; give a CSV with the columns case"),
        (("report", "--experiments", "empty"), "ExperimentError: empty holds no result; run one of: covidctnet"),
    ],
)
def test_what_is_missing_is_said_in_one_line(
    arguments: tuple[str, ...], words: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    (tmp_path / "empty").mkdir()
    monkeypatch.setenv("PYTHONPATH", str(Path(__file__).parents[2]))
    monkeypatch.chdir(tmp_path)
    result = call(*arguments)
    assert result.returncode == 3, result.stderr
    assert result.stderr.count("\n") == 1
    assert result.stderr.startswith(words)
