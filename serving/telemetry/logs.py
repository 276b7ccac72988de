"""Structured logs: one JSON object a line on standard error, with the request's id and without identity."""

import contextlib
import json
import logging
import os
import sys
import time
import traceback
import warnings
from contextvars import ContextVar
from typing import Any

request_id: ContextVar[str | None] = ContextVar("request_id", default=None)
"""Id of the request that is being worked on in this context."""

_OWN = ("serving", "covidctnet")


class JsonFormatter(logging.Formatter):
    """Writes time, level, logger, event, request id and the fields that the record carries.

    An exception is told by its type and the places in the code; its message could quote the study.
    """

    def format(self, record: logging.LogRecord) -> str:
        """One JSON object without line breaks."""
        line: dict[str, Any] = {
            "time": time.strftime("%Y-%m-%dT%H:%M:%S", time.gmtime(record.created)) + f".{int(record.msecs):03d}Z",
            "level": record.levelname.lower(),
            "logger": record.name,
            "event": record.getMessage(),
        }
        if request_id.get() is not None:
            line["request_id"] = request_id.get()
        line |= getattr(record, "fields", {})
        if record.exc_info and record.exc_info[0] is not None:
            frames = traceback.extract_tb(record.exc_info[2])
            line["exception"] = record.exc_info[0].__name__
            line["stack"] = [f"{os.path.basename(frame.filename)}:{frame.lineno} {frame.name}" for frame in frames]
        return json.dumps(line, default=str)


def configure_logs(level: int = logging.INFO) -> None:
    """Log this project as JSON; other libraries only from warnings on, and those that quote headers not at all."""
    handler = logging.StreamHandler(sys.stderr)
    handler.setFormatter(JsonFormatter())
    root = logging.getLogger()
    root.handlers[:] = [handler]
    root.setLevel(logging.WARNING)
    for name in _OWN:
        logging.getLogger(name).setLevel(level)
    # pydicom's messages and warnings quote values of the header.
    logging.getLogger("pydicom").disabled = True
    logging.getLogger("pydicom").propagate = False
    warnings.simplefilter("ignore")


def quiet_tensorflow() -> None:
    """Load TensorFlow without the start-up messages that its compiled code writes before it reads any setting."""
    os.environ.setdefault("TF_CPP_MIN_LOG_LEVEL", "3")
    os.environ.setdefault("KERAS_BACKEND", "tensorflow")
    kept = os.dup(2)
    with open(os.devnull, "wb") as nowhere:
        os.dup2(nowhere.fileno(), 2)
        try:
            with contextlib.suppress(ModuleNotFoundError):
                import tensorflow  # noqa: F401
        finally:
            os.dup2(kept, 2)
            os.close(kept)
    logging.getLogger("tensorflow").setLevel(logging.ERROR)
