"""A provider in a PostgreSQL database."""

import weakref
from collections.abc import Callable, Sequence
from contextlib import suppress
from typing import Any

from atdata._exceptions import AtdataError, StorageError
from atdata._lazy import require
from atdata.model.record import Change, Row
from atdata.providers._changes import (
    check_changes,
    check_limit,
    read_row,
    ref_digest,
    with_nul,
    without_nul,
)
from atdata.providers._pool import Pool
from atdata.providers._postgres_commit import Commit
from atdata.providers._postgres_schema import quoted
from atdata.providers._postgres_search import FAR, Search
from atdata.providers._postgres_session import (
    close,
    connection_lost,
    connector,
    timed_out,
    usable,
)
from atdata.providers._terms import Match, Tier
from atdata.providers.base import IndexProvider

_COLUMNS = "r.kind, r.name, r.tag, r.seq, r.body, r.refs, r.text"
_MOST_CONNECTIONS = 8


def _psycopg() -> Any:
    return require("psycopg", extra="postgres")


class PostgresProvider(IndexProvider):
    """Keeps records in a PostgreSQL database, in tables of a schema of their own.

    The tables are made at the first use. Any number of processes on any number of machines may
    use them at once. A connection that the server dropped is replaced, and one on which it says
    nothing for 75 seconds is given up. Unless `options` of the address say otherwise, a statement
    may take 60 seconds. How well a commit survives a loss of power is the server's
    `synchronous_commit` and `fsync`.

    Args:
        dsn: The address of the database, `postgresql://user:password@host/database` or
            `host=… dbname=…`; what it leaves out comes from the environment, as with `psql`.
        schema: The schema of the tables.

    Raises:
        ValueError: `dsn` or `schema` is none.
        MissingExtraError: psycopg is not installed.

    Examples:
        >>> PostgresProvider("postgresql://me:secret@db.example.org/catalogue")
        PostgresProvider('postgresql://db.example.org/catalogue', schema='atdata')
    """

    def __init__(self, dsn: str, *, schema: str = "atdata") -> None:
        self._dsn, self._schema_name = dsn, schema
        self._schema = quoted(schema)
        settings = _settings(dsn)
        self._place = place = _place(settings)
        connect = connector(settings, self._schema, place)
        self._pool = Pool[Any](connect, close, usable, most=_MOST_CONNECTIONS)
        weakref.finalize(self, self._pool.close)

    def __repr__(self) -> str:
        return f"PostgresProvider({self._place!r}, schema={self._schema_name!r})"

    def __reduce__(self) -> tuple[Any, ...]:
        return _again, (self._dsn, self._schema_name)

    def close(self) -> None:
        """Close the connections; the next use opens them again."""
        self._pool.close()

    def commit(self, changes: Sequence[Change]) -> int:
        """Take all steps or none; see `IndexProvider.commit`.

        A commit whose connection broke at its very end is looked up, and not made twice.
        """
        steps = check_changes(changes)
        for last in (False, True):
            commit = Commit(self._schema, steps)
            try:
                with self._pool.use() as connection:
                    return commit.run(connection)
            except _psycopg().Error as error:
                if not connection_lost(error):
                    raise self._failed(error) from error
                self._pool.close()
                if commit.is_ending:
                    outcome = self._outcome(commit, error)
                    if outcome == "committed":
                        return commit.seq
                if last or timed_out(error):
                    raise self._failed(error) from error
        raise AssertionError

    def _outcome(self, commit: Commit, error: Exception) -> str:
        """What became of a commit whose end was not heard of."""
        found: str | None = None
        cause: Exception = error
        try:
            found = self._ask(
                lambda run: run("SELECT txid_status(%s)", (commit.transaction,)).fetchone()[0]
            )
        except AtdataError as unknown:
            cause = unknown
        if found not in {"committed", "aborted"}:
            raise StorageError(
                self._place,
                "the connection broke at the end of a commit; whether it was made is not known",
                "Read the records again to see whether they are there.",
            ) from cause
        return found

    def _ask[T](self, ask: Callable[[Callable[..., Any]], T]) -> T:
        """Ask once, and once more with a new connection where the first was dropped."""
        psycopg = _psycopg()
        try:
            try:
                with self._pool.use() as connection:
                    return ask(connection.execute)
            except psycopg.OperationalError as error:
                if timed_out(error) or not connection_lost(error):
                    raise
            self._pool.close()
            with self._pool.use() as connection:
                return ask(connection.execute)
        except psycopg.Error as error:
            raise self._failed(error) from error

    def _failed(self, error: Exception) -> StorageError:
        diag = getattr(error, "diag", None)
        said = getattr(diag, "message_primary", None) or str(error) or type(error).__name__
        hint = (
            "See whether the server, or a pooler before it, is well." if timed_out(error) else ""
        )
        return StorageError(self._place, said, hint)

    def get(self, kind: str, name: str, tag: str = "") -> Row | None:
        """The row under that key, or None."""
        sql = (
            f"SELECT {_COLUMNS} FROM {self._schema}.rows r "  # noqa: S608 - a quoted name
            "WHERE kind = %s AND name = %s AND tag = %s"
        )
        key = (kind, without_nul(name), without_nul(tag))
        found = self._ask(lambda run: run(sql, key).fetchone())
        return None if found is None else _row(found)

    def get_many(self, keys: Sequence[tuple[str, str, str]]) -> list[Row | None]:
        """The rows under several keys, asked for at once."""
        columns = [[key[0] for key in keys]]
        columns += [[without_nul(key[i]) for key in keys] for i in (1, 2)]
        sql = (
            f"SELECT {_COLUMNS} FROM {self._schema}.rows r "  # noqa: S608 - a quoted name
            "JOIN unnest(%s::text[], %s::text[], %s::text[]) AS k (kind, name, tag) "
            "USING (kind, name, tag)"
        )
        rows = map(_row, self._ask(lambda run: run(sql, columns).fetchall()))
        found = {row.key: row for row in rows}
        return [found.get(key) for key in keys]

    def page(
        self,
        kind: str,
        *,
        name: str | None = None,
        ref: str | None = None,
        after: tuple[str, str] | None = None,
        limit: int = 100,
        upto: int | None = None,
    ) -> list[Row]:
        """Rows in the order of name and tag; see `IndexProvider.page`."""
        tests = ["kind = %s"]
        given: list[Any] = [kind]
        if name is not None:
            tests.append("name = %s")
            given.append(without_nul(name))
        if after is not None:
            tests.append("(name, tag) > (%s, %s)")
            given += [without_nul(part) for part in after]
        if ref is not None:
            tests.append("ref = %s")
            given.append(ref_digest(ref))
        keys = (
            f"SELECT doc, name, tag FROM {self._schema}.{'rows' if ref is None else 'refs'} "  # noqa: S608
            f"WHERE {' AND '.join(tests)} AND doc <= %s ORDER BY name, tag LIMIT %s"
        )
        given += [FAR if upto is None else upto, check_limit(limit)]
        # The planner, which knows nothing of new tables yet, must not read all of them.
        sql = (
            f"SELECT {_COLUMNS} FROM ({keys}) k CROSS JOIN LATERAL "  # noqa: S608
            f"(SELECT * FROM {self._schema}.rows WHERE doc = k.doc OFFSET 0) r "
            "ORDER BY k.name, k.tag"
        )
        return [_row(found) for found in self._ask(lambda run: run(sql, given).fetchall())]

    def newest(self) -> int:
        """The highest number of a row so far."""
        sql = f"SELECT doc FROM {self._schema}.counters"  # noqa: S608 - a quoted name
        return int(self._ask(lambda run: run(sql).fetchone()[0]))

    def matches(
        self, tier: Tier, *, refs: Sequence[str] = (), before: int | None = None, limit: int = 50
    ) -> list[Match]:
        """Rows of one tier of a search; see `IndexProvider.matches`."""
        check_limit(limit)
        sql = (
            f"SELECT r.doc, {_COLUMNS} FROM {self._schema}.rows r "  # noqa: S608 - a quoted name
            "WHERE doc = ANY (%s) ORDER BY doc DESC"
        )

        def ask(run: Callable[..., Any]) -> list[Any]:
            docs = Search(run, self._schema, tier, refs, before=before, limit=limit).run()
            found: list[Any] = run(sql, (docs,)).fetchall() if docs else []
            return found

        return [Match(found[0], _row(found[1:])) for found in self._ask(ask)]


