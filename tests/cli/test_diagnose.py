"""`atdata diagnose`: what is wrong is found, told with what to do, and without passwords."""

import sqlite3
from collections.abc import Iterator
from contextlib import closing
from dataclasses import replace
from pathlib import Path
from typing import Any
from urllib.parse import quote

import psycopg
import pytest
import redis
from hypothesis import given
from hypothesis import strategies as st
from tests.cli.program import run, strict_json

import atdata
from atdata.cli.checks import Check, without_secrets
from atdata.cli.checks import postgres as of_postgres
from atdata.cli.checks import redis as of_redis
from atdata.cli.checks import s3 as of_s3
from atdata.cli.checks import sqlite as of_sqlite
from atdata.services import (
    Bucket,
    Fault,
    PostgresServer,
    Proxy,
    RedisServer,
    RedisSettings,
)


def by_name(checks: Iterator[Check]) -> dict[str, Check]:
    return {check.name: check for check in checks}


def diagnose(*args: object, **environment: str) -> tuple[int, dict[str, Any]]:
    """The exit code, and the checks by name."""
    done = run("diagnose", *args, "--json", **environment)
    assert done.stderr == ""
    document = strict_json(done.stdout)
    assert document["ok"] == (done.returncode == 0)
    return done.returncode, {check["name"]: check for check in document["checks"]}


def is_told(check: Check | dict[str, Any]) -> bool:
    """Whether a check that failed says what to do."""
    facts = check if isinstance(check, dict) else {"result": check.result, "advice": check.advice}
    return facts["result"] == "fail" and len(facts["advice"]) > 10


@pytest.fixture
def sound(tmp_path: Path) -> Path:
    """A SQLite file as an index writes it, under an odd name."""
    path = tmp_path / "in dex?#%.db"
    with closing(sqlite3.connect(path)) as connection:
        connection.execute("PRAGMA journal_mode = wal")
        connection.execute("CREATE TABLE t (n)")
        connection.executemany("INSERT INTO t VALUES (?)", [(i,) for i in range(2000)])
        connection.commit()
    return path


def test_a_sound_sqlite_file_is_well(sound: Path) -> None:
    """Every check is made, and none of them changes the file."""
    before = sound.read_bytes()

    code, checks = diagnose("sqlite", sound)

    assert code == 0
    assert {check["result"] for check in checks.values()} == {"ok"}
    assert list(checks) == [
        *("version", "file", "free disk", "integrity", "journal mode", "writable"),
    ]
    assert sound.read_bytes() == before


def test_text_says_what_json_says(sound: Path, tmp_path: Path) -> None:
    """Each check is a line; what is wrong has a second one with what to do."""
    fine, missing = run("diagnose", "sqlite", sound), run("diagnose", "sqlite", tmp_path / "no")

    assert (fine.returncode, missing.returncode) == (0, 1)
    assert fine.stdout.endswith("All is well.\n")
    assert "  fail  file" in missing.stdout
    assert "Index() makes one" in missing.stdout
    assert missing.stdout.endswith("1 of 2 checks failed.\n")
    assert not (tmp_path / "no").exists()


def test_a_damaged_sqlite_file_fails(sound: Path) -> None:
    """Pages with something else in them are found."""
    data = bytearray(sound.read_bytes())
    data[4096 * 2 : 4096 * 3] = b"\xff" * 4096
    sound.write_bytes(data)

    assert is_told(by_name(of_sqlite.checks(sound))["integrity"])


def test_a_file_that_is_no_database_fails(tmp_path: Path) -> None:
    """It is no traceback either."""
    (tmp_path / "notes.db").write_text("not a database " * 100)

    assert is_told(by_name(of_sqlite.checks(tmp_path / "notes.db"))["integrity"])


