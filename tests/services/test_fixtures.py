"""The fixtures of `atdata.testing.servers` give each test a place of its own."""

import obstore
import psycopg
import pytest
import redis
from obstore.store import S3Store

from atdata.services import Bucket, RedisServer


@pytest.mark.parametrize("_", range(2))
def test_a_test_has_an_empty_database(postgres_dsn: str, _: int) -> None:
    """What one test makes, the next one does not find."""
    with psycopg.connect(postgres_dsn) as connection:
        connection.execute("CREATE TABLE t (n int)")
        found = connection.execute("SELECT count(*) FROM pg_tables WHERE tablename = 't'")

        assert found.fetchone() == (1,)


@pytest.mark.parametrize("_", range(2))
def test_a_test_has_an_empty_redis(redis_url: str, _: int) -> None:
    """What one test leaves, the next one does not find."""
    with redis.Redis.from_url(redis_url) as client:
        assert client.dbsize() == 0
        client.set("a", 1)


def test_redis_urls_differ_while_they_are_used(redis_url: str, redis_server: RedisServer) -> None:
    """A test's database is not the one that the server's own address names."""
    assert redis_url != redis_server.url


@pytest.mark.parametrize("_", range(2))
def test_a_test_has_an_empty_bucket(s3_bucket: Bucket, _: int) -> None:
    """A bucket takes objects by what its fixture says, and begins empty."""
    store = S3Store(
        s3_bucket.bucket,
        endpoint=s3_bucket.endpoint,
        access_key_id=s3_bucket.access_key,
        secret_access_key=s3_bucket.secret_key,
        region=s3_bucket.region,
        client_options={"allow_http": True},
    )

    assert list(obstore.list(store)) == []
    obstore.put(store, "a", b"1")
    assert bytes(obstore.get(store, "a").bytes()) == b"1"
