"""What the local runner and its steps write: kept in a log, with the events of the steps and of the cache read out."""

import io
import logging
import re
import threading
from collections.abc import Callable
from typing import TextIO

from integrations.step_events import StepEvent, parse_event

_EVENT = '{"covidctnet_step"'
_CACHE_HIT = re.compile(r"Task (\S+) cache hit")


class StepOutput(io.TextIOBase):
    """Takes the place of standard output while the pipeline runs.

    Args:
        log: where everything is kept.
        on_event: told of what a step says.
    """

    def __init__(self, log: TextIO, on_event: Callable[[StepEvent], None]) -> None:
        self._log, self._on_event = log, on_event
        # Shards run in threads, whose lines arrive in pieces.
        self._pending = threading.local()
        self._lock = threading.RLock()

    def write(self, text: str) -> int:
        """Keep the text; whole lines are looked at."""
        *lines, rest = (getattr(self._pending, "text", "") + text).split("\n")
        self._pending.text = rest
        with self._lock:
            for line in lines:
                self._log.write(line + "\n")
                self._log.flush()
                start = line.find(_EVENT)
                event = parse_event(line[start:]) if start >= 0 else None
                if event is not None:
                    self._on_event(event)
        return len(text)

    def isatty(self) -> bool:
        """No person reads this."""
        return False


class CacheHits(logging.Filter):
    """Told by the root logger, on which the local runner says that a finished step is used again.

    Args:
        on_hit: called with the component's name.
    """

    def __init__(self, on_hit: Callable[[str], None]) -> None:
        super().__init__()
        self._on_hit = on_hit

    def filter(self, record: logging.LogRecord) -> bool:
        """Look at a record and let it pass."""
        found = _CACHE_HIT.match(record.getMessage())
        if found:
            self._on_hit(found[1])
        return True
