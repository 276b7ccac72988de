"""A step of the pipeline on record in MLflow: parameters, metrics, figures, data version.

```
with track_step("train denoiser", run_key=key, settings=settings, lineage={"data_version": version}) as tracker:
    tracker.log_params({"epochs": 10})
    tracker.log_history({"loss": [0.7, 0.5]})
    tracker.log_artifact(report)
```

A step fails at its start when MLflow does not answer: nothing is lost then. Later nothing that MLflow does ends it:
what cannot be sent is kept in a spool, and `flush_spool` sends it.
"""

import logging
import os
import re
import uuid
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from dataclasses import asdict, replace
from pathlib import Path
from typing import TYPE_CHECKING, Any

from covidctnet.errors import TrackingError, TrainingInterruptedError
from covidctnet.machine import code_version
from integrations.system_metrics import SystemMetrics
from integrations.tracker import Tracker, now_ms, send_all
from integrations.tracking_client import TrackingSettings, make_client, retry
from integrations.tracking_guard import check_values
from integrations.tracking_runs import find_parent, find_step
from integrations.tracking_spool import Spool

if TYPE_CHECKING:
    from mlflow import MlflowClient

__all__ = ["Tracker", "TrackingSettings", "close_run", "flush_spool", "open_run", "track_step"]

_LOGGER = logging.getLogger(__name__)


@contextmanager
def track_step(
    step: str,
    *,
    run_key: str,
    settings: TrackingSettings,
    lineage: Mapping[str, str] | None = None,
    spool: Path | None = None,
    last: bool = False,
) -> Iterator[Tracker]:
    """Put a step on record, as a child of the run that has the key.

    Steps of one pipeline run that are under way at the same time need different names. A step that is run again
    gets a child of its own, and one that was killed is closed as such. The parent is closed with its last step, or
    with a step that failed; the next step opens it again.

    Args:
        step: name of the step.
        run_key: hash of what the pipeline run starts from, so that a resumed run goes on with its parent.
        settings: where MLflow is.
        lineage: versions of what the step used, set as tags.
        spool: folder for what cannot be sent, `settings.spool` where None; best beside the step's outputs.
        last: no step comes after this one.

    Raises:
        TrackingOutageError: MLflow did not answer at the start.
        TrackingDeniedError: MLflow does not accept the credentials.
        PrivateRecordError: step, key or lineage name an identity.
    """
    for name, text in (("step", step), ("run_key", run_key)):
        if not re.fullmatch(r"[\w .:/-]{1,200}", text):
            raise TrackingError(f"{name} must be letters, digits and spaces, not {text!r}")
    check_values(lineage or {})
    about: dict[str, Any] = {
        "step": step,
        "run_key": run_key,
        "attempt": uuid.uuid4().hex,
        "started": now_ms(),
        "tags": {**(lineage or {}), **_code_tags()},
        "settings": asdict(settings),
    }
    client = retry("connect", lambda: make_client(settings), settings)
    run_id = retry(f"open step {step}", lambda: _open_step(client, settings, about), settings)
    folder = (spool or Path(settings.spool)) / f"{re.sub(r'[^A-Za-z0-9]+', '-', step)}-{about['attempt'][:12]}"
    tracker = Tracker(client, settings, step=about, run_id=run_id, spool=Spool(folder))
    with SystemMetrics(tracker.log_metrics, settings.system_metrics_seconds):
        try:
            yield tracker
        except BaseException as error:
            # The class alone: a message of a library may hold a path or a name.
            stopped = isinstance(error, TrainingInterruptedError) or not isinstance(error, Exception)
            tracker.set_tags({"covidctnet.error": type(error).__name__})
            status = "KILLED" if stopped else "FAILED"
            tracker.end(status)
            _close_parent(tracker, run_key, settings, status)
            raise
    tracker.end("FINISHED")
    if last:
        _close_parent(tracker, run_key, settings, "FINISHED")


def _close_parent(tracker: Tracker, run_key: str, settings: TrackingSettings, status: str) -> None:
    if tracker.is_offline:
        return
    try:
        close_run(run_key, settings=settings, status=status)
    except TrackingError as error:
        _LOGGER.warning("the run could not be closed: %s", error)


def _open_step(client: "MlflowClient", settings: TrackingSettings, about: Mapping[str, Any]) -> str:
    names = ("run_key", "step", "attempt", "started", "tags")
    return find_step(client, settings, **{name: about[name] for name in names})


def _code_tags() -> dict[str, str]:
    tags = {"mlflow.source.git.commit": code_version(), "mlflow.source.type": "PROJECT"}
    image = os.environ.get("COVIDCTNET_IMAGE")
    return {**tags, "covidctnet.image": image} if image else tags


def open_run(run_key: str, *, settings: TrackingSettings) -> str:
    """Make the parent run before any step, or find it; gives its identifier.

    Raises:
        TrackingError: MLflow does not answer, or refuses.
    """
    client = retry("connect", lambda: make_client(settings), settings)
    return retry("open run", lambda: find_parent(client, settings, run_key), settings)


def close_run(run_key: str, *, settings: TrackingSettings, status: str = "FINISHED") -> None:
    """Close the parent run: FINISHED, FAILED or KILLED.

    Raises:
        TrackingError: MLflow does not answer, or refuses.
    """
    client = retry("connect", lambda: make_client(settings), settings)
    parent = open_run(run_key, settings=settings)
    retry("close run", lambda: client.set_terminated(parent, status=status), settings)


def flush_spool(folder: Path, *, uri: str | None = None) -> int:
    """Send what earlier steps could not send.

    Args:
        folder: a spool folder, with one folder a step.
        uri: where to send it; by default where each step was to send it.

    Returns:
        How many steps are now complete in MLflow.

    Raises:
        TrackingError: MLflow does not answer, or refuses a record; what was not sent stays.
    """
    spools = [Spool(path.parent) for path in sorted(folder.glob("*/step.json"))]
    for spool in spools:
        about = spool.step()
        settings = TrackingSettings(**about["settings"])
        settings = replace(settings, uri=uri) if uri else settings
        client = retry("connect", lambda s=settings: make_client(s), settings)  # type: ignore[misc]
        run_id = retry("open step", lambda c=client, s=settings, a=about: _open_step(c, s, a), settings)  # type: ignore[misc]
        send_all(client, run_id, spool, settings)
    return len(spools)
