"""`atdata local up`, `down` and `status`: servers that stay on this machine."""

import fcntl
import os
import shutil
from collections.abc import Generator, Sequence
from contextlib import ExitStack, contextmanager
from dataclasses import asdict, dataclass
from pathlib import Path

import platformdirs
import typer

from atdata._exceptions import printable
from atdata.cli import docker as containers
from atdata.cli.app import complain, print_json
from atdata.services import (
    PostgresServer,
    PostgresSettings,
    RedisServer,
    RedisSettings,
    S3Server,
    S3Settings,
    ServiceError,
)
from atdata.services.server import write_private

type AnyServer = RedisServer | PostgresServer | S3Server

KINDS = ("redis", "postgres", "s3")
BUCKET = "atdata"
"""The bucket that is there from the beginning."""

_ENV = "local.env"
_LOCK = "local.lock"


@dataclass(frozen=True, slots=True)
class Service:
    """A server as it is told of.

    Attributes:
        name: `redis`, `postgres` or `s3`.
        state: `started`, `running`, `not answering`, `stopped`, `deleted` or `never started`.
        address: Where it listens; None if it does not.
        pid: Its process; None if it does not run, or is a container.
    """

    name: str
    state: str
    address: str | None = None
    pid: int | None = None


def up(kinds: Sequence[str], folder: Path | None, *, docker: bool, as_json: bool) -> None:
    """Start servers, all or none, and say how to use them."""
    folder = _folder(folder)
    folder.mkdir(mode=0o711 if os.geteuid() == 0 else 0o700, parents=True, exist_ok=True)
    with _alone(folder):
        if docker:
            _refuse_if(_running(folder), "as processes")
            env = containers.up(kinds, folder)
            services = [Service(kind, "running", env.addresses[kind]) for kind in kinds]
            write_private(folder / _ENV, env.text)
        else:
            _refuse_if(containers.kinds(folder), "as containers")
            services = _up(kinds, folder)
    if as_json:
        print_json(_document(folder, services))
        return
    _print(services)
    _print_use([service.name for service in services], folder / _ENV)


def _up(kinds: Sequence[str], folder: Path) -> list[Service]:
    services: list[Service] = []
    with ExitStack() as undo:
        started: list[AnyServer] = []
        running = {server.kind: server for server in _running(folder)}
        for server in running.values():
            if not server.is_ready:
                raise ServiceError(
                    server.service,
                    f"{server!r} runs, and does not answer",
                    hint="Stop it first: atdata local down",
                )
        for kind in kinds:
            if kind not in running:
                server = _server(kind, folder / kind).start(may_stay=True)
                undo.callback(server.stop)
                started.append(server)
                running[kind] = server
            server = running[kind]
            if isinstance(server, S3Server):
                server.create_bucket(BUCKET)
            services.append(_told(server, "started" if server in started else None))
        write_private(folder / _ENV, _env(list(running.values())))
        for server in started:
            server.leave()
        undo.pop_all()
    return services


def down(folder: Path | None, *, volumes: bool, yes: bool, as_json: bool) -> None:
    """Stop servers, and delete their data if that is wanted."""
    folder = _folder(folder)
    if volumes and not yes:
        typer.confirm(
            f"Delete all data of the servers in {printable(folder)}?", abort=True, err=True
        )
    services: list[Service] = []
    if folder.is_dir():
        with _alone(folder):
            told = {kind: _down(kind, folder, volumes=volumes) for kind in KINDS}
            if containers.kinds(folder):
                for kind in containers.down(folder, volumes=volumes):
                    told[kind] = Service(kind, "deleted" if volumes else "stopped")
            services = list(told.values())
            (folder / _ENV).unlink(missing_ok=True)
    if as_json:
        print_json(_document(folder, services))
    else:
        _print(services)


def _down(kind: str, folder: Path, *, volumes: bool) -> Service:
    server = _server(kind, folder / kind)
    if server.attach():
        server.stop()
    if not _has_data(folder / kind):
        return Service(kind, "never started")
    if volumes:
        shutil.rmtree(folder / kind)
    return Service(kind, "deleted" if volumes else "stopped")


def status(folder: Path | None, *, as_json: bool) -> None:
    """Say what runs."""
    folder = _folder(folder)
    in_containers = containers.states(folder)
    services = [
        Service(kind, *in_containers[kind]) if kind in in_containers else _status(kind, folder)
        for kind in KINDS
    ]
    if as_json:
        print_json(_document(folder, services))
        return
    _print(services)
    if (folder / _ENV).exists():
        typer.echo(f"Addresses with passwords, for you alone: {printable(folder / _ENV)}")


