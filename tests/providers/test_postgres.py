"""A PostgreSQL database: sessions, errors, restarts and secrets."""

import asyncio
import tempfile
import threading
import time
from collections.abc import Iterator
from pathlib import Path

import psycopg
import pytest

from atdata._exceptions import ConflictError, StorageError
from atdata.model.record import LABEL, Put, Row
from atdata.providers import PostgresProvider, _postgres_session
from atdata.providers._postgres_commit import Commit
from atdata.services import Fault, PostgresServer, PostgresSettings, Proxy


@pytest.fixture
def provider(postgres_dsn: str) -> Iterator[PostgresProvider]:
    """A provider with one label."""
    with PostgresProvider(postgres_dsn) as opened:
        opened.store_label("a", "cid")
        yield opened


def sessions(dsn: str) -> list[tuple[int, str]]:
    """Process id and state of the other sessions in the database."""
    with psycopg.connect(dsn) as connection:
        return connection.execute(
            "SELECT pid, state FROM pg_stat_activity "
            "WHERE datname = current_database() AND pid <> pg_backend_pid()"
        ).fetchall()


def test_no_session_is_left_in_a_transaction(
    provider: PostgresProvider, postgres_dsn: str
) -> None:
    """After reading, searching, a commit and one that failed, others may change the tables."""
    provider.search("a")
    list(provider.iter_labels())
    with pytest.raises(ConflictError):
        provider.commit([Put(Row(LABEL, "x", "", "{}"), 7)])

    assert {state for _, state in sessions(postgres_dsn)} == {"idle"}
    with psycopg.connect(postgres_dsn) as connection:
        connection.execute("SET lock_timeout = '1s'")
        connection.execute("ALTER TABLE atdata.rows ADD COLUMN extra integer")


def test_an_error_of_the_server_leaves_nothing_broken(
    provider: PostgresProvider, postgres_dsn: str
) -> None:
    """The next call goes, on the same connection."""
    with psycopg.connect(postgres_dsn) as connection:
        connection.execute("ALTER TABLE atdata.rows ADD CHECK (name <> 'bad')")
    before = sessions(postgres_dsn)

    with pytest.raises(StorageError, match="check constraint"):
        provider.store_label("bad", "cid")

    provider.store_label("good", "cid")
    assert [label[0] for label in provider.iter_labels()] == ["a", "good"]
    assert [pid for pid, _ in sessions(postgres_dsn)] == [pid for pid, _ in before]


def test_a_dropped_session_is_replaced(provider: PostgresProvider, postgres_dsn: str) -> None:
    """Reading and committing go on after the server ended every session."""
    for use in (lambda: provider.get_label("a"), lambda: provider.store_label("b", "cid")):
        provider.get_label("a")
        open_ones = sessions(postgres_dsn)
        with psycopg.connect(postgres_dsn) as connection:
            for pid, _ in open_ones:
                connection.execute("SELECT pg_terminate_backend(%s, 5000)", (pid,))
        use()

    assert provider.get_label("b") == ("cid", None)


def test_a_server_that_comes_back_is_used_again() -> None:
    """While it is away calls fail with a clear error, and what was stored is there afterwards."""
    with tempfile.TemporaryDirectory() as name:
        Path(name).chmod(0o755)  # the server's user must be able to enter
        settings = PostgresSettings(folder=Path(name) / "postgres")
        with PostgresServer(settings) as server, PostgresProvider(server.dsn) as provider:
            provider.store_label("a", "cid")
            server.stop()
            for use in (provider.newest, lambda: provider.store_label("b", "cid")):
                with pytest.raises(StorageError) as caught:
                    use()
                assert server.password not in f"{caught.value} {caught.value.__cause__}"

            server.start()
            assert provider.get_label("a") == ("cid", None)
            provider.store_label("b", "cid")


def test_a_commit_waits_for_the_one_before_it(
    provider: PostgresProvider, postgres_dsn: str
) -> None:
    """A number is given when nothing with a lower one can still appear."""
    with psycopg.connect(postgres_dsn) as other:
        other.execute("UPDATE atdata.counters SET seq = seq + 1")
        writer = threading.Thread(target=provider.store_label, args=("b", "cid"))
        writer.start()
        writer.join(0.2)
        assert writer.is_alive()
        assert provider.get(LABEL, "b") is None
        other.commit()
        writer.join()

    found = provider.get(LABEL, "b")
    assert found is not None
    assert found.seq == 3


