"""A TCP proxy that delays, cuts and refuses, for tests of what becomes of broken connections."""

import asyncio
import socket
import struct
import threading
from collections.abc import Coroutine
from contextlib import suppress
from dataclasses import dataclass
from types import TracebackType
from typing import Any, Self

from atdata.services.process import HOST

_PIECE = 1 << 16
_RESET = struct.pack("ii", 1, 0)  # linger for no time: closing sends a reset


@dataclass(frozen=True, slots=True)
class Fault:
    """What goes wrong; the default is nothing.

    Attributes:
        refuse: Reset each new connection at once.
        delay: Seconds that each piece of an answer is late.
        silent: Take questions, and give no answer.
        cut_after: Cut a connection after this many bytes of answers, counted from when the fault
            was set. With 0, what was asked is done, and its answer is lost.
        cut_question: Cut it after this many bytes of questions: what was asked is not done.
        times: How often to refuse or cut, before all is well again; None is for ever.
    """

    refuse: bool = False
    delay: float = 0.0
    silent: bool = False
    cut_after: int | None = None
    cut_question: int | None = None
    times: int | None = None


@dataclass(slots=True)
class _Link:
    """What went through it under which fault."""

    fault: Fault
    n_asked: int = 0
    n_answered: int = 0


class Proxy:
    r"""Stands before a server on loopback, and misbehaves when it is told to.

    Args:
        port: The server's port.
        host: The server's address.

    Attributes:
        port: Where the proxy listens; the same after a `stop` and a `start`.
        n_connections: How many connections there were.
        n_struck: How many connections a fault refused or cut.

    Examples:
        >>> from atdata.services import RedisServer
        >>> from atdata.services.process import answers
        >>> with RedisServer() as server, Proxy(server.port) as proxy:
        ...     asked = lambda: answers(proxy.port, b"PING\r\n", b"-NOAUTH")
        ...     well = asked()
        ...     proxy.fault = Fault(cut_after=3)
        ...     well, asked(), proxy.n_struck
        (True, False, 1)
    """

    def __init__(self, port: int, host: str = HOST) -> None:
        self.target = (host, port)
        self.port = 0
        self.n_connections = 0
        self.n_struck = 0
        self._fault = Fault()
        self._n_left: int | None = None
        self._serving: set[asyncio.Task[None]] = set()
        self._loop: asyncio.AbstractEventLoop | None = None
        self._thread: threading.Thread | None = None
        self._server: asyncio.Server | None = None

    def __enter__(self) -> Self:
        return self.start()

    def __exit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        trace: TracebackType | None,
    ) -> None:
        self.stop()

    @property
    def fault(self) -> Fault:
        """What goes wrong now; set it, and it holds at once, for open connections too."""
        return self._fault

    @fault.setter
    def fault(self, fault: Fault) -> None:
        self._fault, self._n_left = fault, fault.times

    def url(self, url: str) -> str:
        """The address of the server with the proxy's port in place of its own."""
        return url.replace(f"{self.target[0]}:{self.target[1]}", f"{HOST}:{self.port}")

    def start(self) -> Self:
        """Begin to listen."""
        if self._loop is None:
            self._loop = asyncio.new_event_loop()
            self._thread = threading.Thread(target=self._loop.run_forever, name="proxy")
            self._thread.start()
            try:
                self._do(self._listen())
            except BaseException:
                self.stop()
                raise
        return self

    def stop(self) -> None:
        """Cut every connection and refuse new ones."""
        loop, thread = self._loop, self._thread
        if loop is None or thread is None:
            return
        self._do(self._close())
        self._loop = self._thread = None
        loop.call_soon_threadsafe(loop.stop)
        thread.join()
        loop.close()

    def cut(self) -> None:
        """Reset the connections that are open now; new ones are taken."""
        self._do(self._cut())

    def _do(self, work: Coroutine[Any, Any, None]) -> None:
        assert self._loop is not None
        asyncio.run_coroutine_threadsafe(work, self._loop).result(30)

    async def _listen(self) -> None:
        self._server = await asyncio.start_server(self._serve, HOST, self.port)
        self.port = self._server.sockets[0].getsockname()[1]

    async def _close(self) -> None:
        if self._server is not None:
            self._server.close()
        await self._cut()

    async def _cut(self) -> None:
        serving = list(self._serving)
        for task in serving:
            task.cancel()
        await asyncio.gather(*serving, return_exceptions=True)

    def _strike(self) -> None:
        self.n_struck += 1
        if self._n_left is not None:
            self._n_left -= 1
            if self._n_left <= 0:
                self.fault = Fault()

    async def _serve(self, asked: asyncio.StreamReader, client: asyncio.StreamWriter) -> None:
        task = asyncio.current_task()
        assert task is not None
        self._serving.add(task)
        self.n_connections += 1
        writers = [client]
        try:
            if self._fault.refuse:
                self._strike()
                return
            answered, server = await asyncio.open_connection(*self.target)
            writers.append(server)
            link = _Link(self._fault)
            async with asyncio.TaskGroup() as directions:
                directions.create_task(self._pass_on(link, asked, server, is_answer=False))
                directions.create_task(self._pass_on(link, answered, client, is_answer=True))
            for writer in writers:
                writer.close()
        except* OSError:
            pass  # one of the two hung up, or the server is not there
        finally:
            for writer in writers:
                _reset(writer)
            self._serving.discard(task)

    async def _pass_on(
        self,
        link: _Link,
        source: asyncio.StreamReader,
        sink: asyncio.StreamWriter,
        *,
        is_answer: bool,
    ) -> None:
        sink.transport.set_write_buffer_limits(high=0)  # so that `drain` waits for all of it
        while piece := await source.read(_PIECE):
            if is_answer and self._fault.delay:
                await asyncio.sleep(self._fault.delay)
            if is_answer and self._fault.silent:
                continue
            n_passed = self._allowed(link, len(piece), is_answer=is_answer)
            sink.write(piece[:n_passed])
            await sink.drain()
            if n_passed < len(piece):
                self._strike()
                raise ConnectionResetError  # ends both directions
        sink.write_eof()

    def _allowed(self, link: _Link, n_bytes: int, *, is_answer: bool) -> int:
        """How many of the next bytes pass; fewer than there are means that the fault strikes."""
        fault = self._fault
        if link.fault is not fault:
            link.fault, link.n_asked, link.n_answered = fault, 0, 0
        most = fault.cut_after if is_answer else fault.cut_question
        done = link.n_answered if is_answer else link.n_asked
        passed = n_bytes if most is None else max(0, min(n_bytes, most - done))
        if is_answer:
            link.n_answered += passed
        else:
            link.n_asked += passed
        return passed


def _reset(writer: asyncio.StreamWriter) -> None:
    """End a connection at once; one that is over already is left as it is."""
    connection = writer.get_extra_info("socket")
    if connection is not None and not writer.is_closing():
        with suppress(OSError):
            connection.setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, _RESET)
    writer.transport.abort()
