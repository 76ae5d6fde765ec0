"""A provider in Redis or Valkey."""

import hashlib
import secrets
import weakref
from collections.abc import Callable, Sequence
from importlib.resources import files
from typing import Any, cast

from atdata._exceptions import ConflictError, StorageError
from atdata._lazy import require
from atdata.model.record import Change, Put, Row
from atdata.providers._changes import (
    Key,
    check_changes,
    check_limit,
    read_row,
    ref_digest,
    ref_digests,
    with_nul,
    without_nul,
    write_refs,
    write_text,
)
from atdata.providers._terms import Match, Tier, term_line
from atdata.providers.base import IndexProvider

_LAYOUT = b"1"
_PATIENCE = 20_000
"""How many rows a search looks at before others are served."""

_PLAIN = ("Connection", "SSLConnection", "UnixDomainSocketConnection")
_SETTINGS = (
    *("host", "port", "db", "username", "password", "path", "client_name", "protocol"),
    *("socket_timeout", "socket_connect_timeout", "socket_keepalive", "health_check_interval"),
    *(
        "ssl_keyfile",
        "ssl_certfile",
        "ssl_cert_reqs",
        "ssl_ca_certs",
        "ssl_ca_data",
        "ssl_ca_path",
    ),
    *("ssl_check_hostname", "ssl_password", "ssl_min_version", "ssl_ciphers"),
    "credential_provider",
)
_DEFAULTS = {"socket_timeout": 30.0, "socket_connect_timeout": 10.0}


class _Script:
    """A script that the server runs as one step, and how it is known there."""

    def __init__(self, name: str) -> None:
        self.text = files("atdata.providers").joinpath(f"redis_{name}.lua").read_bytes()
        self.sha = hashlib.sha1(self.text, usedforsecurity=False).hexdigest()


