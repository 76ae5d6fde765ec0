"""A pytest plugin: real servers, started once a session, and a fresh place on them for each test.

Load it with `pytest_plugins = ["atdata.testing.servers"]` in the `conftest.py` at the root. A
server starts when the first test asks for it, and is gone when the session is, even if that is
killed. It needs `pip install 'atdata[servers,testing]'`.
"""

import secrets
from collections.abc import Iterator

import pytest

from atdata._lazy import require
from atdata.services import Bucket, PostgresServer, RedisServer, S3Server


@pytest.fixture(scope="session")
def redis_server() -> Iterator[RedisServer]:
    """A Redis server: `url`, `url_of(database)`, `host`, `port`, `password`."""
    with RedisServer() as server:
        yield server


@pytest.fixture(scope="session")
def postgres_server() -> Iterator[PostgresServer]:
    """A PostgreSQL server: `dsn`, `dsn_of(database)`, `host`, `port`, `password`."""
    with PostgresServer() as server:
        yield server


@pytest.fixture(scope="session")
def s3_server() -> Iterator[S3Server]:
    """An S3 server: `endpoint`, `access_key`, `secret_key`, `region`, `create_bucket(name)`."""
    with S3Server() as server:
        yield server


@pytest.fixture(scope="session")
def _redis_databases(redis_server: RedisServer) -> list[str]:
    return [redis_server.url_of(number) for number in range(1, 64)]


@pytest.fixture
def redis_url(_redis_databases: list[str]) -> Iterator[str]:
    """The address of an empty database that no other test has at the same time."""
    redis = require("redis", extra="redis")
    url = _redis_databases.pop(0)
    with redis.Redis.from_url(url) as client:
        client.flushdb()
        yield url
        client.flushdb()
    _redis_databases.append(url)


@pytest.fixture
def postgres_dsn(postgres_server: PostgresServer) -> Iterator[str]:
    """The address of an empty database that goes with the test."""
    psycopg = require("psycopg", extra="postgres")
    name = f"test_{secrets.token_hex(6)}"
    with psycopg.connect(postgres_server.dsn, autocommit=True) as connection:
        connection.execute(f"CREATE DATABASE {name}")
    yield postgres_server.dsn_of(name)
    with psycopg.connect(postgres_server.dsn, autocommit=True) as connection:
        connection.execute(f"DROP DATABASE {name} WITH (FORCE)")


@pytest.fixture
def s3_bucket(s3_server: S3Server) -> Bucket:
    """An empty bucket with its `endpoint`, keys, `region` and name; `credentials` as a dict."""
    return s3_server.create_bucket(f"test-{secrets.token_hex(6)}")
