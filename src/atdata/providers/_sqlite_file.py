"""A SQLite file as ours: opening it, knowing whose it is, and bringing its layout up to date."""

import os
import sqlite3
import time
from collections.abc import Callable
from contextlib import suppress
from pathlib import Path
from urllib.parse import quote

from atdata._exceptions import StorageError

APPLICATION_ID = int.from_bytes(b"atda")
PATIENCE = 30.0

# Each step leads from one layout to the next and is never changed once it was published.
_STEPS: tuple[tuple[str, ...], ...] = (
    (
        "CREATE TABLE counters (seq INTEGER NOT NULL, doc INTEGER NOT NULL)",
        "INSERT INTO counters VALUES (0, 0)",
        # `body` stands last: what comes after a value of megabytes is slow to reach.
        """CREATE TABLE rows (
            doc INTEGER PRIMARY KEY, kind TEXT NOT NULL, name TEXT NOT NULL, tag TEXT NOT NULL,
            seq INTEGER NOT NULL, refs TEXT NOT NULL, text TEXT, body TEXT NOT NULL,
            UNIQUE (kind, name, tag))""",
        """CREATE TABLE refs (
            ref BLOB NOT NULL, kind TEXT NOT NULL, name TEXT NOT NULL, tag TEXT NOT NULL,
            doc INTEGER NOT NULL, PRIMARY KEY (ref, kind, name, tag)) WITHOUT ROWID""",
        "CREATE INDEX refs_by_doc ON refs (ref, doc)",
        "CREATE TABLE lines (doc INTEGER PRIMARY KEY, name TEXT NOT NULL, line TEXT NOT NULL)",
        "CREATE INDEX lines_by_name ON lines (name, doc)",
        # `ascii` splits at spaces alone, for all else in a term is a letter or a digit.
        """CREATE VIRTUAL TABLE terms USING fts5 (
            line, content = 'lines', content_rowid = 'doc', tokenize = 'ascii', detail = none,
            columnsize = 0, prefix = '2 3 4')""",
        # How many rows have each term.
        "CREATE TABLE words (term TEXT PRIMARY KEY, n INTEGER NOT NULL) WITHOUT ROWID",
    ),
)
LAYOUT = len(_STEPS)


def connect(path: Path, *, still: bool = False) -> sqlite3.Connection:
    """Open a file, made if it is not there, with its layout up to date.

    Args:
        path: The file.
        still: Whether it `is_still`. It is then read as it is now; who keeps the connection
            looks whether its `identity` changes.

    Raises:
        StorageError: It is another program's, of a newer layout, damaged, or cannot be opened.
        sqlite3.Error: SQLite says so.
    """
    connection = _open(path, still=still)
    try:
        _prepare(connection, path)
    except BaseException:
        connection.close()
        raise
    return connection


def is_still(path: Path) -> bool:
    """Whether a file can only be read without the memory that readers of a log share.

    That memory lies beside the file. Where this process can make none, and no log is there,
    nobody writes at this moment; another user may do so later.

    Examples:
        >>> is_still(tmp / "index.db")
        False
    """
    return (
        path.exists()
        and not os.access(path, os.W_OK)
        and not os.access(path.parent, os.W_OK)
        and not _has_log(path)
    )


def _has_log(path: Path) -> bool:
    with suppress(OSError):
        return os.stat(f"{path}-wal").st_size > 0
    return False


def _open(path: Path, *, still: bool) -> sqlite3.Connection:
    if still:
        return _attempt(path, "mode=ro&immutable=1")
    if not path.parent.exists():
        path.parent.mkdir(parents=True, exist_ok=True)
    writable = os.access(path if path.exists() else path.parent, os.W_OK)
    return _attempt(path, "mode=rwc" if writable else "mode=ro")


def _attempt(path: Path, options: str) -> sqlite3.Connection:
    connection = sqlite3.connect(
        f"file:{quote(os.fsencode(path))}?{options}",
        uri=True,
        timeout=PATIENCE,
        isolation_level=None,
        check_same_thread=False,  # the pool gives it to one thread at a time
    )
    connection.text_factory = _text
    return connection


def _text(data: bytes) -> str:
    return data.decode("utf-8", "replace")  # one damaged row must not stop a listing


def _prepare(connection: sqlite3.Connection, path: Path) -> None:
    # FULL: in WAL mode NORMAL loses the last commits when the power goes.
    connection.execute("PRAGMA synchronous = FULL")
    connection.execute("PRAGMA trusted_schema = OFF")
    connection.execute("PRAGMA cell_size_check = ON")
    connection.execute("BEGIN")  # so that all is seen as of one moment, beside who migrates
    try:
        layout = _layout(connection, path)
    finally:
        connection.execute("ROLLBACK")
    if layout < LAYOUT:
        _migrate(connection, path)
    if _number(connection, "PRAGMA journal_mode") != "wal":
        _patiently(lambda: connection.execute("PRAGMA journal_mode = WAL").fetchall())


