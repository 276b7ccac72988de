"""Post a notice to a webhook: signed JSON, tried a few times, no redirect followed."""

import os
import ssl
import time
from http import HTTPStatus

from covidctnet.errors import NotificationError
from integrations.notifications import Notice, NotificationSettings, WebhookTarget
from integrations.webhook_signatures import STANDARD, sign

_TRY_AGAIN = frozenset({HTTPStatus.REQUEST_TIMEOUT, HTTPStatus.TOO_EARLY, HTTPStatus.TOO_MANY_REQUESTS})


def post_notice(target: WebhookTarget, notice: Notice, settings: NotificationSettings) -> None:
    """Post until the target takes it.

    Each try is signed anew, so that the receiver's window holds, and has the same identifier.

    Raises:
        NotificationError: it was refused, or all tries failed.
    """
    import urllib3

    secret = os.environ.get(target.secret_variable, "")
    if not secret:
        raise NotificationError(f"{target.secret_variable} is not set")
    context = ssl.create_default_context(cafile=target.ca_file or None)
    body = notice.to_json().encode()
    problem = ""
    with urllib3.PoolManager(ssl_context=context, retries=False, timeout=settings.timeout_seconds) as pool:
        for number in range(settings.tries):
            if number:
                time.sleep(settings.wait_seconds * 2.0 ** (number - 1))
            stamp = str(int(time.time()))
            headers = {
                "Content-Type": "application/json",
                STANDARD.identifier: notice.identifier,
                STANDARD.timestamp: stamp,
                STANDARD.signature: sign(secret, notice.identifier, stamp, body),
            }
            try:
                status = pool.request("POST", target.url, body=body, headers=headers, redirect=False).status
            except urllib3.exceptions.HTTPError as error:
                problem = type(error).__name__
                continue
            if 200 <= status < 300:
                return
            problem = f"status {status}"
            if status < 500 and status not in _TRY_AGAIN:
                raise NotificationError(f"the webhook refused the notice with status {status}")
    raise NotificationError(f"the webhook did not take the notice in {settings.tries} tries ({problem})")
