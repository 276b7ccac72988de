import json
from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest

from covidctnet.bundle import Bundle, load_bundle
from covidctnet.errors import BundleError, TrackingError
from covidctnet.labels import LABELS
from covidctnet.predictor import Predictor
from covidctnet.reading import read_volume
from integrations.model_card import Origins
from integrations.pyfunc_model import _load_pyfunc
from integrations.registry import fetch_bundle, find_model, list_models, register_bundle, requirements
from integrations.tracking import TrackingSettings, open_run
from integrations.tracking_client import make_client, quiet_imports
from tests.helpers.bundles import SCANNERS, untrained_bundle
from tests.helpers.series import make_files, zip_of


@pytest.fixture
def study(tmp_path: Path) -> Path:
    path = tmp_path / "study.zip"
    path.write_bytes(zip_of(make_files()))
    return path


def test_the_registered_model_answers_as_the_predictor(
    settings: TrackingSettings, bundle: Bundle, study: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    version = register_bundle(bundle.folder, run_key="r1", settings=settings, sites=["s1", "s2"])
    monkeypatch.setenv("MLFLOW_TRACKING_URI", settings.uri)
    with quiet_imports():
        import mlflow.pyfunc

        model = mlflow.pyfunc.load_model(f"models:/{settings.model}/{version}")
        (answer,) = model.predict({"study": str(study)}).to_dict("records")
    columns = json.loads(model.metadata.signature.inputs.to_json())
    assert [(column["name"], column["type"]) for column in columns] == [("study", "string")]
    assert model.input_example == {"study": "study.zip"}
    expected = Predictor.load(bundle.folder).predict(read_volume(study))
    np.testing.assert_allclose(
        [answer[name] for name in LABELS], [expected.probabilities[name] for name in LABELS], rtol=0, atol=1e-6
    )
    assert (answer["label"], answer["covid_positive"]) == (expected.label, expected.covid_positive)
    assert json.loads(answer["answer"])["pair_id"] == bundle.pair_id
    assert answer["refusal"] is None


def test_a_refused_study_has_a_reason_and_no_class(bundle: Bundle, study: Path, tmp_path: Path) -> None:
    import pandas as pd

    model = _load_pyfunc(str(bundle.folder))
    answers = model.predict(pd.DataFrame({"study": [str(tmp_path / "absent"), str(study)]}))
    assert "no such file" in answers["refusal"][0]
    assert answers["label"][0] is None
    assert answers[list(LABELS)].iloc[0].isna().all()
    assert answers["refusal"][1] is None
    assert answers[list(LABELS)].iloc[1].sum() == pytest.approx(1.0, abs=1e-5)


def test_a_bundle_has_one_version_and_another_bundle_the_next(
    settings: TrackingSettings, bundle: Bundle, tmp_path: Path
) -> None:
    assert register_bundle(bundle.folder, run_key="r2", settings=settings) == 1
    assert register_bundle(bundle.folder, run_key="other run", settings=settings) == 1
    other = untrained_bundle(tmp_path / "other", seed=1)
    assert other.pair_id != bundle.pair_id
    assert register_bundle(other.folder, run_key="r2", settings=settings) == 2
    models = list_models(settings)
    assert [model.version for model in models] == [2, 1]
    assert [model.tags["pair_id"] for model in models] == [other.pair_id, bundle.pair_id]


def test_the_card_names_sites_scanners_versions_and_metrics(settings: TrackingSettings, bundle: Bundle) -> None:
    judged_by = Origins(sites=("site-c",), scanners=("Maker Held-out",))
    register_bundle(bundle.folder, run_key="r3", settings=settings, sites=["site-b", "site-a"], judged_by=judged_by)
    model = find_model(f"models:/{settings.model}/1", settings=settings)
    origins = ("site-a, site-b", *SCANNERS, "site-c", "Maker Held-out")
    for words in (*origins, bundle.pair_id, bundle.data_version, "Not a medical device",
                  "| accuracy, three classes | 0.833 |"):  # fmt: skip
        assert words in model.card
    assert model.tags["sites"] == "site-a, site-b"
    assert model.tags["config_digest"] == bundle.config.digest
    client = make_client(settings)
    run = client.get_run(open_run("r3", settings=settings))
    assert run.data.metrics["holdout.three_class.accuracy"] == pytest.approx(5 / 6)
    assert run.data.metrics["holdout.brands.GE _X_.cases"] == 3
    logged = client.get_logged_model(run.outputs.model_outputs[0].model_id)
    assert {metric.key for metric in logged.metrics} >= {"holdout.covid.auc"}


def test_a_bundle_comes_back_whole_by_version_and_alias(
    settings: TrackingSettings, bundle: Bundle, tmp_path: Path
) -> None:
    register_bundle(bundle.folder, run_key="r4", settings=settings)
    make_client(settings).set_registered_model_alias(settings.model, "champion", "1")
    assert find_model(f"models:/{settings.model}@champion", settings=settings).aliases == ("champion",)
    target = tmp_path / "serving" / "bundle"
    fetched = load_bundle(fetch_bundle(f"models:/{settings.model}@champion", target, settings=settings))
    assert (fetched.folder, fetched.pair_id, fetched.metrics) == (target, bundle.pair_id, bundle.metrics)
    before = (target / "manifest.json").stat().st_ino
    fetch_bundle(f"models:/{settings.model}/1", target, settings=settings)
    assert (target / "manifest.json").stat().st_ino == before
    (target / "config.json").write_text("{}")
    assert load_bundle(fetch_bundle(f"models:/{settings.model}/1", target, settings=settings)).pair_id == bundle.pair_id
    assert [path.name for path in target.parent.iterdir()] == ["bundle"]


def test_what_is_not_registered_is_said(settings: TrackingSettings, tmp_path: Path) -> None:
    with pytest.raises(TrackingError, match="'covidctnet' is no model; write models:/"):
        find_model("covidctnet", settings=settings)
    with pytest.raises(TrackingError, match="refuses it"):
        fetch_bundle(f"models:/{settings.model}@champion", tmp_path / "b", settings=settings)
    assert list_models(settings) == []
    with pytest.raises(BundleError, match="is no bundle"):
        register_bundle(tmp_path, run_key="r5", settings=replace(settings, uri="http://127.0.0.1:9"))


def test_requirements_are_pinned_and_hold_nothing_of_ours() -> None:
    lines = requirements()
    assert all(line.count("==") == 1 for line in lines)
    assert "tensorflow==2.21.0" in lines
    assert not any("covidctnet" in line for line in lines)
