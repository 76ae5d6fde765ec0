"""What a catalogue knows of work under way, so that nothing is left behind unseen.

Before the first byte of a write reaches a store, the catalogue holds a record of it, and the
commit that makes the dataset visible removes that record. So what a killed process left behind
is exactly what the records that remain name.
"""

import os
import re
import shutil
import socket
import tempfile
from dataclasses import dataclass
from datetime import datetime, timedelta
from pathlib import Path
from typing import Any, Self

from atdata.model.entry import now
from atdata.model.names import check_name
from atdata.model.plain import dumps
from atdata.model.record import PENDING, Row
from atdata.model.rows import read_json

_BOOT = Path("/proc/sys/kernel/random/boot_id")
_TOKEN = re.compile(r"[0-9a-f]{16}")
TEMPORARY = "atdata-"
RUNNING: set[str] = set()
"""Tokens of the writes that this process is at."""


@dataclass(frozen=True, slots=True)
class Maker:
    """Which process does the work, told apart from any other that was or will be.

    Attributes:
        host: The machine, this start of it, and the container.
        pid: The process.
        born: When the process was started, in clock ticks since the machine was; 0 if unknown.
    """

    host: str
    pid: int
    born: int

    @classmethod
    def this(cls) -> Self:
        """This process."""
        return cls(_host(), os.getpid(), _born(os.getpid()))

    @property
    def is_here(self) -> bool:
        """Whether the process ran on this machine, since it was last started."""
        return self.host == _host()

    @property
    def is_alive(self) -> bool:
        """Whether the process, if it is of this machine, still runs."""
        if not self.is_here:
            return True
        try:
            os.kill(self.pid, 0)
        except ProcessLookupError:
            return False
        except PermissionError:
            pass
        return _born(self.pid) == self.born


def _host() -> str:
    boot = _BOOT.read_text().strip() if _BOOT.exists() else ""
    try:
        space = os.readlink("/proc/self/ns/pid")
    except OSError:
        space = ""
    return f"{socket.gethostname()}/{boot}/{space}"


def _born(pid: int) -> int:
    try:
        status = Path(f"/proc/{pid}/stat").read_text()
    except OSError:
        return 0
    # The process's name stands in parentheses and may hold anything; the rest are numbers.
    fields = status.rpartition(")")[2].split()
    return 0 if fields[0] == "Z" else int(fields[19])


@dataclass(frozen=True, slots=True)
class Pending:
    """A piece of work that is under way, or was when its process ended.

    Attributes:
        name: The dataset it is for.
        token: What its shards' keys begin with, after the name.
        store: The store it writes to, in words.
        own_store: Whether that is the repository's own store.
        maker: Who does it.
        started: When it began.
        keys: What is to be removed, for the removal of a dataset.
        folder: A temporary folder outside the store, where it has one.
    """

    name: str
    token: str
    store: str
    own_store: bool
    maker: Maker
    started: datetime
    keys: tuple[str, ...] = ()
    folder: str | None = None

    @property
    def key(self) -> tuple[str, str, str]:
        """The key of its row."""
        return PENDING, self.name, self.token

    @property
    def prefix(self) -> str:
        """What the keys of its shards begin with."""
        return f"{self.name}/{self.token}"

    def is_over(self, older_than: timedelta) -> bool:
        """Whether nobody works at it any more, as far as can be told from here."""
        if self.maker == Maker.this():
            return self.token not in RUNNING
        if self.maker.is_here:
            return not self.maker.is_alive
        return now() - self.started > older_than

    def row(self) -> Row:
        """The work as a row."""
        facts: dict[str, Any] = {
            "store": self.store,
            "ownStore": self.own_store,
            "host": self.maker.host,
            "pid": self.maker.pid,
            "born": self.maker.born,
            "started": self.started.isoformat(),
            "keys": list(self.keys),
            "folder": self.folder,
        }
        return Row(PENDING, self.name, self.token, dumps(facts))

    @classmethod
    def of(cls, row: Row) -> Self:
        """The work that a row holds.

        Raises:
            ValueError: It holds none, or what no write of ours would say.
        """
        facts = read_json(row)
        kinds = {
            "store": str, "ownStore": bool, "host": str, "pid": int, "born": int, "started": str,
            "keys": list, "folder": str,
        }  # fmt: skip
        for name, kind in kinds.items():
            if type(facts.get(name)) is not kind and (name, facts.get(name)) != ("folder", None):
                raise ValueError(f"{row.kind} {row.name!a}: {name} is no {kind.__name__}")
        keys: list[Any] = facts["keys"]
        started = datetime.fromisoformat(facts["started"])
        if (
            not _TOKEN.fullmatch(row.tag)
            or not all(isinstance(key, str) for key in keys)
            or not 0 < facts["pid"] < 1 << 31
            or started.tzinfo is None
        ):
            raise ValueError(f"{row.kind} {row.name!a} holds what no write says")
        return cls(
            check_name(row.name),
            row.tag,
            facts["store"],
            facts["ownStore"],
            Maker(facts["host"], facts["pid"], facts["born"]),
            started,
            tuple(keys),
            facts["folder"],
        )

    def remove_folder(self) -> int:
        """Remove the temporary folder, if it is one and of this machine; gives its bytes."""
        if self.folder is None or not self.maker.is_here:
            return 0
        folder = Path(self.folder)
        ours = folder.name == f"{TEMPORARY}{self.token}" and not folder.is_symlink()
        if not ours or folder.parent != Path(tempfile.gettempdir()):
            return 0
        n_bytes = sum(path.stat().st_size for path in folder.rglob("*") if path.is_file())
        shutil.rmtree(folder, ignore_errors=True)
        return n_bytes
