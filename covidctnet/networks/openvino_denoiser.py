"""The denoiser on OpenVINO: the numerical backend of training's residuals and of serving alike (ADR 0010)."""

import importlib
import queue
import shutil
import sys
import tempfile
from functools import cache
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from covidctnet.errors import BundleError
from covidctnet.machine import usable_cores

IR_NAME = "model.xml"
"""Graph of the exported denoiser; its weights lie beside it in `model.bin`."""


def import_openvino() -> Any:
    """Import OpenVINO without its telemetry.

    The package reports its own import to a statistics server through `openvino_telemetry`, unless that
    cannot be imported: a module set to None is such a one, and OpenVINO then takes its own empty stand-in.

    Raises:
        BundleError: OpenVINO is not installed.
    """
    if "openvino" not in sys.modules:
        sys.modules["openvino_telemetry"] = None  # type: ignore[assignment]
    try:
        return importlib.import_module("openvino")
    except ImportError as error:
        raise BundleError(
            f"OpenVINO cannot be imported ({error}); install a role's lock file, or train with "
            "residual.backend tensorflow"
        ) from None


def export_to_openvino(model: Any, folder: Path, batch_size: int) -> None:
    """Write a Keras denoiser as OpenVINO's intermediate representation: `model.xml` and `model.bin`.

    Weights stay float32 and the batch size is fixed in the graph. Nothing of the model's training is left.

    Args:
        model: slices float32 (batch, y, x, 1) -> denoised slices, on Keras's TensorFlow backend.
        folder: is made, or emptied first.
        batch_size: slices a batch.
    """
    import keras
    import tensorflow as tf

    openvino = import_openvino()
    shutil.rmtree(folder, ignore_errors=True)
    folder.mkdir(parents=True)
    signature = tf.TensorSpec((batch_size, *model.input_shape[1:]), tf.float32, name="slices")
    with tempfile.TemporaryDirectory(dir=folder.parent) as scratch:
        archive = keras.export.ExportArchive()
        archive.track(model)
        archive.add_endpoint("serving_default", lambda slices: model(slices, training=False), [signature])
        archive.write_out(scratch, verbose=False)
        # The reader of SavedModel files, not `convert_model`: that one reports each conversion.
        converted = _core().read_model(scratch)
        openvino.save_model(converted, folder / IR_NAME, compress_to_fp16=False)


class OpenVinoDenoiser:
    """An exported denoiser as a function of one batch; several threads may call it at once.

    Args:
        folder: what `export_to_openvino` wrote.
        batch_size: must be that of the export.
        threads: cores to use; all that the process may use when None. Their number does not change a bit
            of the answer.

    Attributes:
        streams: batches that run side by side, each on a core of its own: cores that share no batch need
            not wait for each other.

    Raises:
        BundleError: the files are missing or damaged, or were exported for another batch size.
    """

    def __init__(self, folder: Path, batch_size: int, *, threads: int | None = None) -> None:
        core = _core()
        try:
            model = core.read_model(folder / IR_NAME)
            shape = tuple(model.input(0).shape)
        except RuntimeError as error:
            reason = str(error).strip().splitlines()[-1].rpartition("/")[2]
            raise BundleError(f"the exported denoiser cannot be loaded: {reason}") from None
        if len(shape) != 4 or shape[0] != batch_size or shape[-1] != 1:
            raise BundleError(
                f"the exported denoiser takes batches of shape {shape}, but residual.batch_size is {batch_size}"
            )
        cores = threads or usable_cores()
        self._compiled = core.compile_model(
            model,
            "CPU",
            {
                # Processors with AMX would else compute in bfloat16.
                "INFERENCE_PRECISION_HINT": "f32",
                "NUM_STREAMS": cores,
                "INFERENCE_NUM_THREADS": cores,
                # Pinned threads of two processes would meet on the same core while another one idles.
                "ENABLE_CPU_PINNING": False,
            },
        )
        self.streams = max(1, int(self._compiled.get_property("NUM_STREAMS")))
        self._idle: queue.SimpleQueue[Any] = queue.SimpleQueue()
        for _ in range(self.streams):
            self._idle.put(self._compiled.create_infer_request())

    def __call__(self, batch: NDArray[np.float32]) -> NDArray[np.float32]:
        """Denoise one batch of float32 slices, shape (batch, y, x, 1)."""
        request = self._idle.get()
        try:
            request.infer({0: batch}, share_inputs=True)
            # A copy: another thread may use the request, and overwrite its output, as soon as it is back.
            denoised: NDArray[np.float32] = request.get_output_tensor(0).data.copy()
        finally:
            self._idle.put(request)
        return denoised


@cache
def _core() -> Any:
    core = import_openvino().Core()
    # A mapped file that is truncated under a running server would end the process.
    core.set_property({"ENABLE_MMAP": False})
    return core
