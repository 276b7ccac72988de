"""A bundle: one immutable folder with both networks and all that is needed to answer for a study.

```
bundle/
  manifest.json      pair_id, versions, and the hash of every other file
  config.json        the whole configuration that trained it
  calibration.json   temperature and decision threshold, fitted on validation
  reference.json     scanners and input statistics seen in training: ranges and distributions
  denoiser.keras     BCDU-Net, as it was trained
  denoiser/          the same for inference: OpenVINO's model.xml and model.bin, where that is the backend
  classifier/        SavedModel: residuals float32 (batch, z, y, x, 1) -> probabilities (batch, 3)
  metrics.json       hold-out metrics, attached once, measured through this very bundle
  signature.json     who made it, where it was signed: covidctnet/bundle_signature.py
```

`pair_id` is a hash of the content, so denoiser and classifier of two trainings never meet unnoticed.
"""

import hashlib
import json
import os
import shutil
from collections.abc import Mapping
from dataclasses import asdict, dataclass, field
from pathlib import Path
from typing import Any

from covidctnet.bundle_signature import SIGNATURE, require_trusted
from covidctnet.config import Config, parse_config
from covidctnet.errors import BundleError
from covidctnet.labels import LABELS
from covidctnet.stability import Bins, Categories

FORMAT = 3
_METRICS = "metrics.json"
_MANIFEST = "manifest.json"
_UNHASHED = {_MANIFEST, _METRICS, SIGNATURE}


@dataclass(frozen=True, kw_only=True)
class Calibration:
    """Fitted on validation: softmax temperature, and the Covid-19 probability from which a case is positive."""

    temperature: float
    threshold: float

    def __post_init__(self) -> None:
        if not 0.0 < self.temperature < 100.0:
            raise BundleError(f"a temperature must lie between 0 and 100, not {self.temperature}")
        if not 0.0 <= self.threshold <= 1.0:
            raise BundleError(f"a threshold must lie between 0 and 1, not {self.threshold}")


@dataclass(frozen=True, kw_only=True)
class Reference:
    """What training saw, to warn when a study lies outside, or when studies drift away.

    Attributes:
        scanners: names of the scanners of the training patients.
        ranges: lowest and highest value of each of `distribution.study_statistics` in a training study.
        trained_on: `patient_key` of every patient that shaped the networks, their calibration among it; empty
            where that was not recorded, and such a bundle is not promoted.
        distributions: bins of each of `distribution.input_statistics` over the training studies; empty in a bundle
            of before they were kept, which cannot tell drift.
        scanner_mix: training studies by scanner; None in such a bundle.
    """

    scanners: tuple[str, ...]
    ranges: Mapping[str, tuple[float, float]]
    trained_on: tuple[str, ...] = ()
    distributions: Mapping[str, Bins] = field(default_factory=dict)
    scanner_mix: Categories | None = None


@dataclass(frozen=True, kw_only=True)
class Bundle:
    """A bundle on disk whose content agrees with its manifest."""

    folder: Path
    pair_id: str
    data_version: str
    code_version: str
    config: Config
    calibration: Calibration
    reference: Reference

    @property
    def classifier_path(self) -> Path:
        """SavedModel folder of the classifier."""
        return self.folder / "classifier"

    @property
    def serving_version(self) -> int:
        """The version folder in which TensorFlow Serving finds this bundle's classifier; see `serving_version`."""
        return serving_version(self.pair_id)

    @property
    def metrics(self) -> dict[str, Any] | None:
        """Hold-out metrics, or None while the bundle has not been evaluated."""
        path = self.folder / _METRICS
        return _read_json(path) if path.is_file() else None


def patient_key(patient: str) -> str:
    """What a bundle keeps of a training patient: enough to find them in a hold-out, and not their pseudonym."""
    return hashlib.sha256(f"covidctnet patient {patient}".encode()).hexdigest()[:24]


def serving_version(pair_id: str) -> int:
    """A pair as TensorFlow Serving knows versions: an integer from 1 to 2**63 - 1.

    A Predict that pins it is not answered by the classifier of another pair; two of all pairs share a version,
    which 64 bits of a hash make as unlikely as two pairs of one pair_id.

    Raises:
        BundleError: the pair_id is not 16 hexadecimal digits.
    """
    if len(pair_id) != 16 or not set(pair_id) <= set("0123456789abcdef"):
        raise BundleError(f"a pair_id has 16 hexadecimal digits, unlike {pair_id!r}")
    return int(pair_id, 16) % (2**63 - 1) + 1


def load_bundle(folder: Path) -> Bundle:
    """Open a bundle and check every file against the manifest, and its signature where a trusted key is named.

    Raises:
        BundleError: no bundle, another format, other labels, a file that was changed or lost, or no signature of the
            key that `COVIDCTNET_TRUSTED_KEY` names.
    """
    if not (folder / _MANIFEST).is_file():
        raise BundleError(f"{folder} is no bundle: it holds no {_MANIFEST}; train one, or name the folder that has it")
    manifest = _read_json(folder / _MANIFEST)
    if manifest.get("format") != FORMAT:
        raise BundleError(f"bundle format {manifest.get('format')!r} is not {FORMAT}; use a matching release")
    if tuple(manifest.get("labels", ())) != LABELS:
        raise BundleError(f"the bundle's labels are {manifest.get('labels')}, not {list(LABELS)}")
    _verify(folder, manifest)
    require_trusted(folder)
    try:
        return _assemble(folder, manifest)
    except (KeyError, TypeError, ValueError, AttributeError) as error:
        raise BundleError(f"bundle {manifest.get('pair_id')} lacks a value or holds a wrong one: {error!r}") from None


