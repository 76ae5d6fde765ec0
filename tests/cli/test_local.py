"""`atdata local`: servers that stay, all or none, and whose data nobody loses by mistake."""

import ast
import fcntl
import json
import os
import signal
import stat
import subprocess
import sys
from collections.abc import Iterator
from contextlib import redirect_stdout
from io import StringIO
from pathlib import Path
from typing import Any

import psycopg
import pytest
import redis
from tests.cli.program import ENVIRONMENT, run, strict_json
from tests.services.processes import comes_true, is_there, open_folder, server_of

import atdata
from atdata.cli.local import index_lines

KINDS = ["redis", "postgres", "s3"]
WRITING = """
entry = index.write([atdata.DictSample(n=7)], name="seven")
assert [found.name for found in index.list_datasets()] == ["seven"]
assert entry.data_urls[0].startswith("s3://atdata/")
"""


@pytest.fixture
def folder() -> Iterator[Path]:
    """A folder for servers, which are stopped at the end whatever became of the test."""
    with open_folder() as folder:
        try:
            yield folder
        finally:
            for kind in KINDS:
                server = server_of(kind, folder / kind)
                server.attach()
                server.stop()


def program(*args: object, **environment: str) -> Any:
    """The services as the program tells of them, by name."""
    done = run("local", *args, "--json", **environment)
    assert done.returncode == 0, done.stderr
    assert done.stderr == ""
    return {service["name"]: service for service in strict_json(done.stdout)["services"]}


def local(*args: object) -> Any:
    """The same from within this process, which is faster."""
    with redirect_stdout(StringIO()) as told:
        assert atdata.main(["local", *map(str, args), "--json"]) == 0
    return {service["name"]: service for service in strict_json(told.getvalue())["services"]}


def states(folder: Path) -> dict[str, str]:
    found = local("status", "--dir", folder)
    return {name: service["state"] for name, service in found.items()}


def env_of(folder: Path) -> dict[str, str]:
    lines = (folder / "local.env").read_text().splitlines()
    return dict(line.split("=", 1) for line in lines)


def test_servers_stay_and_keep_what_they_were_given(folder: Path) -> None:
    """Three servers outlive the command; stopped and started, they have their data and places."""
    first = program("up", "--dir", folder)
    env = env_of(folder)
    with redis.Redis.from_url(env["ATDATA_REDIS_URL"]) as client:
        client.set("a", "1")
    with psycopg.connect(env["ATDATA_POSTGRES_DSN"]) as connection:
        connection.execute("CREATE TABLE a (n int)")

    assert [service["state"] for service in first.values()] == ["started"] * 3
    assert all(is_there(service["pid"]) for service in first.values())
    assert program("up", "--dir", folder) == {
        name: {**service, "state": "running"} for name, service in first.items()
    }
    assert run("diagnose", "s3", "atdata", **env).returncode == 0
    code = "\n".join([*index_lines(KINDS, folder / "local.env"), WRITING])
    written = subprocess.run([sys.executable, "-c", code], env={**ENVIRONMENT, **env}, check=True)
    assert written.returncode == 0

    stopped = program("down", "--dir", folder)
    assert [service["state"] for service in stopped.values()] == ["stopped"] * 3
    assert not any(is_there(service["pid"]) for service in first.values())
    assert not (folder / "local.env").exists()

    again = program("up", "--redis", "--postgres", "--dir", folder)
    assert list(again) == ["redis", "postgres"]
    assert [s["address"] for s in again.values()] == [first[n]["address"] for n in again]
    assert env_of(folder).items() <= env.items()
    with redis.Redis.from_url(env["ATDATA_REDIS_URL"]) as client:
        assert client.get("a") == b"1"
    with psycopg.connect(env["ATDATA_POSTGRES_DSN"]) as connection:
        assert connection.execute("SELECT count(*) FROM a").fetchone() == (0,)


def test_passwords_are_in_files_for_one_user(folder: Path) -> None:
    """The program says where they are, and not what they are."""
    done = run("infra", "up", "--redis", "--dir", folder)
    password = env_of(folder)["ATDATA_REDIS_URL"].partition("@")[0].rpartition(":")[2]

    assert done.returncode == 0
    assert str(folder / "local.env") in done.stdout
    assert password not in done.stdout + done.stderr
    assert password not in run("local", "status", "--dir", folder).stdout
    holding = [
        path
        for path in folder.rglob("*")
        if path.is_file() and password.encode() in path.read_bytes()
    ]
    assert folder / "local.env" in holding
    assert {stat.S_IMODE(path.stat().st_mode) for path in holding} == {0o600}


