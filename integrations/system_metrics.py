"""Processor, memory, disk, network and GPU of a step, sampled beside it."""

import importlib
import logging
import threading
from collections.abc import Callable, Mapping
from types import TracebackType
from typing import Any, Self


class SystemMetrics:
    """A thread that samples with MLflow's monitors and hands the metrics to a tracker, which survives an outage.

    MLflow's own thread ends for good at the first request that fails.

    Args:
        log: takes metrics and the number of the sample.
        seconds: time between two samples; 0 takes none.
    """

    def __init__(self, log: Callable[[Mapping[str, float], int], None], seconds: float) -> None:
        self._log, self._seconds = log, seconds
        self._stop = threading.Event()
        self._thread = threading.Thread(target=self._sample, name="system-metrics", daemon=True)

    def __enter__(self) -> Self:
        if self._seconds:
            self._thread.start()
        return self

    def __exit__(self, kind: type[BaseException] | None, error: BaseException | None, at: TracebackType | None) -> None:
        self._stop.set()
        if self._thread.is_alive():
            self._thread.join()

    def _sample(self) -> None:
        logging.getLogger("mlflow.system_metrics").setLevel(logging.ERROR)
        library: Any = importlib.import_module("mlflow.system_metrics.system_metrics_monitor")
        monitor = library.SystemMetricsMonitor(run_id="")
        number = 0
        while not self._stop.wait(self._seconds):
            monitor.collect_metrics()
            self._log({f"system/{name}": value for name, value in monitor.aggregate_metrics().items()}, number)
            for part in monitor.monitors:
                part.clear_metrics()
            number += 1
