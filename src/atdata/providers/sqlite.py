"""A provider in a SQLite file."""

import sqlite3
import weakref
from collections.abc import Generator, Sequence
from contextlib import contextmanager, suppress
from os import PathLike
from pathlib import Path
from typing import Any

from platformdirs import user_data_path

from atdata._exceptions import StorageError
from atdata.model.record import Change, Check, Delete, Put, Row
from atdata.providers import _sqlite_file as file
from atdata.providers._changes import (
    Key,
    check_changes,
    check_expected,
    check_limit,
    read_row,
    ref_digest,
    ref_digests,
    write_refs,
    write_text,
)
from atdata.providers._pool import Pool
from atdata.providers._sqlite_search import FAR, Search
from atdata.providers._terms import Match, Tier, term_line
from atdata.providers.base import IndexProvider

_COLUMNS = "r.kind, r.name, r.tag, r.seq, r.body, r.refs, r.text"


class _Opened:
    """A connection, and which file it has open."""

    def __init__(self, path: Path) -> None:
        self._path = path
        self._still = file.is_still(path)
        # Of one that is still, before it is opened: what is written meanwhile must be noticed.
        identity = file.identity(path, still=True)
        self.connection = file.connect(path, still=self._still)
        self._identity = identity if self._still else file.identity(path)

    def is_current(self) -> bool:
        """Whether it shows what lies there now."""
        return self._identity == file.identity(self._path, still=self._still)


class SqliteProvider(IndexProvider):
    """Keeps records in a SQLite file, which is made at the first use.

    Any number of threads and processes may use the file at once, on one machine. What a commit
    stored stays, also when the power goes. A file or folder without the right to write is read.

    Args:
        path: The file; `index.db` in the user's data folder if left out.

    Examples:
        >>> with SqliteProvider(tmp / "index.db") as provider:
        ...     provider.store_label("mnist", "bafy", "1.0.0")
        ...     provider.get_label("mnist")
        ('bafy', '1.0.0')
    """

    def __init__(self, path: str | PathLike[str] | None = None) -> None:
        if path is not None and str(path) in {"", ":memory:"}:
            raise ValueError(
                f"{str(path)!r} is no file\n"
                '  For records in memory: Index("memory"), or MemoryProvider().'
            )
        found = user_data_path("atdata") / "index.db" if path is None else Path(path)
        self.path = found.expanduser().absolute()
        where = self.path
        self._pool = Pool[_Opened](
            lambda: _Opened(where),
            lambda opened: opened.connection.close(),
            _Opened.is_current,
        )
        weakref.finalize(self, self._pool.close)

    def __repr__(self) -> str:
        return f"SqliteProvider({str(self.path)!r})"

    def __reduce__(self) -> tuple[Any, ...]:
        return type(self), (self.path,)

    @contextmanager
    def _session(self) -> Generator[sqlite3.Connection]:
        try:
            with self._pool.use() as opened:
                yield opened.connection
        except (sqlite3.Error, OSError) as error:
            if isinstance(error, StorageError):
                raise
            raise file.failed(self.path, error) from error

    def close(self) -> None:
        """Close the file; the next use opens it again."""
        self._pool.close()

    def commit(self, changes: Sequence[Change]) -> int:
        """Take all steps or none; see `IndexProvider.commit`."""
        steps = check_changes(changes)
        with self._session() as connection:
            connection.execute("BEGIN IMMEDIATE")
            try:
                seq = _Commit(connection).run(steps)
                connection.execute("COMMIT")
            finally:
                if connection.in_transaction:
                    with suppress(sqlite3.Error):
                        connection.execute("ROLLBACK")
        return seq

    def get(self, kind: str, name: str, tag: str = "") -> Row | None:
        """The row under that key, or None."""
        sql = f"SELECT {_COLUMNS} FROM rows r WHERE kind = ? AND name = ? AND tag = ?"  # noqa: S608
        with self._session() as connection:
            found = connection.execute(sql, (kind, name, tag)).fetchone()
        return None if found is None else _row(*found)

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
        table = "r"
        tests: list[str] = []
        given: list[Any] = []
        if ref is not None:
            table = "f"
            tests.append("f.ref = ?")
            given.append(ref_digest(ref))
        tests.append(f"{table}.kind = ?")
        given.append(kind)
        if name is not None:
            tests.append(f"{table}.name = ?")
            given.append(name)
        if after is not None:
            tests.append(f"({table}.name, {table}.tag) > (?, ?)")
            given += after
        source = "rows r" if ref is None else "refs f CROSS JOIN rows r ON r.doc = f.doc"
        sql = (
            f"SELECT {_COLUMNS} FROM {source} WHERE {' AND '.join(tests)} AND {table}.doc <= ? "  # noqa: S608
            f"ORDER BY {table}.name, {table}.tag LIMIT ?"
        )
        given += [FAR if upto is None else upto, check_limit(limit)]
        with self._session() as connection:
            return [_row(*found) for found in connection.execute(sql, given)]

    def newest(self) -> int:
        """The highest number of a row so far."""
        with self._session() as connection:
            number: int = connection.execute("SELECT doc FROM counters").fetchone()[0]
            return number

    def matches(
        self, tier: Tier, *, refs: Sequence[str] = (), before: int | None = None, limit: int = 50
    ) -> list[Match]:
        """Rows of one tier of a search; see `IndexProvider.matches`."""
        check_limit(limit)
        with self._session() as connection:
            docs = Search(connection, tier, refs, before=before, limit=limit).run()
            marks = ", ".join("?" * len(docs))
            sql = f"SELECT r.doc, {_COLUMNS} FROM rows r WHERE doc IN ({marks}) ORDER BY doc DESC"  # noqa: S608
            return [Match(found[0], _row(*found[1:])) for found in connection.execute(sql, docs)]