def test_all_start_or_none(folder: Path) -> None:
    """If the second server does not start, the first one is stopped again."""
    done = run("local", "up", "--redis", "--postgres", "--dir", folder, PG_BIN=str(folder))

    assert done.returncode == 1
    assert done.stdout == ""
    assert "cannot start PostgreSQL" in done.stderr
    assert "Traceback" not in done.stderr
    assert states(folder)["redis"] == "stopped"
    assert not (folder / "local.env").exists()


def test_a_server_that_was_killed_is_started_again(folder: Path) -> None:
    """The process id that is on file stands for nobody any more."""
    killed = local("up", "--redis", "--dir", folder)["redis"]["pid"]
    os.kill(killed, signal.SIGKILL)

    assert comes_true(lambda: not is_there(killed))
    assert states(folder)["redis"] == "stopped"
    assert local("up", "--redis", "--dir", folder)["redis"]["state"] == "started"


def test_a_process_that_has_the_id_now_is_left_alone(folder: Path) -> None:
    """Process ids are used again; `down` ends no stranger."""
    local("up", "--redis", "--dir", folder)
    local("down", "--dir", folder)
    kept = folder / "redis" / "service.json"
    kept.write_text(json.dumps({**json.loads(kept.read_text()), "pid": "1", "began": "0"}))

    assert states(folder)["redis"] == "stopped"
    assert local("down", "--dir", folder)["redis"]["state"] == "stopped"
    assert Path("/proc/1").exists()


def test_a_server_that_hangs_is_told(folder: Path) -> None:
    """It runs and does not answer: `status` says so, and `up` does not build on it."""
    pid = local("up", "--redis", "--dir", folder)["redis"]["pid"]
    os.kill(pid, signal.SIGSTOP)
    try:
        assert states(folder)["redis"] == "not answering"
        done = run("local", "up", "--redis", "--dir", folder)
    finally:
        os.kill(pid, signal.SIGCONT)

    assert done.returncode == 1
    assert "does not answer" in done.stderr
    assert "atdata local down" in done.stderr


def test_data_are_deleted_only_when_that_was_confirmed(folder: Path) -> None:
    """Without an answer nothing happens, not even a stop."""
    local("up", "--redis", "--dir", folder)

    asked = run("local", "down", "--volumes", "--dir", folder)

    assert asked.returncode == 1
    assert "Delete all data" in asked.stderr
    assert states(folder)["redis"] == "running"
    deleted = local("down", "--volumes", "--yes", "--dir", folder)
    assert deleted["redis"]["state"] == "deleted"
    assert not (folder / "redis").exists()


def test_folders_of_others_are_left_alone(folder: Path) -> None:
    """What only has the name of a server's folder is not deleted."""
    (folder / "redis").mkdir()
    (folder / "redis" / "mine").write_text("x")

    done = local("down", "--volumes", "--yes", "--dir", folder)

    assert done["redis"]["state"] == "never started"
    assert (folder / "redis" / "mine").read_text() == "x"


def test_nothing_runs_where_nothing_was_started(folder: Path) -> None:
    """`status` and `down` of a folder that is not there are no failures, and make none."""
    nowhere = folder / "nowhere"

    assert set(states(nowhere).values()) == {"never started"}
    assert run("local", "down", "--dir", nowhere).returncode == 0
    assert not nowhere.exists()


def test_two_at_once_do_not_mix(folder: Path) -> None:
    """While one `up` is at work, another one is told to wait."""
    with (folder / "local.lock").open("w") as lock:
        fcntl.flock(lock, fcntl.LOCK_EX)
        done = run("local", "up", "--redis", "--dir", folder)

    assert done.returncode == 1
    assert "another atdata is at work" in done.stderr


