"""HTTP connections that do not wait without end for a request that never comes whole."""

import asyncio
from typing import Any

from uvicorn.protocols.http.h11_impl import H11Protocol


class BoundedConnection(H11Protocol):
    """uvicorn's connection, closed where no request's headers have come whole in time, or what a refusal left unread.

    uvicorn itself bounds only the silence after an answer: a client without a token could hold connections, each a file
    descriptor of the server, with a byte now and then.

    Args:
        seconds: for the headers of each request, and for the rest of a body whose answer was sent before its end.
        uvicorn: what uvicorn gives to a connection.
    """

    def __init__(self, *, seconds: float, **uvicorn: Any) -> None:
        super().__init__(**uvicorn)
        self._seconds = seconds
        self._patience: asyncio.TimerHandle | None = None

    def connection_made(self, transport: asyncio.Transport) -> None:  # type: ignore[override]
        """Begin to wait for the first request."""
        super().connection_made(transport)
        self._wait()

    def handle_events(self) -> None:
        """Wait no longer once a request is being answered."""
        super().handle_events()
        if self.cycle is not None and not self.cycle.response_complete:
            self._cease()

    def on_response_complete(self) -> None:
        """Begin to wait for the next request."""
        self._wait()
        super().on_response_complete()

    def connection_lost(self, exc: Exception | None) -> None:
        """Nothing is waited for any more."""
        self._cease()
        super().connection_lost(exc)

    def _wait(self) -> None:
        self._cease()
        self._patience = self.loop.call_later(self._seconds, self.transport.close)

    def _cease(self) -> None:
        if self._patience is not None:
            self._patience.cancel()
            self._patience = None
