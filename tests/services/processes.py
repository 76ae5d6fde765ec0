"""Servers in folders of their own, and what of them is still there."""

import os
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path
from tempfile import TemporaryDirectory

import obstore
import psycopg
import redis
from obstore.store import S3Store

from atdata.services import (
    Bucket,
    PostgresServer,
    PostgresSettings,
    RedisServer,
    RedisSettings,
    S3Server,
    S3Settings,
)

type AnyServer = RedisServer | PostgresServer | S3Server

KINDS = ("redis", "postgres", "s3")


@contextmanager
def open_folder() -> Iterator[Path]:
    """A folder that any user may enter: PostgreSQL does not run as root, pytest's are closed."""
    with TemporaryDirectory(prefix="atdata-test-") as name:
        folder = Path(name)
        folder.chmod(0o711)
        yield folder


def server_of(kind: str, folder: Path | None = None, **settings: object) -> AnyServer:
    """A server of a kind, whose data stay if it has a folder."""
    wanted = {"folder": folder, **settings}
    if kind == "redis":
        return RedisServer(RedisSettings(**wanted, appendonly=folder is not None))  # type: ignore[arg-type]
    if kind == "postgres":
        return PostgresServer(PostgresSettings(**wanted))  # type: ignore[arg-type]
    return S3Server(S3Settings(**wanted))  # type: ignore[arg-type]


def store_of(bucket: Bucket) -> S3Store:
    """The bucket as obstore opens it."""
    return S3Store(
        bucket.bucket,
        endpoint=bucket.endpoint,
        access_key_id=bucket.access_key,
        secret_access_key=bucket.secret_key,
        region=bucket.region,
        client_options={"allow_http": True},
        retry_config={"max_retries": 0},
    )


def write(server: AnyServer, text: str) -> None:
    """Put something onto a server."""
    if isinstance(server, RedisServer):
        with redis.Redis.from_url(server.url) as client:
            client.set("kept", text)
    elif isinstance(server, PostgresServer):
        with psycopg.connect(server.dsn) as connection:
            connection.execute("CREATE TABLE kept (text text)")
            connection.execute("INSERT INTO kept VALUES (%s)", (text,))
    else:
        obstore.put(store_of(server.create_bucket("kept")), "kept", text.encode())


def read(server: AnyServer) -> str:
    """What `write` put there."""
    if isinstance(server, RedisServer):
        with redis.Redis.from_url(server.url) as client:
            found = client.get("kept")
            assert isinstance(found, bytes)
            return found.decode()
    if isinstance(server, PostgresServer):
        with psycopg.connect(server.dsn) as connection:
            row = connection.execute("SELECT text FROM kept").fetchone()
            assert row is not None
            return str(row[0])
    return bytes(obstore.get(store_of(server.bucket("kept")), "kept").bytes()).decode()


def comes_true(fact: Callable[[], bool], seconds: float = 10.0) -> bool:
    """Whether something is so before long."""
    end = time.monotonic() + seconds
    while not fact():
        if time.monotonic() > end:
            return False
        time.sleep(0.02)
    return True


def is_there(pid: int) -> bool:
    """Whether a process runs; one that is only waited for does not."""
    try:
        stat = Path(f"/proc/{pid}/stat").read_text()
    except OSError:
        return False
    return stat.rpartition(")")[2].split()[0] not in "ZX" and os.getpid() != pid