def _layout(connection: sqlite3.Connection, path: Path) -> int:
    """The number of the file's layout, 0 for an empty file."""
    layout = _number(connection, "PRAGMA user_version")
    owner = _number(connection, "PRAGMA application_id")
    tables = {str(row[0]) for row in connection.execute("SELECT name FROM sqlite_master")}
    if owner == APPLICATION_ID and isinstance(layout, int) and tables:
        if layout <= LAYOUT:
            return layout
        raise StorageError(
            str(path),
            f"its layout has number {layout}, and this version knows those up to {LAYOUT}",
            "A newer atdata wrote it. Upgrade atdata, or name another file.",
        )
    if not tables and not owner and not layout:
        return 0
    if "dataset_entries" in tables and not owner:
        raise StorageError(
            str(path),
            "its tables have a layout from before version 1",
            "Name another file, and write the datasets into it anew.",
        )
    raise StorageError(
        str(path), "it is another program's database", "Name another file; nothing was changed."
    )


def _migrate(connection: sqlite3.Connection, path: Path) -> None:
    connection.execute("BEGIN IMMEDIATE")
    try:
        for step in _STEPS[_layout(connection, path) :]:  # another process may have been first
            for statement in step:
                connection.execute(statement)
        connection.execute(f"PRAGMA application_id = {APPLICATION_ID}")
        connection.execute(f"PRAGMA user_version = {LAYOUT}")
        connection.execute("COMMIT")
    finally:
        if connection.in_transaction:
            connection.execute("ROLLBACK")


def _number(connection: sqlite3.Connection, pragma: str) -> int | str:
    value: int | str = connection.execute(pragma).fetchone()[0]
    return value


def _patiently(act: Callable[[], object]) -> None:
    """Try again while others use the file: a change of its journal does not wait by itself."""
    end = time.monotonic() + PATIENCE
    while True:
        try:
            act()
        except sqlite3.OperationalError as error:
            if _code(error) == sqlite3.SQLITE_READONLY:
                return  # it is read as it is
            if _code(error) != sqlite3.SQLITE_BUSY or time.monotonic() > end:
                raise
            time.sleep(0.02)
        else:
            return


def _code(error: sqlite3.Error) -> int:
    """The primary error code; 0 for an error that SQLite itself did not raise."""
    return getattr(error, "sqlite_errorcode", 0) & 0xFF


_HINTS = {
    sqlite3.SQLITE_BUSY: f"Another process has written to it for {PATIENCE:.0f} s; try again.",
    sqlite3.SQLITE_READONLY: "It can only be read. Check the rights of file and folder.",
    sqlite3.SQLITE_PERM: "Check the rights of the file and of its folder.",
    sqlite3.SQLITE_CANTOPEN: "Check the path, and the rights of the file and of its folder.",
    sqlite3.SQLITE_FULL: "The disk is full: make room and try again.",
    sqlite3.SQLITE_IOERR: "The disk failed: check its room and its health.",
    sqlite3.SQLITE_CORRUPT: "It is damaged: restore a copy, or move it away with its -wal file.",
    sqlite3.SQLITE_NOTADB: "It is damaged or no index: restore a copy, or name another file.",
}


def failed(path: Path, error: sqlite3.Error | OSError) -> StorageError:
    """The error of ours for one of SQLite's.

    Examples:
        >>> error = sqlite3.OperationalError("database or disk is full")
        >>> error.sqlite_errorcode = sqlite3.SQLITE_FULL
        >>> print(failed(Path("index.db"), error))
        cannot use index.db
          reason  database or disk is full
          The disk is full: make room and try again.
    """
    hint = "Look at the reason." if isinstance(error, sqlite3.Error) else "Check the path."
    if isinstance(error, sqlite3.Error):
        hint = _HINTS.get(_code(error), hint)
    return StorageError(str(path), str(error), hint)


def identity(path: Path, *, still: bool = False) -> tuple[int, ...] | None:
    """Which file lies there, or None: to notice one that was removed or replaced.

    Args:
        path: The file.
        still: Whether to notice one that was written, too.

    Examples:
        >>> identity(tmp / "nothing.db") is None
        True
    """
    with suppress(OSError):
        found = os.stat(path)
        which = found.st_dev, found.st_ino
        return (*which, found.st_mtime_ns, found.st_size, _has_log(path)) if still else which
    return None
