"""A server program as a process: a free port for it, its start, its end."""

import errno
import json
import os
import signal
import socket
import subprocess
import sys
import time
from collections.abc import Callable, Mapping, Sequence
from contextlib import suppress
from dataclasses import dataclass
from pathlib import Path

from atdata._exceptions import AtdataError, printable
from atdata.services import keep

HOST = "127.0.0.1"
"""Where every server listens: on this machine alone."""

_KEEPER = keep.__file__
_LOOK = 0.01
_PATIENCE = 60.0


type Account = tuple[int, int]
"""A user id and a group id."""


class ServiceError(AtdataError, RuntimeError):
    """A local server cannot be started, or did not stay.

    Attributes:
        service: What it is, such as `"PostgreSQL"`.
        reason: What happened.
    """

    def __init__(self, service: str, reason: str, *, hint: str) -> None:
        self.service = service
        self.reason = reason
        super().__init__(f"cannot start {service}\n  reason  {printable(reason, 2000)}\n  {hint}")


@dataclass(frozen=True, slots=True)
class Program:
    """A server program to start.

    Attributes:
        service: What it is, for messages.
        command: The program and its arguments. Passwords are in files, for anyone may list this.
        folder: Its working folder.
        log: What it prints is added to this file.
        env: Its environment.
        account: User and group id to run as; None for our own.
        stop: The signal that has it end in good order.
        remove: A folder to remove after its end.
    """

    service: str
    command: Sequence[str]
    folder: Path
    log: Path
    env: Mapping[str, str]
    account: Account | None = None
    stop: int = signal.SIGTERM
    remove: Path | None = None


@dataclass(frozen=True, slots=True)
class Identity:
    """A process as the system knows it; a later one with the same id began at another time.

    Attributes:
        pid: Its process id.
        began: When it began, in the system's own words.
    """

    pid: int
    began: str

    @staticmethod
    def of(pid: int) -> "Identity | None":
        """The process that has this id now; None if there is none, or it has ended.

        Examples:
            >>> import os
            >>> me = Identity.of(os.getpid())
            >>> me.is_alive()
            True
        """
        if sys.platform == "linux":
            try:
                stat = Path(f"/proc/{pid}/stat").read_text(encoding="ascii", errors="replace")
                boot = Path("/proc/sys/kernel/random/boot_id").read_text(encoding="ascii").strip()
            except OSError:
                return None
            state, *facts = stat.rpartition(")")[2].split()
            return None if state in "ZX" else Identity(pid, f"{facts[18]} {boot}")
        command = ["ps", "-o", "lstart=", "-p", str(pid)]
        told = subprocess.run(command, capture_output=True, text=True, check=False)  # noqa: S603
        return Identity(pid, told.stdout.strip()) if told.stdout.strip() else None

    def is_alive(self) -> bool:
        """Whether this very process runs."""
        return Identity.of(self.pid) == self

    def end(self, how: int, grace: float = 20.0) -> None:
        """Send it a signal and wait until it is gone; after `grace` seconds it is killed."""
        for sent, seconds in ((how, grace), (signal.SIGKILL, 5.0)):
            if not self.is_alive():
                return
            with suppress(ProcessLookupError):
                os.kill(self.pid, sent)
            _wait(lambda: not self.is_alive(), seconds)


