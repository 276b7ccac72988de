"""Signed webhooks, sent and received: HMAC-SHA256 over delivery id, time and body.

Source: Standard Webhooks (standardwebhooks.com), section "Signature scheme"; MLflow signs its registry webhooks alike
(`mlflow.webhooks.delivery`), under header names of its own.
"""

import base64
import hashlib
import hmac
from collections.abc import Mapping, Sequence
from dataclasses import dataclass

from covidctnet.errors import WebhookRefusedError

_VERSION = "v1"
_LONGEST_ID = 200


@dataclass(frozen=True, kw_only=True)
class HeaderNames:
    """Where the three parts stand."""

    identifier: str
    timestamp: str
    signature: str


STANDARD = HeaderNames(identifier="webhook-id", timestamp="webhook-timestamp", signature="webhook-signature")
MLFLOW = HeaderNames(identifier="X-MLflow-Delivery-Id", timestamp="X-MLflow-Timestamp", signature="X-MLflow-Signature")


def sign(secret: str, identifier: str, timestamp: str, body: bytes) -> str:
    """The signature's header."""
    content = f"{identifier}.{timestamp}.".encode() + body
    digest = hmac.new(secret.encode(), content, hashlib.sha256).digest()
    return f"{_VERSION},{base64.b64encode(digest).decode('ascii')}"


def verify(
    headers: Mapping[str, str],
    body: bytes,
    *,
    secrets: Sequence[str],
    now: float,
    window_seconds: float,
    names: HeaderNames = STANDARD,
) -> str:
    """Check that a delivery was signed by someone who holds a secret, and lately; gives its identifier.

    Args:
        headers: of the request.
        body: as it came, byte by byte.
        secrets: any of them will do, so that one can be replaced without a gap.
        now: time, s since the epoch.
        window_seconds: how far the delivery's time may be from now.
        names: of the headers.

    Raises:
        WebhookRefusedError: a header is missing or malformed, the time is outside the window, or no signature fits.
    """
    found = {name.lower(): value for name, value in headers.items()}
    identifier, timestamp = (found.get(name.lower(), "") for name in (names.identifier, names.timestamp))
    if not 0 < len(identifier) <= _LONGEST_ID or not identifier.isascii() or not identifier.isprintable():
        raise WebhookRefusedError("the delivery has no identifier")
    if not timestamp.isascii() or not timestamp.isdigit() or len(timestamp) > 12:
        raise WebhookRefusedError("the delivery has no time")
    given = found.get(names.signature.lower(), "").split()
    wanted = [sign(secret, identifier, timestamp, body) for secret in secrets]
    # Every pair is compared, so that the time tells nothing.
    fits = [hmac.compare_digest(one.encode(), other.encode()) for one in given for other in wanted]
    if not any(fits):
        raise WebhookRefusedError("the delivery's signature does not fit")
    if abs(now - int(timestamp)) > window_seconds:
        raise WebhookRefusedError(
            f"the delivery is {abs(now - int(timestamp)):.0f} s from now, more than {window_seconds:.0f} s: it is old, "
            "or a clock is wrong"
        )
    return identifier
