"""The relay: connections keep their server to the end, new ones get the new one, and both ends end together."""

import contextlib
import gc
import hashlib
import random
import socket
import threading
import time
from collections.abc import Iterator

import pytest

from serving.relay import Relay
from tests.helpers.serving import wait_for


class Echo:
    """A server that says its name, then sends back what it gets; it closes after `quit`."""

    def __init__(self, name: bytes) -> None:
        self._listener = socket.create_server(("127.0.0.1", 0))
        self.port: int = self._listener.getsockname()[1]
        self.lost = threading.Event()
        self._name = name
        threading.Thread(target=self._accept, daemon=True).start()

    def close(self) -> None:
        self._listener.close()

    def _accept(self) -> None:
        with contextlib.suppress(OSError):
            while True:
                connection, _ = self._listener.accept()
                threading.Thread(target=self._serve, args=(connection,), daemon=True).start()

    def _serve(self, connection: socket.socket) -> None:
        with connection:
            try:
                connection.sendall(self._name)
                while data := connection.recv(65536):
                    connection.sendall(data)
                    if data.endswith(b"quit"):
                        return
            except OSError:
                pass
            self.lost.set()


@pytest.fixture
def servers() -> Iterator[tuple[Echo, Echo]]:
    one, two = Echo(b"1"), Echo(b"2")
    yield one, two
    one.close()
    two.close()


@pytest.fixture
def relay(servers: tuple[Echo, Echo]) -> Iterator[Relay]:
    made = Relay("127.0.0.1", 0, servers[0].port)
    yield made
    made.close()


def connect(relay: Relay) -> socket.socket:
    return socket.create_connection(("127.0.0.1", relay.port), timeout=20)


def test_a_connection_stays_where_it_began_and_new_ones_go_to_the_new_server(
    relay: Relay, servers: tuple[Echo, Echo]
) -> None:
    one, two = servers
    with connect(relay) as early:
        assert early.recv(1) == b"1"
        relay.point_to(two.port)
        with connect(relay) as late:
            assert late.recv(1) == b"2"
            early.sendall(b"still here")
            assert early.recv(100) == b"still here"
            assert (relay.connections(one.port), relay.connections(two.port)) == (1, 1)
    wait_for(lambda: relay.connections(one.port) + relay.connections(two.port) == 0)


def test_a_relay_that_stops_lets_open_connections_end(relay: Relay) -> None:
    with connect(relay) as client:
        client.recv(1)
        relay.stop_listening()
        with pytest.raises(ConnectionRefusedError):
            connect(relay)
        client.sendall(b"the rest")
        assert client.recv(100) == b"the rest"


def test_many_bytes_pass_unchanged_both_ways(relay: Relay) -> None:
    sent = hashlib.sha256(b"seed").digest() * 200_000
    with connect(relay) as client:
        client.recv(1)
        threading.Thread(target=client.sendall, args=(sent,)).start()
        got = bytearray()
        while len(got) < len(sent):
            got += client.recv(1 << 16)
    assert bytes(got) == sent


def test_a_client_that_goes_away_is_gone_for_the_server(relay: Relay, servers: tuple[Echo, Echo]) -> None:
    client = connect(relay)
    client.recv(1)
    # With a reset instead of an orderly end.
    client.setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, b"\x01\x00\x00\x00\x00\x00\x00\x00")
    client.close()
    assert servers[0].lost.wait(20)
    wait_for(lambda: relay.connections(servers[0].port) == 0)


def test_a_server_that_closes_ends_the_connection_though_the_client_does_not_look(
    relay: Relay, servers: tuple[Echo, Echo]
) -> None:
    with connect(relay) as client:
        client.recv(1)
        client.sendall(b"quit")
        wait_for(lambda: relay.connections(servers[0].port) == 0)
        assert client.recv(4) == b"quit"
        assert client.recv(1) == b""


def test_nobody_behind_it_closes_the_connection_and_a_taken_port_is_an_error(relay: Relay) -> None:
    with socket.create_server(("127.0.0.1", 0)) as unused:
        port = unused.getsockname()[1]
    relay.point_to(port)
    with connect(relay) as client:
        assert client.recv(1) == b""
    with pytest.raises(OSError, match=r"(?i)address already in use"):
        Relay("127.0.0.1", relay.port, port)


def test_a_connection_that_waits_for_its_answer_survives_the_collection_of_garbage() -> None:
    """A client that has sent all is watched by nobody: nothing but the relay itself holds its task then."""
    with socket.create_server(("127.0.0.1", 0)) as listener:
        relay = Relay("127.0.0.1", 0, listener.getsockname()[1])
        try:
            with connect(relay) as client:
                server, _ = listener.accept()
                with server:
                    client.shutdown(socket.SHUT_WR)
                    assert server.recv(1) == b""
                    for _ in range(3):
                        gc.collect()
                    server.sendall(b"answer")
                    assert client.recv(100) == b"answer"
            wait_for(lambda: relay.connections(listener.getsockname()[1]) == 0)
        finally:
            relay.close()


def test_a_relay_that_is_closed_at_any_moment_leaves_no_connection_behind(servers: tuple[Echo, Echo]) -> None:
    """An open socket that is forgotten is a ResourceWarning, which fails this test at the collection of garbage."""
    chance = random.Random(1)
    for _ in range(100):
        relay = Relay("127.0.0.1", 0, servers[0].port)
        clients = [connect(relay) for _ in range(chance.randrange(1, 6))]
        for client in clients:
            with contextlib.suppress(OSError):
                client.setblocking(False)
                client.sendall(bytes(chance.choice((10, 3_000_000))))
            if chance.random() < 0.6:
                client.close()
        time.sleep(chance.choice((0, 0.0005, 0.002, 0.01)))
        relay.close()
        for client in clients:
            client.close()
        assert relay.connections(servers[0].port) == 0
    gc.collect()
