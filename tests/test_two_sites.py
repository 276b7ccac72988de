"""Real series of two sites beside phantoms, from the hospital's export to a registered model."""

import csv
import json
from pathlib import Path

import pytest

from tests.helpers.command import covidctnet

REAL = {"control-a": ("Control", "north"), "covid-a": ("Covid-19", "north"), "cap-a": ("CAP", "south")}


@pytest.mark.slow
@pytest.mark.real_data
def test_the_registered_model_names_both_sites_and_the_scanner(shared_data: Path, tmp_path: Path) -> None:
    workspace, keys = tmp_path / "run", tmp_path / "keys.json"
    covidctnet("data", "init", workspace)
    covidctnet("cohort", "phantom", workspace / "data", "--profile", "smoke")
    for name, (label, site) in REAL.items():
        study = shared_data / "series" / f"{name}.zip"
        covidctnet("data", "ingest", study, "--label", label, "--site", site, "--workspace", workspace, "--keys", keys)
    newest = json.loads(covidctnet("data", "history", "--workspace", workspace, "--json"))[-1]
    assert {name: newest["site"][name] for name in ("north", "south")} == {"north": 2, "south": 1}
    with (workspace / "data/cohort.csv").open(newline="") as file:
        scanners = [row["scanner"] for row in csv.DictReader(file) if row["site"] in ("north", "south")]
    assert scanners == ["Siemens SOMATOM Scope"] * 3
    summary = json.loads(covidctnet("pipeline", "run", "--workspace", workspace, "--profile", "smoke", "--json"))
    assert summary["data_version"] == newest["version"]
    found = ("model", "show", summary["registered"]["version"], "--workspace", workspace)
    card = json.loads(covidctnet(*found, "--json"))["card"]
    for name in ("north", "south", "Siemens SOMATOM Scope", newest["version"]):
        assert name in card
