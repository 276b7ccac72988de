"""Signed bundles: who trained one says so, and who serves one insists on it.

`signature.json` holds an Ed25519 signature over the hashes of `manifest.json`, which holds those of all other files,
and of `metrics.json`. A hash finds damage; only a signature finds somebody who changes a file and its hash.
"""

import hashlib
import json
import os
from pathlib import Path

from covidctnet.errors import BundleError, PromotionError
from covidctnet.promotion.signing import BUNDLE, Signer, Verifier

SIGNATURE = "signature.json"
SIGNED = ("manifest.json", "metrics.json")

SIGNING_KEY = "COVIDCTNET_SIGNING_KEY"
"""Environment: private key with which a bundle is signed when it is registered."""

TRUSTED_KEY = "COVIDCTNET_TRUSTED_KEY"
"""Environment: public key; where it is set, no bundle is loaded without a signature of the matching private key."""


def sign_bundle(folder: Path, key: Path) -> None:
    """Write the signature of a bundle that has its metrics; an earlier one is replaced.

    Args:
        folder: of the bundle.
        key: private key in PEM, as `covidctnet model key` makes one.

    Raises:
        BundleError: no bundle, or the key is missing, open to everyone or of another kind.
    """
    message = _message(folder)
    try:
        signature = Signer.load(key, BUNDLE).sign(message)
    except PromotionError as error:
        raise BundleError(f"the bundle cannot be signed: {error}") from None
    partial = folder / f".{SIGNATURE}.partial"
    partial.write_text(json.dumps({"algorithm": "Ed25519", "signature": signature}, indent=2), "utf-8")
    os.replace(partial, folder / SIGNATURE)


def require_trusted(folder: Path) -> None:
    """Refuse a bundle that the key of `COVIDCTNET_TRUSTED_KEY` has not signed; nothing where none is named.

    Raises:
        BundleError: no signature, one of another key or for another bundle, or the key cannot be read.
    """
    key = os.environ.get(TRUSTED_KEY)
    if key:
        require_signature(folder, Path(key))


def require_signature(folder: Path, key: Path) -> None:
    """Refuse a bundle that a key has not signed.

    Args:
        folder: of the bundle.
        key: public key in PEM.

    Raises:
        BundleError: see `require_trusted`.
    """
    try:
        verifier = Verifier.load(key, BUNDLE)
    except PromotionError as error:
        raise BundleError(f"signatures of bundles cannot be checked: {error}") from None
    path = folder / SIGNATURE
    if not path.is_file():
        raise BundleError(
            "the bundle is not signed, and only signed ones are trusted here; use `covidctnet model sign`"
        )
    try:
        signature = str(json.loads(path.read_text("utf-8"))["signature"])
    except (OSError, ValueError, KeyError, TypeError):
        raise BundleError(f"{SIGNATURE} of the bundle cannot be read; fetch the bundle again") from None
    if not verifier.accepts(_message(folder), signature):
        raise BundleError("the bundle's signature does not fit: it was changed after it was signed, or by another key")


def _message(folder: Path) -> str:
    hashes = {
        name: hashlib.sha256((folder / name).read_bytes()).hexdigest() if (folder / name).is_file() else None
        for name in SIGNED
    }
    if hashes[SIGNED[0]] is None:
        raise BundleError(f"the folder is no bundle: it holds no {SIGNED[0]}")
    return json.dumps(hashes, sort_keys=True)
