"""TensorFlow Serving's PredictionService and ModelService on a ModelStore.

Calls, messages and status codes are those of tensorflow_serving/apis, so that a client cannot tell them apart.
"""

import logging
from typing import Any

import grpc
import numpy as np
from numpy.typing import NDArray

from serving.messages import (
    get_model_metadata_pb2,
    get_model_status_pb2,
    model_service_pb2_grpc,
    predict_pb2,
    prediction_service_pb2_grpc,
)
from serving.predictor.models import LoadedModel, ModelStore, Signature

_LOG = logging.getLogger(__name__)
_DEFAULT_SIGNATURE = "serving_default"
_State = get_model_status_pb2.ModelVersionStatus.State


class PredictionService(prediction_service_pb2_grpc.PredictionServiceServicer):  # type: ignore[misc]
    """Predict and GetModelMetadata; the calls for examples are UNIMPLEMENTED."""

    def __init__(self, store: ModelStore) -> None:
        self._store = store

    def Predict(self, request: Any, context: grpc.ServicerContext) -> Any:  # noqa: N802
        """Run one signature of the pinned version, or of the served one where none is pinned."""
        model = _find(self._store, request.model_spec, context)
        name = request.model_spec.signature_name or _DEFAULT_SIGNATURE
        if name not in model.signatures:
            context.abort(grpc.StatusCode.FAILED_PRECONDITION, f"Serving signature name: {name!r} not found")
        signature = model.signatures[name]
        try:
            outputs = signature.run(_inputs(request, signature))
        except ValueError as error:
            context.abort(grpc.StatusCode.INVALID_ARGUMENT, str(error))
        wanted = set(request.output_filter) or set(outputs)
        if not wanted <= set(outputs):
            context.abort(grpc.StatusCode.INVALID_ARGUMENT, f"there is no output {sorted(wanted - set(outputs))}")
        import tensorflow as tf

        response = predict_pb2.PredictResponse()
        _describe(response.model_spec, request.model_spec.name, model, name)
        for output in sorted(wanted):
            response.outputs[output].CopyFrom(tf.make_tensor_proto(outputs[output]))
        return response

    def GetModelMetadata(self, request: Any, context: grpc.ServicerContext) -> Any:  # noqa: N802
        """The signatures of a version."""
        if list(request.metadata_field) != ["signature_def"]:
            context.abort(grpc.StatusCode.INVALID_ARGUMENT, "metadata_field must be signature_def")
        model = _find(self._store, request.model_spec, context)
        signatures = get_model_metadata_pb2.SignatureDefMap()
        for name, definition in model.signature_defs.items():
            signatures.signature_def[name].CopyFrom(definition)
        response = get_model_metadata_pb2.GetModelMetadataResponse()
        _describe(response.model_spec, request.model_spec.name, model, "")
        response.metadata["signature_def"].Pack(signatures)
        return response


class ModelService(model_service_pb2_grpc.ModelServiceServicer):  # type: ignore[misc]
    """GetModelStatus; configuration cannot be reloaded from outside."""

    def __init__(self, store: ModelStore) -> None:
        self._store = store

    def GetModelStatus(self, request: Any, context: grpc.ServicerContext) -> Any:  # noqa: N802
        """State of the asked version, or of every version that was seen."""
        spec, states = request.model_spec, self._store.states()
        if spec.name != self._store.name:
            context.abort(grpc.StatusCode.NOT_FOUND, f"Could not find any versions of model {spec.name}")
        if spec.HasField("version"):
            states = {version: state for version, state in states.items() if version == spec.version.value}
        if not states:
            context.abort(grpc.StatusCode.NOT_FOUND, f"Could not find any versions of model {spec.name}")
        response = get_model_status_pb2.GetModelStatusResponse()
        for version, state in sorted(states.items(), reverse=True):
            status = response.model_version_status.add(version=version)
            status.state = _State.Value("AVAILABLE" if state == "available" else "END")
            if state not in {"available", "ended"}:
                status.status.error_code, status.status.error_message = grpc.StatusCode.UNKNOWN.value[0], state
        return response


def _find(store: ModelStore, spec: Any, context: grpc.ServicerContext) -> LoadedModel:
    version = spec.version.value if spec.HasField("version") else None
    model = store.find(spec.name, version)
    if model is None:
        asked = f"Latest({spec.name})" if version is None else f"Specific({spec.name}, {version})"
        context.abort(grpc.StatusCode.NOT_FOUND, f"Servable not found for request: {asked}")
    assert model is not None
    return model


def _describe(spec: Any, name: str, model: LoadedModel, signature: str) -> None:
    spec.name, spec.signature_name = name, signature
    spec.version.value = model.version


def _inputs(request: Any, signature: Signature) -> dict[str, NDArray[Any]]:
    import tensorflow as tf

    if set(request.inputs) != set(signature.inputs):
        raise ValueError(f"input keys must be {sorted(signature.inputs)}, not {sorted(request.inputs)}")
    arrays = {}
    for name, (kind, shape) in signature.inputs.items():
        try:
            array = np.asarray(tf.make_ndarray(request.inputs[name]))
        except TypeError as error:
            raise ValueError(str(error)) from None
        fits = len(array.shape) == len(shape) and all(
            side is None or side == got for side, got in zip(shape, array.shape, strict=True)
        )
        if array.dtype != kind or not fits:
            raise ValueError(f"input {name} must be {kind} of shape {shape}, not {array.dtype} of {array.shape}")
        arrays[name] = array
    return arrays
