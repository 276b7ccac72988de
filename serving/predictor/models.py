"""SavedModels by version folder, as TensorFlow Serving keeps them: the latest is served, a new one replaces it."""

import logging
import threading
from collections import Counter
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

_LOG = logging.getLogger(__name__)

_TRIES = 5

Arrays = Mapping[str, NDArray[Any]]


@dataclass(frozen=True, kw_only=True)
class Signature:
    """One callable signature of a loaded model.

    Attributes:
        inputs: type and shape by name, None for a free dimension.
        run: arrays by input name -> arrays by output name.
    """

    inputs: Mapping[str, tuple[np.dtype[Any], tuple[int | None, ...]]]
    run: Callable[[Arrays], Arrays]


@dataclass(frozen=True, kw_only=True)
class LoadedModel:
    """A version in memory, warmed up."""

    version: int
    signatures: Mapping[str, Signature]
    signature_defs: Mapping[str, Any]


class ModelStore:
    """The versions below a base path; thread-safe.

    Args:
        name: under which clients ask for it.
        base_path: holds one folder a version, named by a positive integer.
    """

    def __init__(self, name: str, base_path: Path) -> None:
        self.name, self._base_path = name, base_path
        self._lock = threading.Lock()
        self._current: LoadedModel | None = None
        self._failed: dict[int, str] = {}
        self._tries: Counter[int] = Counter()
        self._ended: set[int] = set()

    def refresh(self) -> None:
        """Load the highest version that is not loaded yet, then let go of the one before it.

        A version that cannot be loaded is tried again, for it may still be on its way; then it is left alone.
        """
        wanted, current = self._highest(), self._current
        if wanted is None or (current is not None and current.version == wanted) or self._tries[wanted] == _TRIES:
            return
        self._tries[wanted] += 1
        try:
            loaded = load_model(self._base_path / str(wanted), wanted)
        except Exception as error:  # noqa: BLE001 - TensorFlow raises whatever a damaged model leads to
            _LOG.error("version %d cannot be loaded: %s", wanted, type(error).__name__)
            with self._lock:
                self._failed[wanted] = f"cannot be loaded: {type(error).__name__}"
            return
        with self._lock:
            if current is not None:
                self._ended.add(current.version)
            self._ended.discard(wanted)
            self._failed.pop(wanted, None)
            self._current = loaded
        self._tries.clear()
        _LOG.info("serving %s version %d", self.name, wanted)

    def _highest(self) -> int | None:
        try:
            return max((int(path.name) for path in self._base_path.iterdir() if _is_version(path)), default=None)
        except OSError as error:
            _LOG.error("the versions cannot be listed: %s", type(error).__name__)
            return None

    def find(self, name: str, version: int | None) -> LoadedModel | None:
        """The model that answers for a name and version; None where there is none."""
        with self._lock:
            current = self._current
        if name != self.name or current is None or version not in {None, current.version}:
            return None
        return current

    def states(self) -> dict[int, str]:
        """Every version seen: "available", "ended" or why it could not be loaded."""
        with self._lock:
            states = {version: "ended" for version in self._ended} | self._failed
            if self._current is not None:
                states[self._current.version] = "available"
        return states


def load_model(folder: Path, version: int) -> LoadedModel:
    """Load a SavedModel and run every signature once, so that the first client does not wait for it."""
    import tensorflow as tf

    from serving.messages import saved_model_pb2

    loaded = tf.saved_model.load(str(folder))
    description = saved_model_pb2.SavedModel.FromString((folder / "saved_model.pb").read_bytes())
    signatures = {name: _signature(loaded, function) for name, function in loaded.signatures.items()}
    for signature in signatures.values():
        signature.run(
            {name: np.zeros([side or 1 for side in shape], kind) for name, (kind, shape) in signature.inputs.items()}
        )
    return LoadedModel(
        version=version, signatures=signatures, signature_defs=dict(description.meta_graphs[0].signature_def)
    )


def _signature(loaded: Any, function: Any) -> Signature:
    import tensorflow as tf

    def run(arrays: Arrays) -> Arrays:
        # The closure keeps the loaded model, whose variables would otherwise go, alive.
        assert loaded is not None
        outputs = function(**{name: tf.constant(array) for name, array in arrays.items()})
        return {name: tensor.numpy() for name, tensor in outputs.items()}

    specs = function.structured_input_signature[1]
    return Signature(
        inputs={name: (np.dtype(spec.dtype.as_numpy_dtype), tuple(spec.shape)) for name, spec in specs.items()},
        run=run,
    )


def _is_version(path: Path) -> bool:
    return path.name.isdecimal() and int(path.name) > 0 and (path / "saved_model.pb").is_file()