def test_an_ending_that_was_not_heard_of_is_looked_up(
    provider: PostgresProvider, monkeypatch: pytest.MonkeyPatch, postgres_dsn: str
) -> None:
    """A session that breaks at the end of a commit: made or not, it is made once."""
    whole = psycopg.Connection.transaction

    for when in ("before", "after"):

        def broken(self: psycopg.Connection, *, when: str = when):
            class Transaction:
                def __enter__(inner):
                    inner.own = whole(self)
                    return inner.own.__enter__()

                def __exit__(inner, *error):
                    monkeypatch.setattr(psycopg.Connection, "transaction", whole)
                    if when == "after":
                        inner.own.__exit__(*error)
                    with psycopg.connect(postgres_dsn) as other:
                        other.execute(
                            "SELECT pg_terminate_backend(%s, 5000)", (self.info.backend_pid,)
                        )
                    self.execute("SELECT 1")  # fails, for the session is gone

            return Transaction()

        monkeypatch.setattr(psycopg.Connection, "transaction", broken)
        seq = provider.commit([Put(Row(LABEL, when, "", "{}"), 0)])

        found = provider.get(LABEL, when)
        assert found is not None
        assert found.seq == seq


@pytest.fixture
def proxy(postgres_dsn: str) -> Iterator[Proxy]:
    """What misbehaves before the server."""
    with Proxy(int(str(psycopg.conninfo.conninfo_to_dict(postgres_dsn)["port"]))) as started:
        yield started


