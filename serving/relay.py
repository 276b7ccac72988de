"""One address for clients, while the server behind it changes: connections are passed on as they are."""

import asyncio
import contextlib
import threading
from collections import Counter
from collections.abc import Coroutine
from typing import Any

_CHUNK = 1 << 18
_HOST = "127.0.0.1"


class Relay:
    """Listens, and passes each connection to the port that was the target when it came.

    A connection keeps its server to its end, so that a request is never split between two. gRPC's server can take no
    socket over from another process, which is why the address is kept here and not handed on.

    Args:
        host: address to listen on.
        port: TCP port, 0 for a free one.
        target: port on this machine's loopback address.

    Raises:
        OSError: the port is taken.
    """

    def __init__(self, host: str, port: int, target: int) -> None:
        self._target = target
        self._open: Counter[int] = Counter()
        # asyncio itself holds a connection's task by weak references only: collected as garbage, it would be lost.
        self._passing: set[asyncio.Task[Any] | None] = set()
        self._loop = asyncio.new_event_loop()
        self._thread = threading.Thread(target=self._loop.run_forever, name="relay", daemon=True)
        self._thread.start()
        try:
            self._server = self._call(asyncio.start_server(self._pass_on, host, port, limit=_CHUNK))
        except OSError:
            self._end()
            raise
        self.port: int = self._server.sockets[0].getsockname()[1]

    def point_to(self, target: int) -> None:
        """Send connections that come from now on to another port."""

        async def change() -> None:
            self._target = target

        self._call(change())

    def connections(self, target: int) -> int:
        """How many connections to a port are open."""
        return self._open[target]

    def stop_listening(self) -> None:
        """Refuse new connections; those that are open go on."""

        async def stop() -> None:
            self._server.close()

        self._call(stop())

    def close(self) -> None:
        """Stop listening and cut what is open."""

        async def stop() -> None:
            self._server.close()
            running = asyncio.all_tasks() - {asyncio.current_task()}
            for task in running:
                task.cancel()
            await asyncio.gather(*running, return_exceptions=True)

        self._call(stop())
        self._end()

    def _call(self, work: Coroutine[Any, Any, Any]) -> Any:
        return asyncio.run_coroutine_threadsafe(work, self._loop).result()

    def _end(self) -> None:
        self._loop.call_soon_threadsafe(self._loop.stop)
        self._thread.join()
        self._loop.close()

    async def _pass_on(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        target, task = self._target, asyncio.current_task()
        self._open[target] += 1
        self._passing.add(task)
        try:
            back_reader, back_writer = await asyncio.open_connection(_HOST, target, limit=_CHUNK)
            forth = asyncio.create_task(_pump(reader, back_writer))
            try:
                # The server's end is the end: an idle client may not look at a closed connection for hours.
                await _pump(back_reader, writer)
            finally:
                forth.cancel()
                await asyncio.gather(forth, return_exceptions=True)
                await _close(back_writer)
        except OSError:
            # The client finds its connection closed, as it would without a relay.
            pass
        finally:
            self._open[target] -= 1
            await _close(writer)
            self._passing.discard(task)


async def _pump(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
    try:
        while data := await reader.read(_CHUNK):
            writer.write(data)
            await writer.drain()
        if writer.can_write_eof():
            writer.write_eof()
    except OSError:
        # One side broke off: so must the other, or work would go on for nobody.
        writer.transport.abort()


async def _close(writer: asyncio.StreamWriter) -> None:
    writer.close()
    with contextlib.suppress(OSError):
        await writer.wait_closed()