class RedisProvider(IndexProvider):
    """Keeps records in Redis, from 6.2 on, or Valkey, under keys that begin with a prefix.

    Any number of processes on any number of machines may use it at once. Each commit is one
    script. How well it survives a loss of power is the server's `appendonly` and `appendfsync`.

    Args:
        redis: A URL such as `redis://user:password@host:6379/0`, or a client of redis-py, whose
            settings are taken over; `redis://localhost:6379/0` if left out.
        prefix: What its keys begin with.

    Raises:
        TypeError: `redis` is neither.
        ValueError: The URL or the prefix is none.
        MissingExtraError: redis-py is not installed.

    Examples:
        >>> RedisProvider("redis://me:secret@db.example.org/1")
        RedisProvider('redis://db.example.org:6379/1', prefix='atdata')
    """

    def __init__(self, redis: Any = None, *, prefix: str = "atdata") -> None:
        if not prefix:
            raise ValueError(f"prefix must be a text that is not empty, not {prefix!a}")
        self._prefix = prefix
        # Braces keep all keys on one node of a cluster.
        self._base = f"{prefix}:" if "{" in prefix else f"{{{prefix}}}:"
        self._meta = f"{self._base}catalogue"
        self._settings: dict[str, Any] | None = None
        self._given = None if redis is None or isinstance(redis, str) else redis
        self._connect(redis)
        self._is_checked = False
        self._commit, self._matches, self._page = map(_Script, ("commit", "matches", "page"))

    def _connect(self, redis: Any) -> None:
        library = require("redis", extra="redis")
        kind, settings = _settings(library, redis)
        if settings is None:
            self._client, self._place = redis, "redis"
            return
        self._settings = {"connection_class": kind, **settings}
        where = f"{settings.get('host', 'localhost')}:{settings.get('port', 6379)}"
        self._place = (
            f"unix://{settings['path']}"
            if "path" in settings
            else f"{'rediss' if kind == 'SSLConnection' else 'redis'}://{where}"
            f"/{settings.get('db', 0)}"
        )
        pool = library.ConnectionPool(
            connection_class=getattr(library.connection, kind),
            retry=require("redis.retry", extra="redis").Retry(
                require("redis.backoff", extra="redis").NoBackoff(), 0
            ),
            **{**_DEFAULTS, **settings},
        )
        self._client = library.Redis(connection_pool=pool)
        weakref.finalize(self, pool.disconnect)

    @property
    def redis(self) -> Any:
        """The client that was given, or one for the URL."""
        return self._client if self._given is None else self._given

    def __repr__(self) -> str:
        return f"RedisProvider({self._place!r}, prefix={self._prefix!r})"

    def __reduce__(self) -> tuple[Any, ...]:
        if self._settings is None:
            raise TypeError(
                "a RedisProvider of a client of one's own kind cannot be sent elsewhere\n"
                "  Give it a URL, or a plain redis.Redis."
            )
        return _again, (self._settings, self._prefix)

    def close(self) -> None:
        """Close the connections; the next use opens them again. A client that was given stays."""
        if self._settings is not None:
            self._client.connection_pool.disconnect()

    def commit(self, changes: Sequence[Change]) -> int:
        """Take all steps or none; see `IndexProvider.commit`."""
        steps = check_changes(changes)
        given: list[Any] = [self._base, _LAYOUT, secrets.token_hex(16)]
        for step in steps:
            given += _arguments(step)
        said = self._run(self._commit, self._meta, given)
        if said[0] == b"conflict":
            step = steps[int(said[1])]
            raise ConflictError(step.key, step.expect or 0, int(said[2]))
        if said[0] == b"layout":
            raise self._newer(said[1])
        return int(said[1])

    def _ask(self, *command: Any) -> Any:
        """Send a command, and once more where the connection was dropped."""
        hint = "Check that it can be reached."
        if command[:2] == ("EVALSHA", self._commit.sha):
            hint = "Read the records again: the commit may have been made, if it was sent."
        return self._sent(
            lambda client: client.execute_command(*command, NEVER_DECODE=True), lost_hint=hint
        )

    def _ask_all(self, commands: Sequence[Sequence[Any]]) -> list[Any]:
        """Send commands that only read, all at once."""

        def send(client: Any) -> list[Any]:
            with client.pipeline(transaction=False) as pipeline:
                for command in commands:
                    pipeline.execute_command(*command, NEVER_DECODE=True)
                return cast("list[Any]", pipeline.execute())

        return cast("list[Any]", self._sent(send))

    def _sent(
        self,
        send: Callable[[Any], Any],
        *,
        lost_hint: str = "Check that it can be reached.",
    ) -> Any:
        library = require("redis", extra="redis")
        lost = (library.ConnectionError, library.TimeoutError)
        try:
            try:
                return send(self._client)
            except lost:
                self.close()
                return send(self._client)
        except library.exceptions.NoScriptError:
            raise
        except library.RedisError as error:
            hint = lost_hint if isinstance(error, lost) else "Check that it can be reached."
            raise StorageError(self._place, str(error), hint) from error

    def _run(self, script: _Script, key: Any, given: Sequence[Any]) -> Any:
        self._check()
        library = require("redis", extra="redis")
        call = ("EVALSHA", script.sha, 1, *map(_bytes, (key, *given)))
        try:
            return self._ask(*call)
        except library.exceptions.NoScriptError:
            self._ask("SCRIPT LOAD", script.text)
            return self._ask(*call)

    def _check(self) -> None:
        """Once, that the layout is ours."""
        if not self._is_checked:
            layout = self._ask("HGET", _bytes(self._meta), "layout")
            if layout not in {None, _LAYOUT}:
                raise self._newer(layout)
            self._is_checked = True

    def _newer(self, layout: bytes) -> StorageError:
        return StorageError(
            f"{self._place}, keys {self._base}",
            f"its layout is {layout!r}, and this version knows {_LAYOUT!r}",
            "A newer atdata wrote it. Upgrade atdata, or name another prefix.",
        )

    def get(self, kind: str, name: str, tag: str = "") -> Row | None:
        """The row under that key, or None."""
        return self.get_many([(kind, name, tag)])[0]

    def get_many(self, keys: Sequence[tuple[str, str, str]]) -> list[Row | None]:
        """The rows under several keys, asked for at once."""
        self._check()
        asked = [("HMGET", self._row_key(*key), "seq", "body", "refs", "text") for key in keys]
        answers = [self._ask(*asked[0])] if len(asked) == 1 else self._ask_all(asked)
        return [
            None if seq is None else _row(key, seq, body, refs, text)
            for key, (seq, body, refs, text) in zip(keys, answers, strict=True)
        ]

    def _row_key(self, kind: str, name: str, tag: str) -> bytes:
        return b"%srow:%s\0%s" % (_bytes(self._base), _bytes(kind), _member(name, tag))

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
        check_limit(limit)
        key = f"{self._base}kind:{kind}"
        if ref is not None:
            key = f"{self._base}ref:{ref_digest(ref).hex()}:{kind}"
        low, high = b"-", b"+"
        if name is not None:
            low, high = b"[" + _member(name, ""), b"(" + _bytes(without_nul(name)) + b"\1"
        if after is not None and (name is None or _member(*after) >= low[1:]):
            low = b"(" + _member(*after)
        found: list[Row] = []
        while len(found) < limit:
            asked = limit - len(found)
            rest = (low, high, asked, "" if upto is None else upto)
            onward, *values = self._run(self._page, key, (self._base, kind, *rest))
            for at in range(0, len(values), 5):
                member, *fields = values[at : at + 5]
                found.append(_row((kind, *_key(member)), *fields))
            if not onward:
                break
            low = b"(" + onward
        return found

    def newest(self) -> int:
        """The highest number of a row so far."""
        return int(self._ask("HGET", _bytes(self._meta), "doc") or 0)

    def matches(
        self, tier: Tier, *, refs: Sequence[str] = (), before: int | None = None, limit: int = 50
    ) -> list[Match]:
        """Rows of one tier of a search; see `IndexProvider.matches`."""
        check_limit(limit)
        digests = [ref_digest(ref).hex() for ref in dict.fromkeys(refs)]
        name = "" if tier.name is None else without_nul(tier.name)
        bound: Any = "+inf" if before is None else before
        found: list[Match] = []
        while len(found) < limit:
            head = (self._base, tier.level, name, bound, limit - len(found), _PATIENCE)
            given = (*head, len(digests), *digests, *tier.words)
            onward, *values = self._run(self._matches, self._meta, given)
            for at in range(0, len(values), 6):
                doc, key, *fields = values[at : at + 6]
                kind, _, member = key.removeprefix(_bytes(f"{self._base}row:")).partition(b"\0")
                found.append(Match(int(doc), _row((_text(kind), *_key(member)), *fields)))
            if not onward:
                break
            bound = onward
        return found


