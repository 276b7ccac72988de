"""Wall times of several variants in turn, so that a busy moment of the machine hits all of them."""

import statistics
import time
from collections.abc import Callable, Iterator, Mapping
from contextlib import contextmanager
from dataclasses import dataclass, field
from typing import Any


@dataclass
class Times:
    """Seconds by stage, one a run: on the clock, and of all cores together.

    The latter hardly depends on what else the machine does.
    """

    seconds: dict[str, list[float]] = field(default_factory=dict)
    processor_seconds: dict[str, list[float]] = field(default_factory=dict)

    @contextmanager
    def measure(self, stage: str) -> Iterator[None]:
        """Time a block."""
        start, worked = time.perf_counter(), time.process_time()
        yield
        self.seconds.setdefault(stage, []).append(time.perf_counter() - start)
        self.processor_seconds.setdefault(stage, []).append(time.process_time() - worked)

    def median(self, stage: str) -> float:
        """Median seconds of a stage."""
        return statistics.median(self.seconds[stage])


def take_turns(variants: Mapping[str, Callable[[], Any]], rounds: int) -> Times:
    """Run every variant once without counting it, then all of them in turn, `rounds` times."""
    times = Times()
    for run in variants.values():
        run()
    for _ in range(rounds):
        for name, run in variants.items():
            with times.measure(name):
                run()
    return times
