"""Connections that are opened when needed, kept for the next use, and never cross a fork."""

import os
import threading
from collections.abc import Callable, Generator
from contextlib import contextmanager

from atdata.providers._fork import ForkAware

_PATIENCE = 60.0
_OF_PARENTS: list[object] = []
"""Connections that a fork came between; kept, for even to be collected would close them."""


class Pool[C](ForkAware):
    """Connections to one database, each used by one thread at a time.

    Before a fork the pool lets those in use come back and closes all: a child that inherits one
    would share its socket, or SQLite's idea of which locks this process holds. Where one stays in
    use for too long, or the wait for it is interrupted, the child neither uses nor closes it.

    Args:
        connect: Opens a connection.
        disconnect: Closes one.
        usable: Whether one that comes back, or that lay idle, may be used again.
        most: How many are open at once; who wants another waits.

    Examples:
        >>> pool = Pool(lambda: [], lambda connection: connection.append("closed"))
        >>> with pool.use() as connection:
        ...     pass
        >>> with pool.use() as again:
        ...     again is connection
        True
        >>> pool.close()
        >>> connection
        ['closed']
    """

    def __init__(
        self,
        connect: Callable[[], C],
        disconnect: Callable[[C], None],
        usable: Callable[[C], bool] = lambda _: True,
        *,
        most: int = 16,
    ) -> None:
        self._connect, self._disconnect, self._usable = connect, disconnect, usable
        self._most = most
        self._change = threading.Condition(threading.Lock())
        self._idle: list[C] = []
        self._n_busy = 0
        self._generation = 0
        self._forking = False
        self._pid = os.getpid()
        self.follow_forks()

    @contextmanager
    def use(self) -> Generator[C]:
        """A connection, for as long as the block runs; opening one may fail as it will."""
        connection, generation = self._take()
        pid = os.getpid()
        try:
            yield connection
        finally:
            if pid == os.getpid():
                self._give(connection, generation)
            else:
                _OF_PARENTS.append(connection)

    def _take(self) -> tuple[C, int]:
        with self._change:
            while self._forking or self._n_busy >= self._most:
                self._change.wait()
            self._n_busy += 1
            generation = self._generation
            connection = self._idle.pop() if self._idle else None
        try:
            if connection is not None:
                if self._usable(connection):
                    return connection, generation
                self._disconnect(connection)
            return self._connect(), generation
        except BaseException:
            self._done()
            raise

    def _give(self, connection: C, generation: int) -> None:
        usable = False
        try:
            usable = self._usable(connection)
        finally:
            with self._change:
                keep = usable and generation == self._generation
                if keep:
                    self._idle.append(connection)
            try:
                if not keep:
                    self._disconnect(connection)
            finally:
                self._done()

    def _done(self) -> None:
        with self._change:
            self._n_busy -= 1
            self._change.notify_all()

    def close(self) -> None:
        """Close what is idle now, and what is in use when it comes back."""
        with self._change:
            self._generation += 1
            idle, self._idle = self._idle, []
        for connection in idle:
            self._disconnect(connection)

    def before_fork(self) -> None:
        """Close all connections, and let nobody open one."""
        self._change.acquire()
        try:
            self._forking = True
            self._change.wait_for(lambda: self._n_busy == 0, _PATIENCE)
            while self._idle:
                self._disconnect(self._idle.pop())
        except BaseException:
            self._go_on()
            raise

    def after_fork(self) -> None:
        """Connections may be opened again; in a child those of other threads are gone."""
        if self._pid != os.getpid():
            self._leave_to_parent()
        self._go_on()

    def unready_fork(self) -> None:
        """Leave every connection, and a lock that may be held for ever, to the parent."""
        self._change = threading.Condition(threading.Lock())
        self._forking = False
        self._leave_to_parent()

    def _leave_to_parent(self) -> None:
        self._pid = os.getpid()
        self._n_busy = 0
        self._generation += 1
        _OF_PARENTS.extend(self._idle)
        self._idle = []

    def _go_on(self) -> None:
        self._forking = False
        self._change.notify_all()
        self._change.release()