def _row(kind: str, name: str, tag: str, seq: int, body: str, refs: str, text: str | None) -> Row:  # noqa: PLR0917
    return read_row((kind, name, tag), seq, body, refs, text)


class _Commit:
    """The steps of one transaction."""

    def __init__(self, connection: sqlite3.Connection) -> None:
        self._run = connection.execute
        self._many = connection.executemany

    def run(self, steps: Sequence[Change]) -> int:
        """Check and take the steps, and give the commit's number."""
        there: dict[Key, tuple[int, int, str]] = {}
        sql = "SELECT seq, doc, refs FROM rows WHERE kind = ? AND name = ? AND tag = ?"
        for step in steps:
            found = self._run(sql, step.key).fetchone()
            if found is not None:
                there[step.key] = found
        check_expected(steps, {key: found[0] for key, found in there.items()})
        seq, doc = self._run("UPDATE counters SET seq = seq + 1 RETURNING seq, doc").fetchone()
        for step in steps:
            was = there.get(step.key)
            match step:
                case Put(row):
                    if was is None:
                        doc += 1
                        self._insert(row, seq, doc)
                    else:
                        self._update(row, seq, was)
                case Delete(key):
                    if was is not None:
                        self._delete(key, was)
                case Check():
                    pass
        self._run("UPDATE counters SET doc = ?", (doc,))
        return int(seq)

    def _insert(self, row: Row, seq: int, doc: int) -> None:
        self._run(
            "INSERT INTO rows VALUES (?, ?, ?, ?, ?, ?, ?, ?)",
            (doc, *row.key, seq, write_refs(row), write_text(row), row.body),
        )
        self._add_refs(row.key, ref_digests(row), doc)
        if row.text is not None:
            self._add_line(row, doc)

    def _update(self, row: Row, seq: int, was: tuple[int, int, str]) -> None:
        _, doc, old_refs = was
        refs = write_refs(row)
        self._run(
            "UPDATE rows SET seq = ?, refs = ?, text = ?, body = ? WHERE doc = ?",
            (seq, refs, write_text(row), row.body, doc),
        )
        if refs != old_refs:
            self._remove_refs(row.key, old_refs)
            self._add_refs(row.key, ref_digests(row), doc)
        self._remove_line(doc)
        if row.text is not None:
            self._add_line(row, doc)

    def _delete(self, key: Key, was: tuple[int, int, str]) -> None:
        _, doc, refs = was
        self._run("DELETE FROM rows WHERE doc = ?", (doc,))
        self._remove_refs(key, refs)
        self._remove_line(doc)

    def _add_refs(self, key: Key, digests: list[bytes], doc: int) -> None:
        rows = [(digest, *key, doc) for digest in digests]
        self._many("INSERT INTO refs VALUES (?, ?, ?, ?, ?)", rows)

    def _remove_refs(self, key: Key, refs: str) -> None:
        digests = ref_digests(read_row(key, 0, "", refs, None))
        sql = "DELETE FROM refs WHERE ref = ? AND kind = ? AND name = ? AND tag = ?"
        self._many(sql, [(digest, *key) for digest in digests])

    def _add_line(self, row: Row, doc: int) -> None:
        line = "" if row.text is None else term_line(row.text)
        self._run("INSERT INTO lines VALUES (?, ?, ?)", (doc, row.name, line))
        self._run("INSERT INTO terms (rowid, line) VALUES (?, ?)", (doc, line))
        self._many(
            "INSERT INTO words VALUES (?, 1) ON CONFLICT DO UPDATE SET n = n + 1",
            [(term,) for term in line.split()],
        )

    def _remove_line(self, doc: int) -> None:
        found = self._run("DELETE FROM lines WHERE doc = ? RETURNING line", (doc,)).fetchone()
        if found is None:
            return
        (line,) = found  # the index of terms must be told what it held
        self._run("INSERT INTO terms (terms, rowid, line) VALUES ('delete', ?, ?)", (doc, line))
        gone = [(term,) for term in line.split()]
        self._many("UPDATE words SET n = n - 1 WHERE term = ?", gone)
        self._many("DELETE FROM words WHERE term = ? AND n < 1", gone)
