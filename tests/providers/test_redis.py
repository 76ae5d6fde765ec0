"""Redis: clients as people have them, foreign keys, restarts and secrets."""

import pickle
from collections.abc import Iterator
from pathlib import Path

import pytest
import redis

from atdata._exceptions import StorageError
from atdata.model.record import LABEL, Delete, Put, Row, SearchText
from atdata.providers import RedisProvider
from atdata.services import RedisServer, RedisSettings


@pytest.fixture
def client(redis_url: str) -> Iterator[redis.Redis]:
    """A client that decodes answers, in an encoding that ours are not in."""
    with redis.Redis.from_url(redis_url, decode_responses=True, encoding="latin-1") as made:
        yield made


def test_any_client_will_do(client: redis.Redis) -> None:
    """Its settings count, and how it decodes does not; it stays open, and is given back."""
    with RedisProvider(client) as provider:
        provider.store_label("名前", "cid", description="é")
        assert provider.get_label("名前") == ("cid", None)
        assert provider.search("é").hits[0].row.name == "名前"
        assert provider.redis is client
        with pickle.loads(pickle.dumps(provider)) as copy:
            assert copy.get_label("名前") == ("cid", None)

    assert client.ping()


def test_a_client_of_another_kind_is_used_as_it_is(redis_url: str) -> None:
    """One whose pool we cannot copy works; it cannot be sent elsewhere."""

    class OwnPool(redis.ConnectionPool):
        pass

    with redis.Redis(connection_pool=OwnPool.from_url(redis_url, decode_responses=True)) as own:
        with RedisProvider(own) as provider:
            provider.store_label("é", "cid")
            assert provider.get_label("é") == ("cid", None)
            with pytest.raises(TypeError, match="URL"):
                pickle.dumps(provider)
        own.connection_pool.disconnect()


def test_foreign_keys_are_ignored(client: redis.Redis) -> None:
    """Keys of others, and of another prefix, neither disturb nor show."""
    client.hset("LocalDatasetEntry:x", "name", "y")
    client.set("Label:a@", "z")
    client.set("atdata", "z")
    with RedisProvider(client) as one, RedisProvider(client, prefix="a*") as other:
        one.store_label("a", "cid1")
        other.store_label("a", "cid2")

        assert list(one.iter_labels()) == [("a", "cid1", None)]
        assert list(other.iter_labels()) == [("a", "cid2", None)]
    ours = {key for key in client.scan_iter() if key.startswith(("{atdata}:", "{a*}:"))}
    assert set(client.scan_iter()) - ours == {"LocalDatasetEntry:x", "Label:a@", "atdata"}


def test_nothing_is_left_of_a_removed_row(client: redis.Redis) -> None:
    """After all rows are gone, only the counters stay, and what knows of repeated commits."""
    with RedisProvider(client) as provider:
        row = Row(LABEL, "a", "1", "{}", ("r", "s"), SearchText("a", "b", "c d", "e"))
        provider.commit([Put(row)])
        provider.commit([Put(Row(LABEL, "a", "1", "[]", ("s",), SearchText("x")))])
        provider.close()
        provider.commit([Delete(row.key)])

    kept = {key for key in client.scan_iter() if ":done:" not in key}
    assert kept == {"{atdata}:catalogue"}


def test_no_look_up_walks_through_all_keys(client: redis.Redis) -> None:
    """Neither SCAN nor KEYS is ever sent, nor run by a script."""
    client.config_resetstat()
    with RedisProvider(client) as provider:
        provider.store_label("a", "cid")
        provider.get_label("a")
        list(provider.iter_labels())
        provider.search("a")
        provider.page(LABEL, ref="r")

    used = {name.removeprefix("cmdstat_") for name in client.info("commandstats")}
    assert "evalsha" in used
    assert used.isdisjoint({"scan", "keys", "hscan", "sscan", "zscan", "hgetall"})


def test_scripts_that_the_server_forgot_are_sent_again(client: redis.Redis) -> None:
    """After a restart or `SCRIPT FLUSH` calls go on."""
    with RedisProvider(client) as provider:
        provider.store_label("a", "cid")
        client.script_flush()
        provider.store_label("b", "cid")

        assert len(provider.search("").hits) == 2


def test_a_commit_that_is_sent_twice_is_made_once(client: redis.Redis) -> None:
    """An answer that was lost costs nothing: the second sending gets the first's number."""
    with RedisProvider(client) as provider:
        provider.store_label("warm", "cid")
        ask = provider._client.execute_command
        lost: list[object] = []

        def lose_one(*command: object, **options: object) -> object:
            answer = ask(*command, **options)
            if not lost and command[0] == "EVALSHA":
                lost.append(answer)
                raise redis.ConnectionError("the answer was lost")
            return answer

        provider._client.execute_command = lose_one
        seq = provider.commit([Put(Row(LABEL, "a", "", "{}"), 0)])

        assert lost == [[b"ok", seq]]
        found = provider.get(LABEL, "a")
        assert found is not None
        assert found.seq == seq


def test_a_newer_layout_is_refused(client: redis.Redis) -> None:
    """The message says what to do."""
    with RedisProvider(client) as provider:
        provider.store_label("a", "cid")
    client.hset("{atdata}:catalogue", "layout", "99")

    with RedisProvider(client) as again:
        for use in (lambda: again.get_label("a"), lambda: again.commit([])):
            with pytest.raises(StorageError, match="Upgrade"):
                use()


def test_a_server_that_is_away_is_a_clear_error_without_its_password(tmp_path: Path) -> None:
    """While it is away calls fail; when it is back they go on."""
    with (
        RedisServer(RedisSettings(folder=tmp_path / "redis", appendonly=True)) as server,
        RedisProvider(server.url) as provider,
    ):
        provider.store_label("a", "cid")
        server.stop()
        for use in (provider.newest, lambda: provider.store_label("b", "cid")):
            with pytest.raises(StorageError) as caught:
                use()
            assert server.password not in f"{provider!r} {caught.value} {caught.value.place}"

        server.start()
        assert provider.get_label("a") == ("cid", None)
        provider.store_label("b", "cid")


@pytest.mark.parametrize("url", ["http://me:secret@host/", "redis://me:secret@host:x/0", "secret"])
def test_a_bad_address_does_not_show_its_password(url: str) -> None:
    """The error says what an address looks like."""
    with pytest.raises(ValueError, match="rediss") as caught:
        RedisProvider(url)

    assert "secret" not in str(caught.value)
    assert caught.value.__cause__ is None


def test_what_is_no_client_is_refused() -> None:
    """At once, and not at the first use."""
    with pytest.raises(TypeError, match="client"):
        RedisProvider(7)
    with pytest.raises(ValueError, match="prefix"):
        RedisProvider("redis://localhost", prefix="")