def _assemble(folder: Path, manifest: Mapping[str, Any]) -> Bundle:
    return Bundle(
        folder=folder,
        pair_id=manifest["pair_id"],
        data_version=manifest["data_version"],
        code_version=manifest["code_version"],
        config=parse_config(_read_json(folder / "config.json")),
        calibration=Calibration(**_read_json(folder / "calibration.json")),
        reference=_parse_reference(_read_json(folder / "reference.json")),
    )


def _parse_reference(values: Mapping[str, Any]) -> Reference:
    mix = values.get("scanner_mix")
    return Reference(
        scanners=tuple(values["scanners"]),
        ranges={name: (low, high) for name, (low, high) in values["ranges"].items()},
        trained_on=tuple(values.get("trained_on", ())),
        distributions={
            name: Bins(edges=tuple(bins["edges"]), counts=tuple(bins["counts"]))
            for name, bins in values.get("distributions", {}).items()
        },
        scanner_mix=None if mix is None else Categories(names=tuple(mix["names"]), counts=tuple(mix["counts"])),
    )


def write_bundle(
    folder: Path,
    *,
    networks: Path,
    config: Config,
    calibration: Calibration,
    reference: Reference,
    data_version: str,
    code_version: str,
) -> Bundle:
    """Write a bundle at once; an earlier one in the same place is replaced only when the new one is complete.

    Args:
        folder: where the bundle goes.
        networks: a folder with what `save_denoiser` and `export_classifier` wrote; it is moved into the bundle.
        config: what trained them.
        calibration: fitted on validation.
        reference: what training saw.
        data_version: version of the cohort.
        code_version: version of the code.
    """
    (networks / "config.json").write_text(config.to_json(), "utf-8")
    _write_json(networks / "calibration.json", asdict(calibration))
    _write_json(networks / "reference.json", asdict(reference))
    files = _hash_files(networks)
    pair_id = hashlib.sha256(json.dumps(files, sort_keys=True).encode()).hexdigest()[:16]
    _write_json(
        networks / _MANIFEST,
        {
            "format": FORMAT,
            "pair_id": pair_id,
            # As text: readers of JSON may lose digits of a large integer. A server that is no Python finds it here.
            "serving_version": str(serving_version(pair_id)),
            "labels": LABELS,
            "data_version": data_version,
            "code_version": code_version,
            "files": files,
        },
    )
    _replace_folder(networks, folder)
    return load_bundle(folder)


def _replace_folder(new: Path, place: Path) -> None:
    old = place.with_name(place.name + ".old")
    shutil.rmtree(old, ignore_errors=True)
    if place.exists():
        os.replace(place, old)
    os.replace(new, place)
    shutil.rmtree(old, ignore_errors=True)


def attach_metrics(bundle: Bundle, metrics: Mapping[str, Any]) -> None:
    """Keep the hold-out metrics that were measured through this bundle; that happens once.

    Raises:
        BundleError: the bundle has metrics already, or is signed.
    """
    path = bundle.folder / _METRICS
    if (bundle.folder / SIGNATURE).exists():
        raise BundleError(f"bundle {bundle.pair_id} is signed; metrics are attached before")
    if path.exists():
        raise BundleError(f"bundle {bundle.pair_id} has metrics already; a bundle is not evaluated twice")
    _write_json(path, {"pair_id": bundle.pair_id, **metrics})


def _verify(folder: Path, manifest: Mapping[str, Any]) -> None:
    found = _hash_files(folder)
    expected: dict[str, str] = manifest["files"]
    for name in sorted(expected.keys() | found.keys()):
        if name not in found:
            raise BundleError(f"bundle {manifest['pair_id']} has lost {name}; fetch or train it again")
        if found[name] != expected.get(name):
            raise BundleError(f"{name} in bundle {manifest['pair_id']} was changed after it was written")
    digest = hashlib.sha256(json.dumps(expected, sort_keys=True).encode()).hexdigest()[:16]
    if digest != manifest["pair_id"]:
        raise BundleError(f"the manifest's pair_id is {manifest['pair_id']}, but its content hashes to {digest}")
    version = str(serving_version(digest))
    if manifest.get("serving_version", version) != version:
        raise BundleError(f"the manifest's serving_version is {manifest['serving_version']}, not {version}")


def _hash_files(folder: Path) -> dict[str, str]:
    return {
        path.relative_to(folder).as_posix(): hashlib.sha256(path.read_bytes()).hexdigest()
        for path in sorted(folder.rglob("*"))
        if path.is_file() and path.relative_to(folder).as_posix() not in _UNHASHED
    }


def _read_json(path: Path) -> dict[str, Any]:
    try:
        values = json.loads(path.read_text("utf-8"))
    except (OSError, ValueError) as error:
        raise BundleError(f"{path.name} of the bundle cannot be read: {error}") from None
    if not isinstance(values, dict):
        raise BundleError(f"{path.name} of the bundle must hold a JSON object")
    return values


def _write_json(path: Path, values: Mapping[str, Any]) -> None:
    partial = path.with_suffix(".partial")
    partial.write_text(json.dumps(values, indent=2, sort_keys=True), "utf-8")
    os.replace(partial, path)
