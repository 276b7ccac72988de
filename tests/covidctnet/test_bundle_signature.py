import json
import shutil
from pathlib import Path

import pytest

from covidctnet.bundle import attach_metrics, load_bundle
from covidctnet.bundle_signature import SIGNATURE, TRUSTED_KEY, sign_bundle
from covidctnet.errors import BundleError
from covidctnet.promotion.signing import PROMOTION_LOG, Signer, make_keys
from tests.covidctnet.test_bundle import bundle_in


@pytest.fixture
def key(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """A private key, whose public one is trusted."""
    private = tmp_path / "keys" / "key.pem"
    monkeypatch.setenv(TRUSTED_KEY, str(make_keys(private)))
    return private


@pytest.fixture
def folder(tmp_path: Path) -> Path:
    """A bundle with metrics."""
    bundle = bundle_in(tmp_path)
    attach_metrics(bundle, {"auc": 0.9})
    return bundle.folder


def test_a_signed_bundle_is_loaded(folder: Path, key: Path) -> None:
    pair = json.loads((folder / "manifest.json").read_text())["pair_id"]
    sign_bundle(folder, key)
    assert load_bundle(folder).pair_id == pair


def test_a_bundle_without_a_signature_is_refused_only_where_a_key_is_trusted(
    folder: Path, key: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    with pytest.raises(BundleError, match="not signed"):
        load_bundle(folder)
    monkeypatch.delenv(TRUSTED_KEY)
    assert load_bundle(folder).metrics == {"auc": 0.9, "pair_id": load_bundle(folder).pair_id}


def test_a_stranger_s_signature_is_refused(folder: Path, key: Path, tmp_path: Path) -> None:
    make_keys(tmp_path / "stranger.pem")
    sign_bundle(folder, tmp_path / "stranger.pem")
    with pytest.raises(BundleError, match="does not fit"):
        load_bundle(folder)


@pytest.mark.parametrize("name", ["manifest.json", "metrics.json"])
def test_what_changes_after_the_signature_is_refused(folder: Path, key: Path, name: str) -> None:
    sign_bundle(folder, key)
    changed = json.loads((folder / name).read_text()) | {"code_version": "another", "auc": 1.0}
    (folder / name).write_text(json.dumps(changed))
    with pytest.raises(BundleError, match="does not fit"):
        load_bundle(folder)


def test_lost_metrics_are_refused(folder: Path, key: Path) -> None:
    sign_bundle(folder, key)
    (folder / "metrics.json").unlink()
    with pytest.raises(BundleError, match="does not fit"):
        load_bundle(folder)


def test_a_changed_file_is_refused_though_manifest_and_signature_stand(folder: Path, key: Path) -> None:
    sign_bundle(folder, key)
    (folder / "classifier" / "saved_model.pb").write_bytes(b"another graph")
    with pytest.raises(BundleError, match="was changed"):
        load_bundle(folder)


def test_a_hidden_signature_file_deeper_down_is_hashed_like_any_other(folder: Path, key: Path) -> None:
    sign_bundle(folder, key)
    shutil.copy(folder / SIGNATURE, folder / "classifier" / SIGNATURE)
    with pytest.raises(BundleError, match="was changed"):
        load_bundle(folder)


def test_a_signature_for_another_purpose_is_none(folder: Path, key: Path) -> None:
    sign_bundle(folder, key)
    from covidctnet.bundle_signature import _message

    forged = Signer.load(key, PROMOTION_LOG).sign(_message(folder))
    (folder / SIGNATURE).write_text(json.dumps({"signature": forged}))
    with pytest.raises(BundleError, match="does not fit"):
        load_bundle(folder)


@pytest.mark.parametrize("text", ["", "[]", "{}", '{"signature": 3}', '{"signature": "no base64"}'])
def test_a_broken_signature_is_refused(folder: Path, key: Path, text: str) -> None:
    (folder / SIGNATURE).write_text(text)
    with pytest.raises(BundleError, match="signature"):
        load_bundle(folder)


def test_a_trusted_key_that_is_not_there_is_told(folder: Path, key: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    sign_bundle(folder, key)
    monkeypatch.setenv(TRUSTED_KEY, str(folder / "nowhere.pem"))
    with pytest.raises(BundleError, match=r"nowhere\.pem"):
        load_bundle(folder)


def test_metrics_are_attached_before_the_signature(tmp_path: Path, key: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.delenv(TRUSTED_KEY)
    bundle = bundle_in(tmp_path)
    sign_bundle(bundle.folder, key)
    with pytest.raises(BundleError, match="is signed"):
        attach_metrics(bundle, {"auc": 1.0})
