"""Whether the predictor serves the classifier of this transformer's pair: only then is the service ready."""

import asyncio
import contextlib
import logging
from dataclasses import dataclass
from typing import Any

import grpc

from covidctnet.bundle import Bundle
from serving.errors import NotReadyError
from serving.messages import get_model_status_pb2, model_service_pb2_grpc
from serving.settings import PredictorSettings
from serving.transformer.channel import channel_options

_LOG = logging.getLogger(__name__)
_AVAILABLE = get_model_status_pb2.ModelVersionStatus.State.Value("AVAILABLE")


@dataclass(frozen=True)
class PairStatus:
    """Whether the pair is whole, and why not."""

    ready: bool
    reason: str


class PairMonitor:
    """Asks the predictor's ModelService, again and again, for the version that this bundle's pair_id names.

    Of several predictors behind one name, one that serves it is enough: the classifier's calls find it.

    Args:
        address: host and port of the predictor.
        model: name of the model there.
        bundle: this transformer's half.
        settings: how often, and how long an answer may take.
    """

    def __init__(self, address: str, model: str, bundle: Bundle, settings: PredictorSettings) -> None:
        self._model, self._settings = model, settings
        self._pair_id, self.version = bundle.pair_id, bundle.serving_version
        self._channel = grpc.aio.insecure_channel(address, options=channel_options(settings))
        self._stub = model_service_pb2_grpc.ModelServiceStub(self._channel)
        self._task: asyncio.Task[None] | None = None
        self.status = PairStatus(False, "the predictor has not been asked yet")

    def start(self) -> None:
        """Begin to ask."""
        self._task = asyncio.create_task(self._watch())

    async def stop(self) -> None:
        """Stop asking and close the channel."""
        if self._task is not None:
            self._task.cancel()
            with contextlib.suppress(asyncio.CancelledError):
                await self._task
        await self._channel.close()

    async def require_ready(self) -> None:
        """Let a request pass only where both halves are of one pair; asks again where they were not.

        Raises:
            NotReadyError: with the reason.
        """
        if not self.status.ready:
            self._set(await self._ask())
        if not self.status.ready:
            raise NotReadyError(self.status.reason, retry_after=self._settings.status_poll_seconds)

    async def _watch(self) -> None:
        while True:
            self._set(await self._ask())
            await asyncio.sleep(self._settings.status_poll_seconds)

    def _set(self, status: PairStatus) -> None:
        if status != self.status:
            _LOG.info("readiness", extra={"fields": {"ready": status.ready, "reason": status.reason}})
        self.status = status

    async def _ask(self) -> PairStatus:
        """As often as a study's call is tried: each time the next predictor is asked."""
        for _ in range(self._settings.attempts):
            try:
                response = await self._status(self.version)
            except grpc.aio.AioRpcError as error:
                if error.code() is grpc.StatusCode.NOT_FOUND:
                    continue
                return PairStatus(False, f"the predictor cannot be asked ({error.code().name})")
            if any(status.state == _AVAILABLE for status in response.model_version_status):
                return PairStatus(True, f"both halves are of pair {self._pair_id}")
        return PairStatus(False, await self._describe_mismatch())

    async def _describe_mismatch(self) -> str:
        wanted = f"this transformer is of pair {self._pair_id}, version {self.version}"
        try:
            response = await self._status(None)
        except grpc.aio.AioRpcError as error:
            if error.code() is grpc.StatusCode.NOT_FOUND:
                return f"the predictor serves no version of {self._model}, and {wanted}"
            return f"the predictor cannot be asked ({error.code().name})"
        served = [str(status.version) for status in response.model_version_status if status.state == _AVAILABLE]
        return f"the predictor serves version {', '.join(served) or 'none'}, but {wanted}"

    async def _status(self, version: int | None) -> Any:
        request = get_model_status_pb2.GetModelStatusRequest()
        request.model_spec.name = self._model
        if version is not None:
            request.model_spec.version.value = version
        return await self._stub.GetModelStatus(request, timeout=self._settings.status_seconds)
