"""One address for clients, while the server behind it changes: connections are passed on as they are."""

import asyncio
import contextlib
import socket
import threading
from collections import Counter
from collections.abc import AsyncIterator, Coroutine
from typing import Any

_CHUNK = 1 << 18
_HOST = "127.0.0.1"
_PAUSE_SECONDS = 1.0


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
        self._passing: set[asyncio.Task[None]] = set()
        self._listener = socket.create_server((host, port), family=_family(host), backlog=100)
        self._listener.setblocking(False)
        self.port: int = self._listener.getsockname()[1]
        self._loop = asyncio.new_event_loop()
        self._thread = threading.Thread(target=self._loop.run_forever, name="relay", daemon=True)
        self._thread.start()
        self._loop.call_soon_threadsafe(self._listen)

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
        self._call(self._stop_listening())

    def close(self) -> None:
        """Stop listening and cut what is open."""
        self._call(self._cut())
        self._loop.call_soon_threadsafe(self._loop.stop)
        self._thread.join()
        self._loop.close()

    def _call(self, work: Coroutine[Any, Any, Any]) -> Any:
        return asyncio.run_coroutine_threadsafe(work, self._loop).result()

    def _listen(self) -> None:
        if self._listener.fileno() >= 0:
            self._loop.add_reader(self._listener, self._accept)

    async def _stop_listening(self) -> None:
        if self._listener.fileno() >= 0:
            self._loop.remove_reader(self._listener)
            self._listener.close()

    async def _cut(self) -> None:
        await self._stop_listening()
        while running := asyncio.all_tasks() - {asyncio.current_task()}:
            for task in running:
                task.cancel()
            await asyncio.wait(running)

    def _accept(self) -> None:
        """Take one connection; asyncio's own server loses one that comes while it closes."""
        try:
            client, _ = self._listener.accept()
        except (BlockingIOError, InterruptedError, ConnectionAbortedError):
            return
        except OSError:
            # No file is left for it: it waits in the kernel until others have ended.
            self._loop.remove_reader(self._listener)
            self._loop.call_later(_PAUSE_SECONDS, self._listen)
            return
        client.setblocking(False)
        target = self._target
        task = self._loop.create_task(_pass_on(client, target))
        self._open[target] += 1
        self._passing.add(task)

        def end(_: asyncio.Task[None]) -> None:
            self._open[target] -= 1
            self._passing.discard(task)
            client.close()

        task.add_done_callback(end)


def _family(host: str) -> socket.AddressFamily:
    return socket.getaddrinfo(host, None, type=socket.SOCK_STREAM)[0][0]


async def _pass_on(client: socket.socket, target: int) -> None:
    # Where the server is not to be reached, the client finds its connection closed, as it would without a relay.
    with contextlib.suppress(OSError):
        reader, writer = await asyncio.open_connection(sock=client, limit=_CHUNK)
        async with _closing(writer):
            back_reader, back_writer = await asyncio.open_connection(_HOST, target, limit=_CHUNK)
            async with _closing(back_writer):
                forth = asyncio.create_task(_pump(reader, back_writer))
                try:
                    # The server's end is the end: an idle client may not look at a closed connection for hours.
                    await _pump(back_reader, writer)
                finally:
                    forth.cancel()


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


@contextlib.asynccontextmanager
async def _closing(writer: asyncio.StreamWriter) -> AsyncIterator[None]:
    """Close a connection at the end, after what was written is sent; cut it when cancelled at any point."""
    try:
        try:
            yield
        finally:
            writer.close()
            with contextlib.suppress(OSError):
                await writer.wait_closed()
    except asyncio.CancelledError:
        writer.transport.abort()
        raise
