import hashlib
import json
from pathlib import Path
from types import MappingProxyType

import pytest

from covidctnet.bundle import Bundle, Calibration, Reference, attach_metrics, load_bundle, patient_key, write_bundle
from covidctnet.config import load_profile
from covidctnet.errors import BundleError
from covidctnet.stability import Bins, Categories

RANGES = {"mean intensity": (0.1, 0.2)}
BINS = {"mean intensity": Bins(edges=(0.1, 0.15), counts=(1, 2, 3))}


def bundle_in(
    folder: Path, *, weights: bytes = b"weights", name: str = "bundle", ranges: object = MappingProxyType(RANGES)
) -> Bundle:
    networks = folder / "networks"
    (networks / "classifier").mkdir(parents=True)
    (networks / "denoiser.keras").write_bytes(weights)
    (networks / "classifier" / "saved_model.pb").write_bytes(b"graph")
    return write_bundle(
        folder / name,
        networks=networks,
        config=load_profile("smoke"),
        calibration=Calibration(temperature=1.5, threshold=0.4),
        reference=Reference(
            scanners=("GE X",),
            ranges=dict(ranges),
            distributions=BINS,
            scanner_mix=Categories(names=("GE X",), counts=(6,)),
        ),
        data_version="d1",
        code_version="c1",
    )


def test_a_bundle_reads_back_as_it_was_written(tmp_path: Path) -> None:
    written = bundle_in(tmp_path)
    assert load_bundle(written.folder) == written
    assert written.config == load_profile("smoke")
    assert written.calibration.threshold == 0.4
    assert written.reference.distributions == BINS
    assert not (tmp_path / "networks").exists()


def test_pair_id_follows_the_content(tmp_path: Path) -> None:
    one, same, other = (
        bundle_in(tmp_path / name, weights=weights).pair_id for name, weights in (("a", b"1"), ("b", b"1"), ("c", b"2"))
    )
    assert one == same != other


@pytest.mark.parametrize("name", ["denoiser.keras", "classifier/saved_model.pb", "config.json", "calibration.json"])
def test_a_changed_file_is_noticed(tmp_path: Path, name: str) -> None:
    bundle = bundle_in(tmp_path)
    path = bundle.folder / name
    path.write_bytes(path.read_bytes() + b" ")
    with pytest.raises(BundleError, match=f"{name} in bundle {bundle.pair_id} was changed"):
        load_bundle(bundle.folder)


def test_a_lost_and_an_added_file_are_noticed(tmp_path: Path) -> None:
    bundle = bundle_in(tmp_path)
    (bundle.folder / "extra").write_bytes(b"")
    with pytest.raises(BundleError, match="extra in bundle"):
        load_bundle(bundle.folder)
    (bundle.folder / "extra").unlink()
    (bundle.folder / "denoiser.keras").unlink()
    with pytest.raises(BundleError, match=r"has lost denoiser\.keras"):
        load_bundle(bundle.folder)


def test_a_manifest_with_another_pair_id_is_refused(tmp_path: Path) -> None:
    bundle = bundle_in(tmp_path)
    path = bundle.folder / "manifest.json"
    path.write_text(path.read_text().replace(bundle.pair_id, "0" * 16))
    with pytest.raises(BundleError, match="pair_id is 0000000000000000, but its content hashes to"):
        load_bundle(bundle.folder)


def test_the_manifest_says_under_which_version_the_classifier_is_served(tmp_path: Path) -> None:
    bundle = bundle_in(tmp_path)
    path = bundle.folder / "manifest.json"
    manifest = json.loads(path.read_text())
    assert manifest["serving_version"] == str(bundle.serving_version)
    path.write_text(json.dumps({**manifest, "serving_version": "1"}))
    with pytest.raises(BundleError, match="serving_version is 1, not"):
        load_bundle(bundle.folder)
    del manifest["serving_version"]
    path.write_text(json.dumps(manifest))
    assert load_bundle(bundle.folder) == bundle


@pytest.mark.parametrize(("key", "value", "message"), [("format", 99, "format 99"), ("labels", ["a"], "labels are")])
def test_a_bundle_for_something_else_is_refused(tmp_path: Path, key: str, value: object, message: str) -> None:
    bundle = bundle_in(tmp_path)
    path = bundle.folder / "manifest.json"
    path.write_text(json.dumps({**json.loads(path.read_text()), key: value}))
    with pytest.raises(BundleError, match=message):
        load_bundle(bundle.folder)