def _settings(dsn: object) -> dict[str, str]:
    if not isinstance(dsn, str) or not dsn.strip():
        raise ValueError(
            "dsn is the address of a database\n  Give 'postgresql://user:password@host/database'."
        )
    psycopg = _psycopg()
    found: dict[str, str] | None = None
    with suppress(psycopg.Error):
        found = require("psycopg.conninfo", extra="postgres").conninfo_to_dict(dsn)
    if found is None or _is_cut_wrongly(dsn):
        # The reason may quote the address, and so the password in it.
        raise ValueError(
            "dsn is no address of a database\n"
            "  Give 'postgresql://user:password@host/database'; write @, /, ? and % in a password "
            "as %40, %2F, %3F and %25."
        )
    return {key: str(value) for key, value in found.items()}


def _is_cut_wrongly(dsn: str) -> bool:
    """Whether a part of what was meant as a password would be taken for another part."""
    _, scheme, rest = dsn.partition("://")
    authority, _, path = rest.partition("?")[0].partition("/")
    ports = authority.rpartition("@")[2].split(",")
    return bool(scheme) and (
        authority.count("@") > 1
        or "@" in path
        or any(port.rpartition(":")[2].isalpha() and ":" in port for port in ports)
    )


def _place(settings: dict[str, str]) -> str:
    host = settings.get("host") or settings.get("hostaddr") or ""
    port = f":{settings['port']}" if "port" in settings else ""
    return f"postgresql://{host}{port}/{settings.get('dbname', '')}"


def _again(dsn: str, schema: str) -> PostgresProvider:
    return PostgresProvider(dsn, schema=schema)


def _row(found: Sequence[Any]) -> Row:
    kind, name, tag, seq, body, refs, text = found
    return read_row((kind, with_nul(name), with_nul(tag)), seq, body, refs, text)
