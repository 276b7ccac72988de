"""Processor, memory, disk, network and GPU of a step, sampled beside it."""

import contextlib
import importlib
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
        monitors = _monitors()
        number = 0
        while not self._stop.wait(self._seconds):
            values: dict[str, float] = {}
            for monitor in monitors:
                monitor.collect_metrics()
                values |= {f"system/{name}": value for name, value in monitor.aggregate_metrics().items()}
                monitor.clear_metrics()
            self._log(values, number)
            number += 1


def _monitors() -> list[Any]:
    """MLflow's monitors; that of NVIDIA GPUs where one is there."""
    package = "mlflow.system_metrics.metrics"
    names = {"cpu": "CPUMonitor", "disk": "DiskMonitor", "network": "NetworkMonitor"}
    monitors = [getattr(importlib.import_module(f"{package}.{file}_monitor"), name)() for file, name in names.items()]
    gpu = importlib.import_module(f"{package}.gpu_monitor")
    # Without the driver's library, or without a GPU, MLflow's class refuses to be made.
    with contextlib.suppress(Exception):
        monitors.append(gpu.GPUMonitor())
    return monitors