def test_a_locked_sqlite_file_fails(sound: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """Another program's writing that never ends is found."""
    monkeypatch.setattr(of_sqlite, "_PATIENCE", 0.1)
    with closing(sqlite3.connect(sound, autocommit=True)) as other:
        other.execute("BEGIN IMMEDIATE")

        assert is_told(by_name(of_sqlite.checks(sound))["writable"])


def test_an_old_journal_is_a_warning(tmp_path: Path) -> None:
    """It works, so the exit code is 0."""
    with closing(sqlite3.connect(tmp_path / "old.db")) as connection:
        connection.execute("CREATE TABLE t (n)")

    code, checks = diagnose("sqlite", tmp_path / "old.db")

    assert code == 0
    assert checks["journal mode"]["result"] == "warn"


@pytest.fixture(scope="module")
def kept_redis(tmp_path_factory: pytest.TempPathFactory) -> Iterator[RedisServer]:
    """A Redis server that writes down what it is given."""
    folder = tmp_path_factory.mktemp("redis")
    with RedisServer(RedisSettings(folder=folder, appendonly=True)) as server:
        yield server


def configure(server: RedisServer, **settings: str) -> None:
    with redis.Redis.from_url(server.url) as client:
        for name, value in settings.items():
            client.config_set(name.replace("_", "-"), value)


def test_a_redis_that_keeps_its_data_is_well(kept_redis: RedisServer) -> None:
    """The address may come from the environment; nothing is left behind, and no password told."""
    code, checks = diagnose("redis", ATDATA_REDIS_URL=kept_redis.url)
    text = run("diagnose", "redis", kept_redis.url)

    assert code == 0
    assert {check["result"] for check in checks.values()} == {"ok"}
    assert list(checks) == [
        *("connection", "version", "persistence", "eviction", "memory", "writable"),
    ]
    assert kept_redis.password not in text.stdout + text.stderr
    with redis.Redis.from_url(kept_redis.url) as client:
        assert client.dbsize() == 0


@pytest.mark.parametrize(
    ("name", "value", "check", "result"),
    [
        ("maxmemory_policy", "allkeys-lru", "eviction", "fail"),
        ("maxmemory_policy", "volatile-ttl", "eviction", "ok"),
        ("maxmemory", "1000", "memory", "fail"),
        ("appendonly", "no", "persistence", "fail"),
        ("min_replicas_to_write", "1", "writable", "fail"),
    ],
)
def test_a_redis_that_loses_data_fails(
    name: str, value: str, check: str, result: str, kept_redis: RedisServer
) -> None:
    """Each setting by which data are lost, or not taken, is found."""
    fine = {
        "maxmemory_policy": "noeviction",
        "maxmemory": "0",
        "appendonly": "yes",
        "min_replicas_to_write": "0",
    }
    configure(kept_redis, **{name: value})
    try:
        found = by_name(of_redis.checks(kept_redis.url))[check]
    finally:
        configure(kept_redis, **fine)

    assert found.result == result
    assert is_told(found) == (result == "fail")


def test_snapshots_alone_are_a_warning(kept_redis: RedisServer) -> None:
    """What comes after the last one would be lost; an account that is not told is warned too."""
    configure(kept_redis, appendonly="no", save="3600 1")
    try:
        snapshots = by_name(of_redis.checks(kept_redis.url))["persistence"]
        with redis.Redis.from_url(kept_redis.url) as client:
            client.execute_command("ACL SETUSER guest on >guess ~* +@all -config")
        url = kept_redis.url.replace(f":{kept_redis.password}@", "guest:guess@")
        untold = by_name(of_redis.checks(url))["persistence"]
    finally:
        configure(kept_redis, appendonly="yes", save="")

    assert (snapshots.result, untold.result) == ("warn", "warn")
    assert "3600 1" in snapshots.fact
    assert "not told" in untold.fact


@pytest.mark.parametrize("fault", [Fault(refuse=True), Fault(cut_after=20)])
def test_a_redis_that_cannot_be_reached_fails(redis_server: RedisServer, fault: Fault) -> None:
    """A broken connection is a check that failed, not a traceback."""
    with Proxy(redis_server.port) as proxy:
        proxy.fault = fault
        checks = by_name(of_redis.checks(proxy.url(redis_server.url)))

    assert is_told(checks["connection"])


@pytest.mark.parametrize(
    ("kind", "place"),
    [
        ("redis", "redis://:hunter2@127.0.0.1:{port}/0"),
        ("redis", "redis:/hunter2"),
        ("redis", "postgresql://a:hunter2@127.0.0.1/b"),
        ("postgres", "postgresql://atdata:hunter2@127.0.0.1:{port}/postgres"),
        ("postgres", "host=127.0.0.1 port={port} user=atdata password='hunter2'"),
        ("postgres", "hunter2 nonsense"),
        ("postgres", "postgresql://atdata:hunter2@127.0.0.1:{port}:9/x"),
    ],
)
def test_no_password_is_told(
    kind: str,
    place: str,
    redis_server: RedisServer,
    postgres_server: PostgresServer,
    capsys: pytest.CaptureFixture[str],
) -> None:
    """Whatever is wrong with an address, its password is not printed."""
    port = redis_server.port if kind == "redis" else postgres_server.port

    code = atdata.main(["diagnose", kind, place.format(port=port)])

    told = capsys.readouterr()
    assert code == 1
    assert "hunter2" not in told.out + told.err
    assert "fail  connection" in told.out
    assert told.err == ""


@given(password=st.text(min_size=1).filter(lambda text: "…" not in text), raw=st.booleans())
def test_a_password_is_taken_out_of_any_message(password: str, raw: bool) -> None:
    """Both as it is and as an address writes it."""
    quoted = quote(password, safe="")
    url = f"redis://user:{quoted}@127.0.0.1/0"

    told = without_secrets(f"<<{password if raw else quoted}>>", url)

    assert told == "<<…>>" or password in "<>"


def test_a_sound_database_is_well(postgres_dsn: str) -> None:
    """The address may come from the environment; no table is left behind."""
    code, checks = diagnose("postgres", ATDATA_POSTGRES_DSN=postgres_dsn)

    assert code == 0
    assert {check["result"] for check in checks.values()} == {"ok"}
    assert list(checks) == [
        *("connection", "version", "encoding", "tables", "connections", "idle in transaction"),
    ]
    with psycopg.connect(postgres_dsn) as connection:
        tables = "SELECT count(*) FROM pg_tables WHERE schemaname = 'public'"
        assert connection.execute(tables).fetchone() == (0,)


def test_a_database_without_unicode_fails(postgres_server: PostgresServer) -> None:
    """Names in other scripts could not be kept."""
    with psycopg.connect(postgres_server.dsn, autocommit=True) as connection:
        connection.execute("CREATE DATABASE bare ENCODING SQL_ASCII TEMPLATE template0")
        try:
            found = by_name(of_postgres.checks(postgres_server.dsn_of("bare")))["encoding"]
        finally:
            connection.execute("DROP DATABASE bare WITH (FORCE)")

    assert is_told(found)
    assert found.fact == "SQL_ASCII"


def test_an_account_that_may_not_create_tables_fails(
    postgres_dsn: str, postgres_server: PostgresServer
) -> None:
    """It is found before the first write of an index is."""
    with psycopg.connect(postgres_dsn, autocommit=True) as connection:
        connection.execute("CREATE ROLE reader LOGIN PASSWORD 'guess'")
        try:
            dsn = postgres_dsn.replace(f"atdata:{postgres_server.password}", "reader:guess")
            found = by_name(of_postgres.checks(dsn))
        finally:
            connection.execute("DROP ROLE reader")

    assert is_told(found["tables"])
    assert found["connections"].result == "ok"


def test_a_transaction_that_is_left_open_is_a_warning(postgres_dsn: str) -> None:
    """It holds locks while its program does something else."""
    with psycopg.connect(postgres_dsn) as left_open:
        left_open.execute("SELECT 1")

        found = by_name(of_postgres.checks(postgres_dsn, idle=0.0))["idle in transaction"]

    assert found.result == "warn"
    assert found.fact.startswith("1 ")


def test_a_database_that_is_lost_meanwhile_fails(postgres_server: PostgresServer) -> None:
    """A connection that breaks between two checks is a failed check."""
    with Proxy(postgres_server.port) as proxy:
        checks = of_postgres.checks(proxy.url(postgres_server.dsn))
        first = next(checks)
        proxy.fault = Fault(refuse=True)
        proxy.cut()
        rest = list(checks)

    assert first.result == "ok"
    assert is_told(rest[-1])


def test_a_bucket_that_works_is_well(s3_bucket: Bucket, tmp_path: Path) -> None:
    """Keys come from the environment or from a file; the probe is gone afterwards."""
    lines = [f"export {name}='{value}'" for name, value in s3_bucket.credentials.items()]
    (tmp_path / "s3.env").write_text("# keys\n" + "\n".join(lines))

    code, checks = diagnose("s3", s3_bucket.bucket, **s3_bucket.credentials)
    text = run("diagnose", "s3", f"s3://{s3_bucket.bucket}/a", "--env-file", tmp_path / "s3.env")

    assert code == 0
    assert {check["result"] for check in checks.values()} == {"ok"}
    assert list(checks) == [
        *("credentials", "list", "put", "get", "clock", "create only", "delete"),
    ]
    assert checks["list"]["fact"] == "no objects"
    assert "All is well." in text.stdout
    assert s3_bucket.secret_key not in text.stdout
    assert s3_bucket.access_key not in text.stdout
    assert by_name(of_s3.checks(s3_bucket.bucket, "", s3_bucket.credentials))["list"].fact == (
        "no objects"
    )


def test_a_bucket_that_is_not_there_fails(s3_bucket: Bucket) -> None:
    """The server's own words are told, without its XML."""
    found = by_name(of_s3.checks("nowhere", "", s3_bucket.credentials))["list"]

    assert is_told(found)
    assert found.fact == "404 NoSuchBucket: The specified bucket does not exist."


def test_a_wrong_key_fails(s3_bucket: Bucket) -> None:
    """Neither key is told."""
    wrong = {**s3_bucket.credentials, "AWS_SECRET_ACCESS_KEY": "hunter2"}

    done = run("diagnose", "s3", s3_bucket.bucket, **wrong)

    assert done.returncode == 1
    assert "403 SignatureDoesNotMatch" in done.stdout
    assert "Check the keys" in done.stdout
    assert "hunter2" not in done.stdout + done.stderr
    assert s3_bucket.access_key not in done.stdout + done.stderr


def test_no_keys_are_a_warning_and_a_refusal(s3_bucket: Bucket) -> None:
    """A public bucket needs none; this one does."""
    found = by_name(of_s3.checks(s3_bucket.bucket, "", {"AWS_ENDPOINT": s3_bucket.endpoint}))

    assert found["credentials"].result == "warn"
    assert is_told(found["list"])


def test_a_server_that_is_not_there_fails(s3_bucket: Bucket) -> None:
    """It is told where it was looked for."""
    with Proxy(0) as nothing:
        place = f"http://127.0.0.1:{nothing.port}"
    found = by_name(of_s3.checks("nothing", "", {**s3_bucket.credentials, "AWS_ENDPOINT": place}))

    assert is_told(found["list"])
    assert place in found["list"].fact


def test_one_key_without_the_other_fails() -> None:
    """Nothing is asked with half of what a signature needs."""
    found = list(of_s3.checks("nothing", "", {"AWS_ACCESS_KEY_ID": "hunter2"}))

    assert [check.name for check in found] == ["credentials"]
    assert is_told(found[0])
    assert "AWS_SECRET_ACCESS_KEY" in found[0].fact
    assert "hunter2" not in found[0].fact


def test_a_silent_server_is_asked_once(s3_bucket: Bucket, monkeypatch: pytest.MonkeyPatch) -> None:
    """A diagnosis does not try again, and says that the server was too slow."""
    monkeypatch.setattr(of_s3, "_PATIENCE", replace(of_s3._PATIENCE, read=0.2))
    with Proxy(int(s3_bucket.endpoint.rpartition(":")[2])) as proxy:
        proxy.fault = Fault(silent=True)
        place = f"http://127.0.0.1:{proxy.port}"
        found = by_name(
            of_s3.checks("nothing", "", {**s3_bucket.credentials, "AWS_ENDPOINT": place})
        )
        n_asked = proxy.n_connections

    assert n_asked == 1
    assert is_told(found["list"])
    assert "too slow" in found["list"].fact


def test_a_server_that_goes_away_is_told_to_the_end(s3_bucket: Bucket) -> None:
    """Every check after that fails, and the object to delete by hand is named."""
    with Proxy(int(s3_bucket.endpoint.rpartition(":")[2])) as proxy:
        place = f"http://127.0.0.1:{proxy.port}"
        credentials = {**s3_bucket.credentials, "AWS_ENDPOINT": place}
        checks = of_s3.checks(s3_bucket.bucket, "some/where/", credentials)
        first = [next(checks) for _ in range(3)]
        proxy.fault = Fault(refuse=True)
        proxy.cut()
        rest = by_name(checks)

    assert [check.result for check in first] == ["ok"] * 3
    assert is_told(rest["get"])
    assert rest["create only"].result == "warn"
    assert "some/where/.atdata-probe-" in rest["delete"].advice


@pytest.mark.parametrize("place", ["", "s3://", "https://user:hunter2@host/b", "a:hunter2@b"])
def test_what_is_no_bucket_makes_no_sense(place: str, capsys: pytest.CaptureFixture[str]) -> None:
    """A wrong argument ends with 2, and is not repeated."""
    code = atdata.main(["diagnose", "s3", "--", place])

    told = capsys.readouterr()
    assert code == 2
    assert told.out == ""
    assert "hunter2" not in told.err