def test_servers_of_a_program_are_not_the_commands(folder: Path) -> None:
    """A server that a program runs in the folder is neither taken over nor stopped."""
    with server_of("redis", folder / "redis") as server:
        assert states(folder)["redis"] == "stopped"
        done = run("local", "up", "--redis", "--dir", folder)
        local("down", "--dir", folder)

        assert done.returncode == 1
        assert "another server uses the folder" in done.stderr
        assert server.is_ready


@pytest.mark.parametrize("kinds", [KINDS, ["postgres"], ["redis"], ["s3"], ["redis", "s3"]])
def test_the_lines_to_use_are_python(kinds: list[str], tmp_path: Path) -> None:
    """What is printed for a program can be pasted into one."""
    lines = index_lines(kinds, tmp_path / "it's" / "local.env")

    assert "atdata.Index(" in lines[-1]
    ast.parse("\n".join(lines))


FAKE_DOCKER = """#!/bin/sh
echo "$@" >> {folder}/asked
env | grep _PASSWORD= >> {folder}/given
case "$*" in
  *" ps "*) echo redis ;;
  *" up "*) {up} ;;
esac
"""


def docker(folder: Path, *, up: str = "true") -> dict[str, str]:
    """A path with a docker that writes down what it is asked."""
    program = folder / "bin" / "docker"
    program.parent.mkdir(exist_ok=True)
    program.write_text(FAKE_DOCKER.format(folder=folder, up=up))
    program.chmod(0o755)
    return {"PATH": f"{program.parent}:/usr/bin:/bin"}


def test_containers_are_started_and_stopped_by_compose(folder: Path) -> None:
    """Secrets go by the environment; `down` keeps volumes unless they are to go."""
    path = docker(folder)
    home = folder / "servers"

    up = program("up", "--docker", "--redis", "--dir", home, **path)["redis"]
    env = env_of(home)
    running = program("status", "--dir", home, **path)
    mixed = run("local", "up", "--redis", "--dir", home, **path)
    down = program("down", "--dir", home, **path)
    program("up", "--docker", "--redis", "--dir", home, **path)
    again = env_of(home)
    program("down", "--volumes", "--yes", "--dir", home, **path)

    compose = [line for line in (folder / "asked").read_text().splitlines() if "--file" in line]
    assert [line.partition("compose.yaml ")[2] for line in compose] == [
        "up --detach --wait",
        "ps --services --status running",
        "down",
        "up --detach --wait",
        "down --volumes",
    ]
    assert up["address"] in env["ATDATA_REDIS_URL"]
    assert again == env
    assert (running["redis"]["state"], running["s3"]["state"]) == ("running", "never started")
    assert (mixed.returncode, "run as containers" in mixed.stderr) == (1, True)
    assert (down["redis"]["state"], down["s3"]["state"]) == ("stopped", "never started")
    password = env["ATDATA_REDIS_URL"].partition("@")[0].rpartition(":")[2]
    assert f"REDIS_PASSWORD={password}" in (folder / "given").read_text()
    assert password not in "".join(compose)


def test_containers_that_do_not_start_leave_nothing(folder: Path) -> None:
    """What compose says is told, without passwords, and everything is taken down again."""
    path = docker(folder, up='echo "no image, $REDIS_PASSWORD" >&2; exit 18')

    done = run("local", "up", "--docker", "--redis", "--dir", folder, **path)

    assert done.returncode == 1
    assert "no image, …" in done.stderr
    assert "failed with 18" in done.stderr
    assert (folder / "asked").read_text().splitlines()[-1].endswith("down")
    assert states(folder)["redis"] == "never started"


@pytest.mark.parametrize(
    ("script", "said"),
    [
        (None, "docker is not installed"),
        ("exit 1", "docker does not run"),
        ('test "$1" = info', "docker has no compose"),
    ],
)
def test_without_docker_there_are_no_containers(
    script: str | None, said: str, folder: Path, tmp_path: Path
) -> None:
    """It is said what is missing, and nothing is written."""
    if script is not None:
        (tmp_path / "docker").write_text(f"#!/bin/sh\n{script}\n")
        (tmp_path / "docker").chmod(0o755)

    done = run("local", "up", "--docker", "--dir", folder, PATH=str(tmp_path))

    assert done.returncode == 1
    assert done.stdout == ""
    assert said in done.stderr
    assert {path.name for path in folder.iterdir()} <= {"local.lock"}