class Child:
    """A running server program that ends with us.

    Attributes:
        identity: The server's process.
    """

    def __init__(self, program: Program, *, may_stay: bool = False) -> None:
        """Start it; one that `may_stay` can be left alone later."""
        self.program = program
        user, group = program.account or (None, None)
        wanted = {
            "command": list(program.command),
            "folder": str(program.folder),
            "log": str(program.log),
            "user": user,
            "group": group,
            "signal": int(program.stop),
            "remove": None if program.remove is None else str(program.remove),
            "may_stay": may_stay,
            "lock": str(program.folder / "lock"),
            "parent": os.getpid(),
        }
        # A session of its own: Ctrl-C is for us, who then end it in good order. The environment,
        # which may hold secrets, is not among the arguments, which anyone may read.
        keeper = subprocess.Popen(  # noqa: S603  our own program
            [sys.executable, "-I", "-S", _KEEPER, json.dumps(wanted)],
            stdin=subprocess.PIPE,
            stdout=subprocess.PIPE,
            stderr=subprocess.PIPE,
            env=program.env,
            start_new_session=True,
        )
        assert keeper.stdout is not None
        line = keeper.stdout.readline()
        identity = Identity.of(int(line)) if line.strip() else None
        self._keeper: subprocess.Popen[bytes] | None = keeper
        if identity is None:
            said = _close(keeper)
            self._keeper = None
            reason = said.strip().rpartition("\n")[2] or self.log_tail()
            raise ServiceError(program.service, reason, hint=f"Its log: {program.log}")
        self.identity = identity

    @property
    def is_alive(self) -> bool:
        """Whether the server runs."""
        return self.identity.is_alive()

    def wait_until(
        self, ready: Callable[[Identity], bool], *, patience: float = _PATIENCE
    ) -> None:
        """Wait until the server answers.

        Raises:
            ServiceError: It ended, or said nothing in `patience` seconds. It is stopped then.
        """
        try:
            _wait(lambda: ready(self.identity) or not self.is_alive, patience)
            if self.is_alive and ready(self.identity):
                return
            alive = self.is_alive
        except BaseException:
            self.stop()
            raise
        self.stop()
        reason = f"it gave no answer in {patience:g} s" if alive else "it ended at once"
        raise ServiceError(
            self.program.service,
            f"{reason}; its last words: {self.log_tail()}",
            hint=f"Its log: {self.program.log}",
        )

    def stop(self) -> None:
        """End the server and wait for it."""
        if self._keeper is None:
            self.identity.end(self.program.stop)
            return
        keeper, self._keeper = self._keeper, None
        _close(keeper)

    def leave(self) -> None:
        """Let the server stay when we are gone; it must have been started so."""
        keeper, self._keeper = self._keeper, None
        if keeper is not None:
            _close(keeper, b"1")

    def log_tail(self, n_chars: int = 1000) -> str:
        """The end of what the server printed."""
        try:
            return self.program.log.read_text(errors="replace")[-n_chars:].strip()
        except OSError:
            return ""


def _close(keeper: subprocess.Popen[bytes], word: bytes = b"") -> str:
    """Let the keeper end, and the server with it unless a word is said; what it complained of."""
    with keeper:
        return keeper.communicate(word)[1].decode(errors="replace")


def _wait(done: Callable[[], bool], seconds: float) -> None:
    end = time.monotonic() + seconds
    while not done() and time.monotonic() < end:
        time.sleep(_LOOK)


def free_port(wished: int = 0) -> int:
    """A loopback port that nothing listens on at the moment, the wished one if that is free.

    Examples:
        >>> port = free_port()
        >>> free_port(port) == port
        True
    """
    with socket.socket() as probe:
        probe.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
        try:
            probe.bind((HOST, wished))
        except OSError as error:
            if wished == 0 or error.errno not in {errno.EADDRINUSE, errno.EACCES}:
                raise
            probe.bind((HOST, 0))
        port: int = probe.getsockname()[1]
        return port


def answers(port: int, question: bytes, answer: bytes) -> bool:
    """Whether a server on the port answers a question, with these bytes at the beginning.

    Examples:
        >>> answers(free_port(), b"PING", b"PONG")
        False
    """
    try:
        with socket.create_connection((HOST, port), 1) as connection:
            connection.sendall(question)
            heard = b""
            while len(heard) < len(answer) and (piece := connection.recv(4096)):
                heard += piece
            return heard.startswith(answer)
    except OSError:
        return False