def test_a_folder_without_manifest_is_no_bundle(tmp_path: Path) -> None:
    with pytest.raises(BundleError, match="is no bundle"):
        load_bundle(tmp_path)


def test_a_manifest_that_is_no_json_is_refused(tmp_path: Path) -> None:
    (tmp_path / "manifest.json").write_text("{")
    with pytest.raises(BundleError, match=r"manifest\.json of the bundle cannot be read"):
        load_bundle(tmp_path)
    (tmp_path / "manifest.json").write_text("[]")
    with pytest.raises(BundleError, match="must hold a JSON object"):
        load_bundle(tmp_path)


def test_metrics_are_attached_once_and_leave_the_pair_id(tmp_path: Path) -> None:
    bundle = bundle_in(tmp_path)
    assert bundle.metrics is None
    attach_metrics(bundle, {"auc": 0.5})
    again = load_bundle(bundle.folder)
    assert again.metrics == {"auc": 0.5, "pair_id": bundle.pair_id}
    with pytest.raises(BundleError, match="has metrics already"):
        attach_metrics(again, {"auc": 1.0})


def test_a_new_bundle_takes_the_place_of_an_old_one(tmp_path: Path) -> None:
    old = bundle_in(tmp_path, weights=b"1")
    new = bundle_in(tmp_path, weights=b"2")
    assert load_bundle(tmp_path / "bundle").pair_id == new.pair_id != old.pair_id
    assert sorted(path.name for path in tmp_path.iterdir()) == ["bundle"]


@pytest.mark.parametrize(("temperature", "threshold"), [(0.0, 0.5), (float("nan"), 0.5), (1.0, 1.5), (1.0, -0.1)])
def test_calibration_out_of_range_is_refused(temperature: float, threshold: float) -> None:
    with pytest.raises(BundleError, match="must lie between"):
        Calibration(temperature=temperature, threshold=threshold)


def test_a_value_of_another_kind_is_refused(tmp_path: Path) -> None:
    with pytest.raises(BundleError, match="lacks a value or holds a wrong one"):
        bundle_in(tmp_path, ranges={"mean intensity": 0.1})


def test_a_bundle_says_who_trained_it_without_their_pseudonyms(tmp_path: Path) -> None:
    assert bundle_in(tmp_path).reference.trained_on == ()
    assert patient_key("patient-1") == patient_key("patient-1") != patient_key("patient-2")
    assert "patient-1" not in patient_key("patient-1")


def rewrite_reference(folder: Path, values: dict[str, object]) -> Path:
    """A bundle whose reference holds other values, as an earlier release wrote it."""
    manifest = json.loads((folder / "manifest.json").read_text())
    del manifest["serving_version"]
    text = json.dumps(values)
    (folder / "reference.json").write_text(text)
    manifest["files"]["reference.json"] = hashlib.sha256(text.encode()).hexdigest()
    files = json.dumps(manifest["files"], sort_keys=True).encode()
    manifest["pair_id"] = hashlib.sha256(files).hexdigest()[:16]
    (folder / "manifest.json").write_text(json.dumps(manifest))
    return folder


def test_a_bundle_of_before_distributions_were_kept_opens_without_them(tmp_path: Path) -> None:
    old = rewrite_reference(bundle_in(tmp_path).folder, {"scanners": ["GE X"], "ranges": RANGES})
    reference = load_bundle(old).reference
    assert (reference.distributions, reference.scanner_mix) == ({}, None)


@pytest.mark.parametrize("bins", [{"edges": [2, 1], "counts": [1, 1, 1]}, {"edges": [1], "counts": [1]}, {}])
def test_distributions_that_are_none_are_refused(tmp_path: Path, bins: dict[str, object]) -> None:
    folder = bundle_in(tmp_path).folder
    values = {"scanners": ["GE X"], "ranges": RANGES, "distributions": {"mean intensity": bins}}
    with pytest.raises(BundleError, match="lacks a value or holds a wrong one"):
        load_bundle(rewrite_reference(folder, values))
