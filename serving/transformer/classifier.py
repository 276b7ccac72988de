"""The classifier behind TensorFlow Serving's gRPC, as the function that the Predictor takes."""

import logging
import random
from typing import Any

import grpc
import numpy as np
from numpy.typing import NDArray

from covidctnet.labels import LABELS
from serving.admission import Job
from serving.errors import LateError, NotReadyError, StoppedError
from serving.messages import predict_pb2, prediction_service_pb2_grpc, tensor_pb2, types_pb2
from serving.settings import PredictorSettings
from serving.transformer.channel import channel_options

_LOG = logging.getLogger(__name__)
_RETRIED = {grpc.StatusCode.UNAVAILABLE, grpc.StatusCode.RESOURCE_EXHAUSTED, grpc.StatusCode.ABORTED}
_ROUNDING = 1e-3
_INPUT, _OUTPUT, _SIGNATURE = "residual", "probabilities", "serving_default"


class RemoteClassifier:
    """Calls one pinned version of a model; several threads may do so at once.

    Args:
        address: host and port of the predictor.
        model: name of the model there.
        version: the bundle's `serving_version`; no other version may answer.
        settings: deadline, retries and keep-alive.
    """

    def __init__(self, address: str, model: str, version: int, settings: PredictorSettings) -> None:
        self._model, self._version, self._settings = model, version, settings
        self._channel = grpc.insecure_channel(address, options=channel_options(settings))
        self._stub = prediction_service_pb2_grpc.PredictionServiceStub(self._channel)

    def close(self) -> None:
        """Close the channel."""
        self._channel.close()

    def classify(self, stacks: NDArray[np.float32], job: Job) -> NDArray[np.float32]:
        """Ask a predictor; another one where it serves another pair, and again after a break where none is reached.

        Args:
            stacks: residuals, float32 (batch, z, y, x, 1).
            job: bounds every try by its deadline, and ends them when it is stopped.

        Returns:
            Uncalibrated probabilities, float32 (batch, 3).

        Raises:
            NotReadyError: no predictor can be reached, or it serves another pair.
            LateError: the deadline passed.
            StoppedError: the client went away.
        """
        request = predict_pb2.PredictRequest()
        request.model_spec.name, request.model_spec.signature_name = self._model, _SIGNATURE
        request.model_spec.version.value = self._version
        request.inputs[_INPUT].CopyFrom(_to_tensor(stacks))
        request.output_filter.append(_OUTPUT)
        for attempt in range(1, self._settings.attempts + 1):
            job.check()
            call = self._stub.Predict.future(request, timeout=min(self._settings.call_seconds, job.remaining))
            try:
                with job.ended_by(call.cancel):
                    response = call.result()
            except grpc.FutureCancelledError:
                raise StoppedError("the work was stopped while the predictor was asked") from None
            except grpc.RpcError as error:
                self._refuse_or_wait(error.code(), attempt, job)
            else:
                return self._read(response, len(stacks))
        raise NotReadyError(
            f"the predictor could not be reached in {self._settings.attempts} tries; send the study again",
            retry_after=self._settings.max_backoff_seconds,
        )

    def _refuse_or_wait(self, code: grpc.StatusCode, attempt: int, job: Job) -> None:
        job.check()
        _LOG.warning("predictor call failed", extra={"fields": {"attempt": attempt, "status": code.name}})
        if code is grpc.StatusCode.NOT_FOUND:
            if attempt == self._settings.attempts:
                raise NotReadyError("the predictor does not serve this transformer's pair", retry_after=5)
            # During a roll-out the next call goes to another predictor, which may.
            return
        if code is grpc.StatusCode.DEADLINE_EXCEEDED:
            raise LateError("the predictor did not answer in time")
        if code not in _RETRIED:
            raise NotReadyError(f"the predictor refused the residual ({code.name})", retry_after=5)
        if attempt == self._settings.attempts:
            return
        pause = min(self._settings.backoff_seconds * 2 ** (attempt - 1), self._settings.max_backoff_seconds)
        # Jitter: transformers that lost one predictor together must not come back together.
        job.wait(min(pause * random.uniform(0.5, 1.0), job.remaining))

    def _read(self, response: Any, count: int) -> NDArray[np.float32]:
        if response.model_spec.version.value != self._version:
            raise NotReadyError("the predictor answered with another pair's version", retry_after=5)
        probabilities = _from_tensor(response.outputs[_OUTPUT])
        if probabilities.shape != (count, len(LABELS)) or not _are_probabilities(probabilities):
            raise NotReadyError(
                f"the predictor answered shape {probabilities.shape}, or values that are no probabilities"
            )
        return probabilities


def _are_probabilities(values: NDArray[np.float32]) -> bool:
    # Not a number compares as false.
    return bool((values >= 0).all() and np.allclose(values.sum(axis=1), 1.0, rtol=0, atol=_ROUNDING))


def _to_tensor(array: NDArray[np.float32]) -> Any:
    tensor = tensor_pb2.TensorProto(dtype=types_pb2.DT_FLOAT)
    for side in array.shape:
        tensor.tensor_shape.dim.add(size=side)
    tensor.tensor_content = np.ascontiguousarray(array, "<f4").tobytes()
    return tensor


def _from_tensor(tensor: Any) -> NDArray[np.float32]:
    shape = [dimension.size for dimension in tensor.tensor_shape.dim]
    if tensor.dtype != types_pb2.DT_FLOAT:
        raise NotReadyError("the predictor answered another type than float32")
    # TensorFlow Serving writes small tensors as values, larger ones as raw bytes.
    flat = np.frombuffer(tensor.tensor_content, "<f4") if tensor.tensor_content else np.array(tensor.float_val, "<f4")
    if flat.size != int(np.prod(shape)):
        raise NotReadyError(f"the predictor answered {flat.size} values for shape {shape}")
    return flat.astype(np.float32).reshape(shape)