def _status(kind: str, folder: Path) -> Service:
    server = _server(kind, folder / kind)
    if server.attach():
        return _told(server)
    return Service(kind, "stopped" if _has_data(folder / kind) else "never started")


def _told(server: AnyServer, state: str | None = None) -> Service:
    assert server.identity is not None
    state = state or ("running" if server.is_ready else "not answering")
    return Service(server.kind, state, f"{server.host}:{server.port}", server.identity.pid)


def _folder(wished: Path | None) -> Path:
    """The folder wished for, or the user's own; root's servers run as others, who must get in."""
    if wished is not None:
        return wished.expanduser().resolve()
    state = platformdirs.site_state_path if os.geteuid() == 0 else platformdirs.user_state_path
    return state("atdata") / "local"


def _server(kind: str, folder: Path) -> AnyServer:
    if kind == "redis":
        return RedisServer(RedisSettings(folder, appendonly=True))
    if kind == "postgres":
        return PostgresServer(PostgresSettings(folder))
    return S3Server(S3Settings(folder))


def _running(folder: Path) -> list[AnyServer]:
    return [server for kind in KINDS if (server := _server(kind, folder / kind)).attach()]


def _has_data(folder: Path) -> bool:
    return (folder / "service.json").exists()


def _refuse_if(running: Sequence[object], how: str) -> None:
    if running:
        complain(f"servers of this folder run {how}\n  Stop them first: atdata local down")
        raise typer.Exit(1)


@contextmanager
def _alone(folder: Path) -> Generator[None]:
    """Keep a second `up` or `down` away from the folder."""
    with (folder / _LOCK).open("w") as lock:
        try:
            fcntl.flock(lock, fcntl.LOCK_EX | fcntl.LOCK_NB)
        except BlockingIOError:
            complain(f"another atdata is at work in {folder}\n  Try again when it is done.")
            raise typer.Exit(1) from None
        yield


def _env(servers: Sequence[AnyServer]) -> str:
    """What opens the servers, as the lines of an environment file."""
    facts: dict[str, str] = {}
    for server in servers:
        if isinstance(server, RedisServer):
            facts["ATDATA_REDIS_URL"] = server.url
        elif isinstance(server, PostgresServer):
            facts["ATDATA_POSTGRES_DSN"] = server.dsn
        else:
            facts |= server.bucket(BUCKET).credentials
    return "".join(f"{name}={fact}\n" for name, fact in facts.items())


def _document(folder: Path, services: Sequence[Service]) -> dict[str, object]:
    env = folder / _ENV
    return {
        "folder": str(folder),
        "env_file": str(env) if env.exists() else None,
        "services": [asdict(service) for service in services],
    }


def _print(services: Sequence[Service]) -> None:
    for service in services:
        where = "" if service.address is None else f"  {service.address}"
        pid = "" if service.pid is None else f"  pid {service.pid}"
        typer.echo(f"{service.name:<9} {service.state}{where}{pid}")


def _print_use(kinds: Sequence[str], env: Path) -> None:
    """Say how a program gets at the servers; passwords stay in the file."""
    typer.echo(f"\nAddresses with passwords, for you alone: {printable(env)}")
    typer.echo(f"    set -a; . {_shell(env)}; set +a")
    typer.echo("Then, in Python:")
    for line in index_lines(kinds, env):
        typer.echo(f"    {line}")


def index_lines(kinds: Sequence[str], env: Path) -> list[str]:
    """The Python that opens an index on the servers.

    Examples:
        >>> print(*index_lines(["postgres"], tmp), sep="; ")
        import os, atdata; index = atdata.Index("postgres", dsn=os.environ["ATDATA_POSTGRES_DSN"])
    """
    imports, arguments = ["import os, atdata"], list[str]()
    if "postgres" in kinds:
        arguments += ['"postgres"', 'dsn=os.environ["ATDATA_POSTGRES_DSN"]']
    elif "redis" in kinds:
        imports.append("from redis import Redis")
        arguments.append('redis=Redis.from_url(os.environ["ATDATA_REDIS_URL"])')
    if "s3" in kinds:
        imports.append("from atdata.stores import S3DataStore")
        arguments.append(f'data_store=S3DataStore({str(env)!r}, bucket="{BUCKET}")')
    return [*imports, f"index = atdata.Index({', '.join(arguments)})"]


def _shell(path: Path) -> str:
    return "'" + printable(path, 4096).replace("'", "'\\''") + "'"
