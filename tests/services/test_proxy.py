"""The proxy passes everything on, and goes wrong exactly as it is told."""

import socket
import threading
import time
from collections.abc import Iterator
from contextlib import contextmanager, suppress

import pytest
from hypothesis import given
from hypothesis import strategies as st

from atdata.services import Fault, Proxy


def echo(connection: socket.socket) -> None:
    """Send back what comes."""
    with connection, suppress(OSError):
        while piece := connection.recv(1 << 16):
            connection.sendall(piece)


@contextmanager
def echoing() -> Iterator[int]:
    """The port of a server that sends back what it gets."""
    with socket.create_server(("127.0.0.1", 0)) as listener:
        threads: list[threading.Thread] = []

        def accept() -> None:
            with suppress(OSError):
                while True:
                    connection, _ = listener.accept()
                    threads.append(threading.Thread(target=echo, args=(connection,)))
                    threads[-1].start()

        accepting = threading.Thread(target=accept)
        accepting.start()
        try:
            yield listener.getsockname()[1]
        finally:
            listener.shutdown(socket.SHUT_RDWR)
            accepting.join()
            for thread in threads:
                thread.join()


@pytest.fixture
def proxy() -> Iterator[Proxy]:
    with echoing() as port, Proxy(port) as proxy:
        yield proxy


def connect(proxy: Proxy) -> socket.socket:
    return socket.create_connection(("127.0.0.1", proxy.port), 5)


def exactly(connection: socket.socket, n_bytes: int) -> bytes:
    """So many bytes, or fewer if there are no more."""
    heard = b""
    while len(heard) < n_bytes and (piece := connection.recv(n_bytes - len(heard))):
        heard += piece
    return heard


def echoed(proxy: Proxy, question: bytes) -> bytes:
    """What comes back through a new connection until it ends; a reset ends it too."""
    heard = b""
    with suppress(OSError), connect(proxy) as connection:
        connection.sendall(question)
        connection.shutdown(socket.SHUT_WR)
        while piece := connection.recv(1 << 16):
            heard += piece
    return heard


@given(question=st.binary(max_size=300_000))
def test_without_a_fault_everything_passes(question: bytes) -> None:
    """Any bytes come back as they were sent."""
    with echoing() as port, Proxy(port) as proxy:
        assert echoed(proxy, question) == question


@pytest.mark.parametrize("n_bytes", [0, 1, 70_000])
def test_an_answer_is_cut_after_so_many_bytes(proxy: Proxy, n_bytes: int) -> None:
    """The client has those bytes and no more, and then a reset."""
    proxy.fault = Fault(cut_after=n_bytes)

    with connect(proxy) as connection:
        connection.sendall(bytes(100_000))
        heard = exactly(connection, n_bytes)
        with pytest.raises(ConnectionResetError):
            connection.recv(1)

    assert len(heard) == n_bytes
    assert proxy.n_struck == 1


def test_a_question_is_cut_after_so_many_bytes(proxy: Proxy) -> None:
    """The server gets the first bytes of a question, and the client no answer to the rest."""
    proxy.fault = Fault(cut_question=4)

    assert b"question".startswith(echoed(proxy, b"question")[:4])
    assert proxy.n_struck == 1


def test_a_fault_can_be_over_after_some_times(proxy: Proxy) -> None:
    """Two connections are refused, and the third is as ever."""
    proxy.fault = Fault(refuse=True, times=2)

    assert [echoed(proxy, b"hello") for _ in range(3)] == [b"", b"", b"hello"]
    assert (proxy.n_struck, proxy.n_connections) == (2, 3)


def test_an_answer_comes_late(proxy: Proxy) -> None:
    """A delay holds an answer back, and loses nothing."""
    proxy.fault = Fault(delay=0.2)
    began = time.monotonic()

    assert echoed(proxy, b"hello") == b"hello"
    assert time.monotonic() - began >= 0.2


def test_a_silent_server_takes_questions_only(proxy: Proxy) -> None:
    """The client waits until its own patience ends."""
    proxy.fault = Fault(silent=True)

    with connect(proxy) as connection:
        connection.sendall(b"hello")
        connection.settimeout(0.1)
        with pytest.raises(TimeoutError):
            connection.recv(1)


def test_a_fault_holds_for_open_connections(proxy: Proxy) -> None:
    """Bytes are counted from when the fault was set."""
    with connect(proxy) as connection:
        connection.sendall(b"before")
        assert exactly(connection, 6) == b"before"
        proxy.fault = Fault(cut_after=2)
        connection.sendall(b"after")

        assert exactly(connection, 2) == b"af"
        with pytest.raises(ConnectionResetError):
            connection.recv(1)


def test_open_connections_can_be_cut(proxy: Proxy) -> None:
    """They are reset, and a new one is taken."""
    with connect(proxy) as connection:
        connection.sendall(b"a")
        assert connection.recv(1) == b"a"
        proxy.cut()
        with pytest.raises(ConnectionResetError):
            connection.recv(1)

    assert echoed(proxy, b"again") == b"again"


def test_a_stopped_proxy_refuses_until_it_starts_again(proxy: Proxy) -> None:
    """It comes back on the port it had."""
    port = proxy.port
    proxy.stop()
    with pytest.raises(ConnectionRefusedError):
        connect(proxy)

    proxy.start()

    assert (proxy.port, echoed(proxy, b"a")) == (port, b"a")


def test_a_server_that_is_gone_is_a_reset() -> None:
    """What the proxy cannot reach, its client cannot either."""
    with echoing() as port:
        pass
    with Proxy(port) as proxy:
        assert echoed(proxy, b"a") == b""


def test_an_address_leads_through_the_proxy(proxy: Proxy) -> None:
    """Everything but the port stays."""
    url = f"redis://:secret@127.0.0.1:{proxy.target[1]}/3"

    assert proxy.url(url) == f"redis://:secret@127.0.0.1:{proxy.port}/3"
