"""What every local server has in common: a folder, secrets, a port, and a life."""

import json
import os
import secrets
import shutil
import signal
import tempfile
from abc import ABC, abstractmethod
from dataclasses import dataclass, field
from pathlib import Path
from types import TracebackType
from typing import ClassVar, Self

from atdata.services.process import (
    HOST,
    Account,
    Child,
    Identity,
    Program,
    ServiceError,
    free_port,
)

_TRIES = 3
_KEPT = "service.json"


@dataclass(frozen=True, slots=True)
class Settings:
    """How a server is started.

    Attributes:
        folder: Where its data stay; None for a temporary folder that goes with the server.
        port: The port wished for; 0 for the one it had before, or any. If another program has it,
            the server takes a free one.
        password: The password; empty for the one it had before, or a new random one.
    """

    folder: Path | None = None
    port: int = 0
    password: str = field(default="", repr=False)


class Server[S: Settings](ABC):
    """A server on loopback, as a context manager.

    Attributes:
        settings: How it is started.
        host: Its address.
        port: Its port; 0 while it does not run.
        folder: Where its data are.
        password: Its password.
        identity: Its process, while it runs.
    """

    service: ClassVar[str]
    """What it is, in a word for people."""

    kind: ClassVar[str]
    """What it is, in a word for programs."""

    stop_signal: ClassVar[int] = signal.SIGTERM
    """What has it end in good order."""

    def __init__(self, settings: S) -> None:
        self.settings = settings
        self.host = HOST
        self.port = 0
        self.password = ""
        self.folder = Path()
        self.identity: Identity | None = None
        self._child: Child | None = None
        self._facts: dict[str, str] = {}

    def __repr__(self) -> str:
        """Where it is, without its password."""
        where = f"{self.host}:{self.port}" if self.port else "stopped"
        return f"<{type(self).__name__} {where}>"

    def __enter__(self) -> Self:
        return self.start()

    def __exit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        trace: TracebackType | None,
    ) -> None:
        self.stop()

    def start(self, *, may_stay: bool = False) -> Self:
        """Start the server, and return when it answers. It ends with us, however we end.

        Args:
            may_stay: Start it so that `leave` can be called later.

        Raises:
            ServiceError: There is no such program here, or it does not start.
            ValueError: It is to stay, and its data are not.
        """
        if self.identity is not None:
            raise ServiceError(self.service, "it runs already", hint="Stop it first: stop().")
        if may_stay and self.settings.folder is None:
            raise ValueError("a server that stays needs a folder that stays: settings.folder")
        self._child = self._start(may_stay)
        self.identity = self._child.identity
        return self

    def leave(self) -> None:
        """Let the server run on when we are gone; `attach` finds it again."""
        assert self._child is not None
        assert self.identity is not None
        self._keep(pid=str(self.identity.pid), began=self.identity.began)
        self._child.leave()
        self._child = None

    def attach(self) -> bool:
        """Take up a server that was left running in `settings.folder`.

        Returns:
            Whether there is one. A process that merely has its id now is none.
        """
        assert self.settings.folder is not None
        self.folder = self.settings.folder.expanduser().resolve()
        self._facts = _read(self.folder / _KEPT)
        if "pid" not in self._facts:
            return False
        identity = Identity(int(self._facts["pid"]), self._facts["began"])
        if not identity.is_alive():
            return False
        self.identity, self.port = identity, int(self._facts["port"])
        self._choose_secrets()
        return True

    def _start(self, may_stay: bool) -> Child:
        kept = self.settings.folder is not None
        self.folder = _own_folder(self.settings.folder, self.kind)
        child: Child | None = None
        try:
            self._facts = _read(self.folder / _KEPT)
            self._choose_secrets()
            child = self._start_on_a_port(may_stay)
            if kept:
                self._keep(pid="", began="")
        except BaseException:
            self.port = 0
            if child is not None:
                child.stop()
            if not kept:
                shutil.rmtree(self.folder, ignore_errors=True)
            raise
        return child

    def _keep(self, **facts: str) -> None:
        kept = {**self._facts, "port": str(self.port), **facts}
        self._facts = {name: fact for name, fact in kept.items() if fact}
        write_private(self.folder / _KEPT, json.dumps(self._facts))

    def _start_on_a_port(self, may_stay: bool) -> Child:
        wished = self.settings.port or int(self._facts.get("port", "0"))
        for tries in range(_TRIES, 0, -1):
            self.port = free_port(wished)
            try:
                child = Child(self._program(), may_stay=may_stay)
                child.wait_until(self._is_ready)
            except ServiceError as error:
                if tries == 1 or "in use" not in error.reason:
                    raise
                wished = 0  # another program was faster
            else:
                return child
        raise AssertionError("the last try returns or raises")

    def stop(self) -> None:
        """End the server; a temporary folder is removed. One that does not run is left alone."""
        child, self._child = self._child, None
        identity, self.identity = self.identity, None
        if child is not None:
            child.stop()
        elif identity is not None:
            identity.end(self.stop_signal)
        self.port = 0

    @property
    def is_alive(self) -> bool:
        """Whether its process runs."""
        return self.identity is not None and self.identity.is_alive()

    @property
    def is_ready(self) -> bool:
        """Whether it answers."""
        return self.identity is not None and self.is_alive and self._is_ready(self.identity)

    @abstractmethod
    def _program(self) -> Program:
        """Write what the program needs into `folder`, and say how to run it."""

    @abstractmethod
    def _is_ready(self, identity: Identity) -> bool:
        """Whether this very process answers."""

    def _choose_secrets(self) -> None:
        """Set the secrets: those wished for, those of last time, or new ones."""
        self.password = self._fact("password", self.settings.password)

    def _fact(self, name: str, wish: str) -> str:
        self._facts[name] = wish or self._facts.get(name) or secrets.token_hex(16)
        return self._facts[name]

    def _run(self, *command: str | Path, account: Account | None = None) -> Program:
        return Program(
            service=self.service,
            command=[str(part) for part in command],
            folder=self.folder,
            log=self.folder / "server.log",
            env={**os.environ, "TZ": "UTC"},
            account=account,
            stop=self.stop_signal,
            remove=self.folder if self.settings.folder is None else None,
        )


def _own_folder(wished: Path | None, kind: str) -> Path:
    if wished is None:
        return Path(tempfile.mkdtemp(prefix=f"atdata-{kind}-"))
    folder = wished.expanduser().resolve()
    folder.mkdir(mode=0o700, parents=True, exist_ok=True)
    return folder


def _read(path: Path) -> dict[str, str]:
    try:
        facts: dict[str, str] = json.loads(path.read_bytes())
    except FileNotFoundError:
        return {}
    return facts


def write_private(path: Path, text: str) -> None:
    """Put a file in place, whole, that only we may read.

    Examples:
        >>> write_private(tmp / "secret", "abc")
        >>> oct((tmp / "secret").stat().st_mode & 0o777)
        '0o600'
    """
    descriptor, name = tempfile.mkstemp(dir=path.parent, prefix=f".{path.name}-")
    try:
        with open(descriptor, "w", encoding="utf-8") as file:
            file.write(text)
        Path(name).replace(path)
    except BaseException:
        Path(name).unlink()
        raise