def test_a_server_that_says_nothing_is_given_up(
    provider: PostgresProvider,
    postgres_dsn: str,
    proxy: Proxy,
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    """Reading, committing and opening end with an error, and go again when it answers."""
    monkeypatch.setattr(_postgres_session, "_SILENCE", 0.3)
    monkeypatch.setitem(_postgres_session._PATIENCE, "connect_timeout", "2")
    with PostgresProvider(proxy.url(postgres_dsn)) as distant:
        for use in (distant.newest, lambda: distant.store_label("b", "cid")):
            distant.get_label("a")
            proxy.fault = Fault(silent=True)
            began = time.monotonic()
            with pytest.raises(StorageError, match="said nothing for"):
                use()
            with pytest.raises(StorageError, match="timeout"):
                use()
            assert time.monotonic() - began < 10
            proxy.fault = Fault()

        assert provider.get(LABEL, "b") is None
        distant.store_label("b", "cid")
        assert provider.get_label("b") == ("cid", None)


def test_an_ending_without_an_answer_is_not_known(
    provider: PostgresProvider,
    postgres_dsn: str,
    proxy: Proxy,
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    """A commit whose end is met with silence says so, rather than that it failed."""
    monkeypatch.setattr(_postgres_session, "_SILENCE", 0.3)
    monkeypatch.setitem(_postgres_session._PATIENCE, "connect_timeout", "2")
    whole = Commit._take

    def take(self: Commit, cursor: object) -> None:
        whole(self, cursor)
        proxy.fault = Fault(silent=True)

    with PostgresProvider(proxy.url(postgres_dsn)) as distant:
        monkeypatch.setattr(Commit, "_take", take)
        with pytest.raises(StorageError, match="whether it was made is not known"):
            distant.store_label("b", "cid")

    assert provider.get_label("b") == ("cid", None)


def limits(provider: PostgresProvider) -> tuple[str, str]:
    """How long a statement and a pause in a transaction may take."""
    names = ("statement_timeout", "idle_in_transaction_session_timeout")
    with provider._pool.use() as connection:
        return tuple(connection.execute(f"SHOW {name}").fetchone()[0] for name in names)


def test_the_server_ends_what_takes_too_long(
    postgres_dsn: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    """After a minute, unless the address or the environment says otherwise."""
    with PostgresProvider(postgres_dsn) as provider:
        assert limits(provider) == ("1min", "1min")
    own = psycopg.conninfo.make_conninfo(postgres_dsn, options="-c statement_timeout=100ms")
    with PostgresProvider(own) as provider:
        assert limits(provider) == ("100ms", "1min")
        with psycopg.connect(postgres_dsn) as other:
            other.execute("LOCK TABLE atdata.counters")
            with pytest.raises(StorageError, match="statement timeout"):
                provider.store_label("b", "cid")
    monkeypatch.setenv("PGOPTIONS", "-c statement_timeout=7s")
    with PostgresProvider(postgres_dsn) as provider:
        assert limits(provider) == ("7s", "1min")


class Pooler(Proxy):
    """Refuses options at the start of a session, as PgBouncer does."""

    async def _serve(self, asked: asyncio.StreamReader, client: asyncio.StreamWriter) -> None:
        while not asked._buffer and not asked.at_eof():  # type: ignore[attr-defined]
            await asyncio.sleep(0.001)
        if b"statement_timeout" not in asked._buffer:  # type: ignore[attr-defined]
            await super()._serve(asked, client)
            return
        said = b"SFATAL\0C08P01\0Munsupported startup parameter: options\0\0"
        client.write(b"E" + (len(said) + 4).to_bytes(4) + said)
        client.close()
        self.n_struck += 1


def test_a_pooler_may_refuse_options(postgres_dsn: str, monkeypatch: pytest.MonkeyPatch) -> None:
    """The session is opened without them; a commit sets its own limits, for itself alone."""
    plain = psycopg.conninfo.make_conninfo(postgres_dsn, sslmode="disable", gssencmode="disable")
    seen: list[tuple[str, ...]] = []
    whole = Commit._take

    def take(self: Commit, cursor: psycopg.Cursor[tuple[str, ...]]) -> None:
        found = cursor.execute(
            "SELECT current_setting('statement_timeout'), current_setting('lock_timeout')"
        ).fetchone()
        assert found is not None
        seen.append(found)
        whole(self, cursor)

    monkeypatch.setattr(Commit, "_take", take)
    settings = psycopg.conninfo.conninfo_to_dict(plain)
    with Pooler(int(str(settings["port"]))) as pooler:
        through = psycopg.conninfo.make_conninfo(plain, host="127.0.0.1", port=pooler.port)
        with PostgresProvider(through) as provider:
            provider.store_label("b", "cid")
            assert provider.get_label("b") == ("cid", None)
            assert limits(provider) == ("0", "0")
        assert pooler.n_struck == 1

    assert seen == [("1min", "30s")]


def test_schemas_are_apart(postgres_dsn: str) -> None:
    """Two catalogues in one database know nothing of each other, whatever they are called."""
    with (
        PostgresProvider(postgres_dsn, schema='My "own" é {s}') as one,
        PostgresProvider(postgres_dsn, schema="other") as other,
    ):
        one.store_label("a", "cid")
        assert list(other.iter_labels()) == []
        assert one.search("a").hits[0].row.name == "a"
    for bad in ("", "x" * 64, "a\0b", "100%"):
        with pytest.raises(ValueError, match="schema"):
            PostgresProvider(postgres_dsn, schema=bad)


def test_a_newer_layout_is_refused(provider: PostgresProvider, postgres_dsn: str) -> None:
    """The message says what to do."""
    with psycopg.connect(postgres_dsn) as connection:
        connection.execute("UPDATE atdata.atdata_layout SET layout = 99")
    provider.close()

    with pytest.raises(StorageError, match="Upgrade"):
        provider.get_label("a")


def test_who_may_only_read_reads(provider: PostgresProvider, postgres_dsn: str) -> None:
    """Where the tables are, opening writes nothing."""
    with psycopg.connect(postgres_dsn) as connection:
        for statement in (
            "DROP ROLE IF EXISTS reader",
            "CREATE ROLE reader LOGIN PASSWORD 'reading'",
            "GRANT USAGE ON SCHEMA atdata TO reader",
            "GRANT SELECT ON ALL TABLES IN SCHEMA atdata TO reader",
        ):
            connection.execute(statement)
    settings = psycopg.conninfo.conninfo_to_dict(postgres_dsn) | {
        "user": "reader",
        "password": "reading",
    }
    dsn = psycopg.conninfo.make_conninfo(**settings)

    with PostgresProvider(dsn) as reader:
        assert reader.get_label("a") == ("cid", None)
        with pytest.raises(StorageError, match="permission denied"):
            reader.store_label("b", "cid")
    with psycopg.connect(postgres_dsn) as connection:
        connection.execute("DROP OWNED BY reader")
        connection.execute("DROP ROLE reader")


@pytest.mark.parametrize(
    "dsn",
    [
        "postgresql://me:se:cr@et@127.0.0.1:1/db",
        "postgresql://me:secret@127.0.0.1:1/db?sslmode=nonsense",
        "host=127.0.0.1 port=1 password=secret user=me",
        "postgresql://me:12/secret@127.0.0.1:1/db",
        "postgresql://me:12?secret@127.0.0.1:1/db",
        "postgresql://me:se/secret@127.0.0.1:1/db",
        "postgresql://me:secret%zz@127.0.0.1:1/db",
        "host=127.0.0.1 password='secret",
        "secret",
    ],
)
def test_a_password_is_never_shown(dsn: str) -> None:
    """Not in a repr, and not in an error."""
    try:
        provider = PostgresProvider(dsn)
    except ValueError as error:
        said = f"{error} {error.__cause__}"
    else:
        with provider, pytest.raises(StorageError) as caught:
            provider.newest()
        said = f"{provider!r} {caught.value} {caught.value.place}"

    assert "secret" not in said
    assert "et@" not in said


def test_an_address_must_be_given() -> None:
    """Nothing and blanks are no address."""
    for dsn in ("", " ", None):
        with pytest.raises(ValueError, match="dsn"):
            PostgresProvider(dsn)  # type: ignore[arg-type]
