"""Whether a PostgreSQL database can hold an index."""

import secrets
from typing import Any

from atdata._lazy import require
from atdata.cli.checks import Check, Checks, fail, judge, ok, without_secrets

_PATIENCE = 5
_OLDEST = 13
_FULL = 0.9


def checks(dsn: str, *, idle: float = 60.0) -> Checks:
    """Look at a database; a table is created and taken back.

    Args:
        dsn: Its address.
        idle: Seconds that a transaction may wait for its program.
    """
    psycopg = require("psycopg", extra="postgres")
    try:
        parsed = psycopg.conninfo.conninfo_to_dict(dsn)
    except psycopg.Error:
        yield fail(
            "connection",
            "the address cannot be read",
            "Write it so: postgresql://USER:PASSWORD@HOST:PORT/DATABASE",
        )
        return
    parsed.setdefault("connect_timeout", _PATIENCE)
    parsed["client_encoding"] = "utf8"  # else a database without an encoding answers in bytes
    options = f"{parsed.get('options', '')} -c statement_timeout={_PATIENCE * 1000}".strip()
    try:
        connection: Any = psycopg.connect(**{**parsed, "options": options}, autocommit=True)
    except psycopg.Error as error:
        fact = without_secrets(error, dsn, f"password={parsed.get('password', '')}")
        yield fail(
            "connection", fact, "Check address, password and pg_hba.conf, and that it runs."
        )
        return
    with connection:
        yield ok("connection", f"database {connection.info.dbname}, user {connection.info.user}")
        try:
            yield from _inside(connection, psycopg.Error, idle)
        except psycopg.Error as error:
            yield fail("connection", without_secrets(error, dsn), "The connection was lost.")


def _inside(connection: Any, refused: type[Exception], idle: float) -> Checks:
    version = connection.info.server_version
    yield judge(
        version >= _OLDEST * 10_000,
        "version",
        f"PostgreSQL {version // 10_000}",
        f"Update it to {_OLDEST} or newer.",
    )
    encoding = _one(connection, "SHOW server_encoding")
    yield judge(
        encoding == "UTF8",
        "encoding",
        encoding,
        "Names in other scripts fail: CREATE DATABASE … ENCODING 'UTF8' TEMPLATE template0.",
    )
    yield _tables(connection, refused)
    yield _connections(connection)
    yield _idle(connection, idle)


def _tables(connection: Any, refused: type[Exception]) -> Check:
    name = f"atdata_probe_{secrets.token_hex(8)}"
    try:
        connection.execute("BEGIN")
        connection.execute(f"CREATE TABLE {name} AS SELECT 1 AS n")
    except refused as error:
        return fail("tables", error, "GRANT CREATE, USAGE ON SCHEMA public TO the user.")
    finally:
        connection.execute("ROLLBACK")
    return ok("tables", "may be created and written")


def _connections(connection: Any) -> Check:
    most = int(_one(connection, "SHOW max_connections"))
    used = int(
        _one(
            connection,
            "SELECT count(*) FROM pg_stat_activity WHERE backend_type = 'client backend'",
        )
    )
    return judge(
        used < _FULL * most,
        "connections",
        f"{used} of {most}",
        "Close some, put a pooler before it, or raise max_connections.",
        worst="warn",
    )


def _idle(connection: Any, seconds: float) -> Check:
    waiting = int(
        _one(
            connection,
            "SELECT count(*) FROM pg_stat_activity WHERE state LIKE 'idle in transaction%%' "
            "AND extract(epoch FROM clock_timestamp() - state_change) > %s",
            seconds,
        )
    )
    return judge(
        waiting == 0,
        "idle in transaction",
        f"{waiting} for more than {seconds:g} s",
        "They hold locks: end those programs, or set idle_in_transaction_session_timeout.",
        worst="warn",
    )


def _one(connection: Any, query: str, *values: float) -> str:
    return str(connection.execute(query, values or None).fetchone()[0])