def _settings(library: Any, redis: Any) -> tuple[str, dict[str, Any] | None]:
    """The kind of connection and its settings; None for a client of another kind."""
    if redis is None:
        redis = "redis://localhost:6379/0"
    if isinstance(redis, str):
        try:
            found = cast("dict[str, Any]", library.connection.parse_url(redis))
        except ValueError:
            # The reason may quote the address, and so the password in it.
            raise ValueError(
                "this is no address of a Redis server\n"
                "  Give redis://user:password@host:6379/0, rediss:// or unix://."
            ) from None
        kind = getattr(
            found.pop("connection_class", library.connection.Connection), "__name__", ""
        )
        return kind, {key: value for key, value in found.items() if key in _SETTINGS}
    if not hasattr(redis, "execute_command"):
        raise TypeError(f"redis must be a URL or a client of redis-py, not {type(redis).__name__}")
    pool: Any = getattr(redis, "connection_pool", None)
    plain = {getattr(library.connection, kind) for kind in _PLAIN}
    kinds = {library.ConnectionPool, library.BlockingConnectionPool}
    if type(pool) not in kinds or pool.connection_class not in plain:
        return "", None
    known = {key: value for key, value in pool.connection_kwargs.items() if key in _SETTINGS}
    given = {key: value for key, value in known.items() if value is not None}
    return pool.connection_class.__name__, given


def _again(settings: dict[str, Any], prefix: str) -> RedisProvider:
    library = require("redis", extra="redis")
    kind = getattr(library.connection, settings["connection_class"])
    rest = {key: value for key, value in settings.items() if key != "connection_class"}
    pool = library.ConnectionPool(connection_class=kind, **rest)
    return RedisProvider(library.Redis(connection_pool=pool), prefix=prefix)


def _arguments(step: Change) -> list[Any]:
    """What the script is told of a step."""
    kind, name, tag = step.key
    action = "put" if isinstance(step, Put) else type(step).__name__.lower()
    expect = "" if step.expect is None else step.expect
    given: list[Any] = [action, kind, _member(name, tag), without_nul(name), expect]
    if isinstance(step, Put):
        row = step.row
        digests = [digest.hex() for digest in ref_digests(row)]
        line = "" if row.text is None else term_line(row.text)
        given += [row.body, write_refs(row), write_text(row) or "", line, len(digests), *digests]
    return given


def _member(name: str, tag: str) -> bytes:
    """Name and tag in one, whose order by bytes is theirs by code point."""
    return b"%s\0%s" % (_bytes(without_nul(name)), _bytes(without_nul(tag)))


def _key(member: bytes) -> tuple[str, str]:
    name, _, tag = member.partition(b"\0")
    return with_nul(_text(name)), with_nul(_text(tag))


def _row(key: Key, seq: bytes, body: bytes, refs: bytes, text: bytes | None) -> Row:
    return read_row(key, int(seq), _text(body), _text(refs), _text(text) if text else None)


def _bytes(value: object) -> bytes:
    return value if isinstance(value, bytes) else str(value).encode()


def _text(value: bytes) -> str:
    return value.decode("utf-8", "replace")
