"""Whether a SQLite file is sound and can be written."""

import os
import shutil
import sqlite3
from contextlib import closing
from pathlib import Path

from atdata.cli.checks import Check, Checks, fail, judge, n_bytes, ok, warn

_OLDEST = (3, 35)  # RETURNING
_LITTLE = 100 << 20
_PATIENCE = 2.0


def checks(path: Path) -> Checks:
    """Look at a file; nothing is created, and nothing in it is changed."""
    version = sqlite3.sqlite_version
    yield judge(
        sqlite3.sqlite_version_info >= _OLDEST,
        "version",
        f"SQLite {version}",
        "Use a Python with SQLite 3.35 or newer.",
    )
    if not path.is_file():
        yield fail("file", f"no file {path}", "Name the file; Index() makes one at its first use.")
        return
    yield ok("file", f"{path}, {n_bytes(path.stat().st_size)}")
    yield _disk(path)
    try:
        with closing(_connect(path)) as connection:
            yield from _inside(connection, path)
    except sqlite3.DatabaseError as error:
        yield fail(
            "integrity", error, "Restore the file from a copy, or save what can be: .recover"
        )


def _connect(path: Path) -> sqlite3.Connection:
    mode = "rw" if os.access(path, os.W_OK) and os.access(path.parent, os.W_OK) else "ro"
    return sqlite3.connect(
        f"{path.resolve().as_uri()}?mode={mode}", uri=True, timeout=_PATIENCE, autocommit=True
    )


def _inside(connection: sqlite3.Connection, path: Path) -> Checks:
    found = [str(row[0]) for row in connection.execute("PRAGMA integrity_check(5)")]
    yield judge(
        found == ["ok"],
        "integrity",
        "; ".join(found),
        "Restore the file from a copy, or save what can be: sqlite3 FILE .recover",
    )
    mode = str(connection.execute("PRAGMA journal_mode").fetchone()[0])
    yield judge(
        mode == "wal",
        "journal mode",
        mode,
        "Readers and writers wait for each other; opening it with Index() sets wal.",
        worst="warn",
    )
    log = path.with_name(f"{path.name}-wal")
    if log.exists() and log.stat().st_size > _LITTLE:
        yield warn(
            "write-ahead log",
            n_bytes(log.stat().st_size),
            "A reader may be open for long; end it, then: PRAGMA wal_checkpoint(TRUNCATE)",
        )
    yield _writable(connection, path)


def _writable(connection: sqlite3.Connection, path: Path) -> Check:
    for place in (path.parent, path):
        if not os.access(place, os.W_OK):
            return fail("writable", f"no permission to write {place}", "Ask its owner.")
    try:
        connection.execute("BEGIN IMMEDIATE")
        connection.execute("ROLLBACK")
    except sqlite3.OperationalError as error:
        return fail("writable", error, "Another program holds it; see which: fuser FILE")
    return ok("writable", "yes")


def _disk(path: Path) -> Check:
    free = shutil.disk_usage(path.parent).free
    return judge(
        free > _LITTLE, "free disk", n_bytes(free), "Make room before anything is written."
    )
