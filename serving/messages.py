"""TensorFlow Serving's messages and calls, without TensorFlow.

They are plain protocol buffers, but lie in a package whose import runs all of TensorFlow: 10 s and 600 MB that a
transformer, which runs no TensorFlow, would pay at each start.
"""

import importlib.util
import sys
import types
from collections.abc import Iterator
from contextlib import contextmanager

_PACKAGE = "tensorflow"


@contextmanager
def _package_as_a_folder() -> Iterator[None]:
    """Let modules inside of TensorFlow be imported without running the package itself."""
    found = importlib.util.find_spec(_PACKAGE)
    if _PACKAGE in sys.modules or found is None:
        yield
        return
    folder = types.ModuleType(_PACKAGE)
    folder.__path__ = list(found.submodule_search_locations or ())
    sys.modules[_PACKAGE] = folder
    try:
        yield
    finally:
        # A later `import tensorflow` is then the real one, and finds these modules loaded.
        del sys.modules[_PACKAGE]


with _package_as_a_folder():
    from tensorflow.core.framework import tensor_pb2, types_pb2
    from tensorflow.core.protobuf import saved_model_pb2
    from tensorflow_serving.apis import (
        get_model_metadata_pb2,
        get_model_status_pb2,
        model_service_pb2_grpc,
        predict_pb2,
        prediction_service_pb2_grpc,
    )

__all__ = [
    "get_model_metadata_pb2",
    "get_model_status_pb2",
    "model_service_pb2_grpc",
    "predict_pb2",
    "prediction_service_pb2_grpc",
    "saved_model_pb2",
    "tensor_pb2",
    "types_pb2",
]
