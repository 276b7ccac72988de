"""The paper's networks at the paper's size, one epoch, by the commands that a user types."""

import json
from pathlib import Path

import pytest

from covidctnet.config import load_profile
from tests.helpers.command import covidctnet

PHANTOMS = """
name: few
phantom: {controls: 5, covid: 2, cap: 2, matrix: 128, slice_spacing_mm: 8.0}
"""
LABELS = {"control-a": "Control", "covid-a": "Covid-19", "cap-a": "CAP"}


@pytest.mark.slow
@pytest.mark.long
@pytest.mark.real_data
def test_one_epoch_on_the_real_series_and_phantoms_runs_to_its_report(shared_data: Path, tmp_path: Path) -> None:
    few, output, keys = tmp_path / "few.yaml", tmp_path / "run", tmp_path / "keys.json"
    few.write_text(PHANTOMS)
    covidctnet("data", "init", output)
    covidctnet("cohort", "phantom", output / "data", "--profile", few)
    for name, label in LABELS.items():
        study = shared_data / "series" / f"{name}.zip"
        covidctnet("data", "ingest", study, "--label", label, "--site", "s1", "--workspace", output, "--keys", keys)
    run = ("pipeline", "run", "--workspace", output, "--profile", "paper", "--epochs", 1, "--json")
    summary = json.loads(covidctnet(*run))
    assert summary["config_digest"] == load_profile("paper", epochs=1).digest
    assert "Three real patients prove nothing about accuracy" in " ".join(summary["notes"])
    assert "Three real patients prove nothing about accuracy" in (output / "report.html").read_text()
    answer = json.loads(
        covidctnet("predict", shared_data / "series/covid-a.zip", "--bundle", output / "bundle", "--json")
    )
    assert answer["scanner"] == "Siemens SOMATOM Scope"
    assert answer["pair_id"] == summary["pair_id"]
