"""The tables of a catalogue in PostgreSQL, made and brought up to date under a lock."""

import hashlib
from typing import Any

from atdata._exceptions import StorageError

# Each step leads from one layout to the next and is never changed once it was published. Names
# are compared by their bytes, which is the order of code points.
_STEPS: tuple[tuple[str, ...], ...] = (
    (
        "CREATE TABLE {s}.counters (seq bigint NOT NULL, doc bigint NOT NULL)",
        "INSERT INTO {s}.counters VALUES (0, 0)",
        """CREATE TABLE {s}.rows (
            doc bigint PRIMARY KEY, kind text COLLATE "C" NOT NULL, name text COLLATE "C" NOT NULL,
            tag text COLLATE "C" NOT NULL, seq bigint NOT NULL, refs text NOT NULL, text text,
            body text NOT NULL, UNIQUE (kind, name, tag))""",
        """CREATE TABLE {s}.refs (
            ref bytea NOT NULL, kind text COLLATE "C" NOT NULL, name text COLLATE "C" NOT NULL,
            tag text COLLATE "C" NOT NULL, doc bigint NOT NULL,
            PRIMARY KEY (ref, kind, name, tag))""",
        "CREATE INDEX refs_by_doc ON {s}.refs (ref, doc)",
        """CREATE TABLE {s}.lines (
            doc bigint PRIMARY KEY, name text COLLATE "C" NOT NULL, terms tsvector NOT NULL)""",
        "CREATE INDEX lines_by_name ON {s}.lines (name, doc)",
        # What waits to be merged into the index is read from end to end by each search.
        """CREATE INDEX lines_by_terms ON {s}.lines USING gin (terms)
            WITH (gin_pending_list_limit = 256)""",
        # How many rows have each term.
        """CREATE TABLE {s}.words (term text COLLATE "C" PRIMARY KEY, n bigint NOT NULL)
            WITH (fillfactor = 80)""",
    ),
)
LAYOUT = len(_STEPS)
_MARK = (
    "CREATE TABLE {s}.atdata_layout (layout integer NOT NULL)",
    "INSERT INTO {s}.atdata_layout VALUES (0)",
)
_THERE = """SELECT 1 FROM pg_class c JOIN pg_namespace n ON n.oid = c.relnamespace
    WHERE n.nspname = %s AND c.relname = 'atdata_layout'"""
_MARKED = "UPDATE {s}.atdata_layout SET layout = %s"


def quoted(schema: str) -> str:
    """A schema's name as SQL takes it.

    Raises:
        ValueError: It is no name.

    Examples:
        >>> print(quoted('my "own" tables'))
        "my ""own"" tables"
    """
    if not schema or {*"\0%"} & {*schema} or len(schema.encode()) > 63:
        raise ValueError(f"{schema!a} is no name of a schema: 1 to 63 bytes, without %")
    return '"' + schema.replace('"', '""') + '"'


def prepare(connection: Any, schema: str, place: str) -> None:
    """Make the tables, or bring them up to date; where they are, nothing is written.

    Args:
        connection: A connection in autocommit mode.
        schema: The schema's name, quoted.
        place: Which database, for errors.

    Raises:
        StorageError: The tables are of a newer layout, or the database does not take Unicode.
    """
    if _layout(connection, schema, place) == LAYOUT:
        return
    encoding = connection.execute("SHOW server_encoding").fetchone()[0]
    if encoding != "UTF8":
        raise StorageError(
            place, f"its encoding is {encoding}", "Make a database with ENCODING 'UTF8'."
        )
    lock = int.from_bytes(hashlib.blake2b(schema.encode(), digest_size=8).digest(), signed=True)
    with connection.transaction():
        connection.execute("SELECT pg_advisory_xact_lock(%s)", (lock,))
        layout = _layout(connection, schema, place)  # another process may have been first
        if layout == 0:
            there = "SELECT 1 FROM pg_namespace WHERE nspname = %s"
            if connection.execute(there, (_plain(schema),)).fetchone() is None:
                connection.execute(f"CREATE SCHEMA {schema}")
            for statement in _MARK:
                connection.execute(statement.format(s=schema))
        for step in _STEPS[layout:]:
            for statement in step:
                connection.execute(statement.format(s=schema))
        connection.execute(_MARKED.format(s=schema), (LAYOUT,))


def _plain(schema: str) -> str:
    return schema[1:-1].replace('""', '"')


def _layout(connection: Any, schema: str, place: str) -> int:
    # Not `to_regclass`: in a transaction that waited for the lock it may still answer from before.
    if connection.execute(_THERE, (_plain(schema),)).fetchone() is None:
        return 0
    sql = f"SELECT layout FROM {schema}.atdata_layout"  # noqa: S608 - a quoted name
    layout = int(connection.execute(sql).fetchone()[0])
    if layout > LAYOUT:
        raise StorageError(
            place,
            f"its layout has number {layout}, and this version knows those up to {LAYOUT}",
            "A newer atdata wrote it. Upgrade atdata, or name another schema.",
        )
    return layout
