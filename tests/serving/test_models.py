"""The embedded predictor's versions: half-written ones are tried again, and a missing folder ends nothing."""

import shutil
from pathlib import Path

import pytest

from covidctnet.bundle import load_bundle
from serving.predictor.models import ModelStore


@pytest.fixture
def classifier(served_bundle: Path) -> Path:
    return load_bundle(served_bundle).classifier_path


def test_a_version_that_is_still_on_its_way_is_loaded_once_it_is_whole(classifier: Path, tmp_path: Path) -> None:
    store = ModelStore("covidctnet", tmp_path)
    store.refresh()
    assert store.states() == {}
    shutil.copytree(classifier, tmp_path / "7", ignore=shutil.ignore_patterns("variables*"))
    store.refresh()
    assert "cannot be loaded" in store.states()[7]
    assert store.find("covidctnet", 7) is None
    shutil.copytree(classifier / "variables", tmp_path / "7" / "variables", dirs_exist_ok=True)
    store.refresh()
    assert store.states() == {7: "available"}
    assert store.find("covidctnet", None) is store.find("covidctnet", 7)
    assert store.find("covidctnet", 8) is None


def test_a_damaged_version_leaves_the_one_before_in_place(classifier: Path, tmp_path: Path) -> None:
    store = ModelStore("covidctnet", tmp_path)
    shutil.copytree(classifier, tmp_path / "7")
    store.refresh()
    (tmp_path / "8").mkdir()
    (tmp_path / "8" / "saved_model.pb").write_bytes(b"nonsense")
    for _ in range(7):
        store.refresh()
    assert store.states()[7] == "available"
    assert "cannot be loaded" in store.states()[8]
    shutil.rmtree(tmp_path)
    store.refresh()
    assert store.find("covidctnet", 7) is not None
