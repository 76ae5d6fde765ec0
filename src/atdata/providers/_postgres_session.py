"""A session of a PostgreSQL server: opened with patience, and given up when it says nothing."""

import os
import time
from collections.abc import Callable, Generator
from typing import Any

from atdata._lazy import require
from atdata.providers._postgres_schema import prepare

# A server that went away is noticed, even where it never says so. Seconds, and milliseconds.
_PATIENCE = {"connect_timeout": "15", "keepalives_idle": "30", "tcp_user_timeout": "30000"}
# What the server ends by itself; the address and the environment may say otherwise.
_LIMITS = {"statement_timeout": "60000", "idle_in_transaction_session_timeout": "60000"}
_REFUSALS = ("option", "parameter")
_SILENCE = 75.0
"""Seconds without a word after which a session is given up; the server's limits come first."""


def _psycopg() -> Any:
    return require("psycopg", extra="postgres")


def connector(settings: dict[str, str], schema: str, place: str) -> Callable[[], Any]:
    """What opens a session whose tables are ready.

    Args:
        settings: What the address says.
        schema: The schema's name, quoted.
        place: Which database, for errors.
    """

    def connect() -> Any:
        connection = _open({**_PATIENCE, **settings})
        try:
            connection.isolation_level = _psycopg().IsolationLevel.READ_COMMITTED
            prepare(connection, schema, place)
        except BaseException:
            connection.close()
            raise
        return connection

    return connect


def _open(settings: dict[str, str]) -> Any:
    psycopg = _psycopg()
    for each in (settings | _options(settings), settings):
        try:
            # A pooler between may give each statement another session: nothing is prepared.
            connection = psycopg.connect(**each, autocommit=True, prepare_threshold=None)
        except psycopg.OperationalError as error:
            # A pooler may refuse options. A commit sets its limits itself; a setting of a session
            # would be another client's next.
            if each is settings or not any(word in str(error) for word in _REFUSALS):
                raise
        else:
            _give_up_when_silent(connection)
            return connection
    raise AssertionError


def _options(settings: dict[str, str]) -> dict[str, str]:
    given = settings.get("options", os.environ.get("PGOPTIONS"))
    if given is None and ("service" in settings or "PGSERVICE" in os.environ):
        return {}  # the service's own would not be heard
    limits = " ".join(f"-c {name}={value}" for name, value in _LIMITS.items())
    return {"options": f"{limits} {given or ''}".strip()}


def limit_transaction(connection: Any) -> None:
    """Set how long statements and pauses of a transaction may take, unless that is set."""
    limits = "".join(
        f", set_config('{name}', CASE current_setting('{name}') WHEN '0' THEN '{value}' "
        f"ELSE current_setting('{name}') END, true)"
        for name, value in _LIMITS.items()
    )
    connection.execute(f"SELECT set_config('lock_timeout', '30s', true){limits}")


def _give_up_when_silent(connection: Any) -> None:
    """Close the connection when an answer is waited for and none comes."""
    wait = connection.wait

    def wait_for_a_while(work: Generator[Any, Any, Any], *args: Any, **kwargs: Any) -> Any:
        try:
            return wait(_heard(work), *args, **kwargs)
        except _psycopg().errors.ConnectionTimeout:
            connection.close()
            raise

    connection.wait = wait_for_a_while


def _heard(work: Generator[Any, Any, Any]) -> Generator[Any, Any, Any]:
    """Go on as `work` does, which is told what the socket is ready for, or nothing."""
    heard = time.monotonic()
    try:
        state = next(work)
        while True:
            ready = yield state
            now = time.monotonic()
            if ready:
                heard = now
            elif now - heard > _SILENCE:
                raise _psycopg().errors.ConnectionTimeout(
                    f"the server has said nothing for {now - heard:.0f} s"
                )
            state = work.send(ready)
    except StopIteration as end:
        return end.value


def timed_out(error: Exception) -> bool:
    """Whether the server did not answer in time: to ask again would take as long again.

    Examples:
        >>> timed_out(ValueError("a statement"))
        False
    """
    return isinstance(error, _psycopg().errors.ConnectionTimeout)


def connection_lost(error: Exception) -> bool:
    """Whether an error says that the connection is gone, rather than that a statement failed.

    Examples:
        >>> connection_lost(ValueError("a statement"))
        False
    """
    state = getattr(error, "sqlstate", None)
    if not isinstance(error, _psycopg().OperationalError):
        return False
    # Without a state it comes from the client: there is no server to give one. 08 are
    # connection exceptions, 57P those of a server that stops.
    return state is None or state.startswith(("08", "57P"))


def usable(connection: Any) -> bool:
    """Whether a connection is open and in no transaction."""
    idle = require("psycopg.pq", extra="postgres").TransactionStatus.IDLE
    return not connection.closed and connection.info.transaction_status == idle


def close(connection: Any) -> None:
    """Close a connection."""
    connection.close()
