"""Bytes from web servers: streams that go on after a cut, and parts of files.

Everything is bounded: connecting, waiting for a byte, the pace of bytes, redirects and retries.
A body is delivered as the server said it is (length, range, version) or ends in an error.

The connection pool of httpx2 (`httpcore2`) is used without the client above it: the pool takes a
network backend, which is where a host name becomes an address (checked and then connected to)
and where slow bytes are noticed, even while headers are read. The client would also write whole
URLs, signatures included, to the log.
"""

import atexit
import base64
import io
import os
import random
import re
import socket
import ssl
import threading
import time
import urllib.request
from collections import deque
from collections.abc import Callable, Iterable, Mapping
from contextlib import suppress
from dataclasses import dataclass, field
from datetime import UTC, datetime
from email.utils import parsedate_to_datetime
from typing import Any, BinaryIO, Self
from weakref import WeakSet

import httpcore2

from atdata._exceptions import ShardNotFoundError, SourceError, redacted
from atdata.transport import gate, halt
from atdata.transport.file import check_range, too_short
from atdata.transport.gate import Origin, WebAddress
from atdata.transport.retry import Backoff, is_passing, retry_after

_MOST_REDIRECTS = 5
_LEAST_PACE = 1024  # bytes a second, over a stretch of waiting as long as the read timeout
_MOST_HEAD = 256 << 10  # bytes before the headers of an answer end
_MOST_DISCARDED = 8 << 20  # bytes read for nothing where a server knows no ranges
_PROGRESS = 256 << 10  # bytes after which earlier failures are forgotten
_BUFFER = 256 << 10

_REDIRECTS = frozenset({301, 302, 303, 307, 308})
_GONE = frozenset({404, 410})
_DENIED = frozenset({401, 403, 407})
_CONTENT_RANGE = re.compile(r"bytes (?:([0-9]{1,18})-([0-9]{1,18})|\*)/([0-9]{1,18}|\*)")
_GZIPPED = re.compile(r"\.(gz|tgz)$", re.IGNORECASE)


@dataclass(frozen=True, slots=True)
class Patience:
    """How long to wait for a server.

    Attributes:
        connect: Seconds for a connection to be made.
        read: Seconds between two arrivals of bytes; waiting that long altogether must also bring
            at least 1 KiB for each second of it.
        backoff: When and how often to try again.

    Examples:
        >>> Patience().connect
        10.0
    """

    connect: float = 10.0
    read: float = 30.0
    backoff: Backoff = field(default_factory=Backoff)


_PATIENCE = Patience()


def open_url(
    url: str,
    *,
    origin: Origin = "user",
    patience: Patience = _PATIENCE,
    same_host: bool = False,
) -> BinaryIO:
    """Open a web address for reading.

    A cut connection is taken up where it stopped, if the server can tell that the file is still
    the same one.

    Args:
        url: An `http` or `https` address.
        origin: Who named it.
        patience: How long to wait.
        same_host: Whether to go nowhere else, as with a signature that holds for one host.

    Returns:
        A stream. The caller closes it. It may be read in one thread at a time, and a stream that
        crossed a fork goes on with a connection of its own.

    Raises:
        ShardNotFoundError: The server has no such file.
        SourceError: The server refused, failed, or broke its word; also while reading.
        UnsafeURLError: The address, or one it redirects to, is not allowed.

    Examples:
        >>> open_url("ftp://example.org/a.tar")
        Traceback (most recent call last):
        atdata._exceptions.UnsafeURLError: cannot read ftp://example.org/a.tar
          reason  addresses of the kind 'ftp:' are not opened
          Allowed: a path, file:, http:, https: or s3:. Write ./ftp:… for a file of that name.
    """
    body = _Body(url, origin, patience, same_host=same_host)
    try:
        body.begin()
        return io.BufferedReader(body, _BUFFER)
    except BaseException:
        body.close()
        raise


def size(
    url: str,
    *,
    origin: Origin = "user",
    patience: Patience = _PATIENCE,
    same_host: bool = False,
) -> int:
    """How many bytes an address holds.

    The first byte is asked for, because addresses that are signed for reading refuse `HEAD`.

    Raises:
        ShardNotFoundError: The server has no such file.
        SourceError: The server refused, failed, or does not say.
        UnsafeURLError: The address, or one it redirects to, is not allowed.

    Examples:
        >>> size("-")
        Traceback (most recent call last):
        atdata._exceptions.UnsafeURLError: cannot read -
          reason  it names no file
          Allowed: a path, file:, http:, https: or s3:.
    """
    with _Body(url, origin, patience, start=0, length=1, same_host=same_host) as body:
        body.begin()
        total = body.total
        body.readall()
    if total is None:
        reason = "the server does not say how long the file is"
        raise SourceError(redacted(url), reason, status=200)
    return total


def version(
    url: str,
    *,
    origin: Origin = "user",
    patience: Patience = _PATIENCE,
    same_host: bool = False,
) -> str | None:
    """What names the bytes of an address from one process to the next.

    Returns:
        The server's strong ETag, or else the time of the last change, with the length. None where
        the server says too little, or the last change was so late that another may have the same
        time.

    Raises:
        ShardNotFoundError: The server has no such file.
        SourceError: The server refused or failed.
        UnsafeURLError: The address, or one it redirects to, is not allowed.

    Examples:
        >>> version("-")
        Traceback (most recent call last):
        atdata._exceptions.UnsafeURLError: cannot read -
          reason  it names no file
          Allowed: a path, file:, http:, https: or s3:.
    """
    with _Body(url, origin, patience, start=0, length=1, same_host=same_host) as body:
        body.begin()
        name = body.version_name
        body.readall()
    return name


def read_range(
    url: str,
    start: int,
    length: int,
    *,
    origin: Origin = "user",
    patience: Patience = _PATIENCE,
    same_host: bool = False,
) -> bytes:
    """Read part of what an address holds.

    Args:
        url: An `http` or `https` address.
        start: First byte; a negative one counts from the end.
        length: How many bytes.
        origin: Who named the address.
        patience: How long to wait.
        same_host: Whether to go nowhere else, as with a signature that holds for one host.

    Returns:
        Exactly `length` bytes.

    Raises:
        ShardError: The file does not hold those bytes.
        ShardNotFoundError: The server has no such file.
        SourceError: The server refused, failed, or gives no ranges of a large file.
        UnsafeURLError: The address, or one it redirects to, is not allowed.

    Examples:
        >>> read_range("http://example.org/a.tar", 0, 0)
        b''
    """
    check_range(start, length)
    if not length:
        _web(url, origin)
        return b""
    with _Body(url, origin, patience, start=start, length=length, same_host=same_host) as body:
        body.begin()
        data = body.readall()
    if len(data) != length:
        raise too_short(redacted(url), body.total or len(data), start, length)
    return data


@dataclass(frozen=True, slots=True)
class Outgoing:
    """A request that does more than read a file.

    Attributes:
        method: Such as `"PUT"`.
        url: The address.
        headers: Headers; `Content-Length` is added.
        content: The body.
    """

    method: str
    url: str = field(repr=False)
    headers: Mapping[str, str] = field(default_factory=dict[str, str], repr=False)
    content: bytes = field(default=b"", repr=False)


@dataclass(frozen=True, slots=True)
class Reply:
    """What a server answered, whatever it was.

    Attributes:
        status: The status code.
        headers: The headers, named in lower case.
        body: The whole body.
    """

    status: int
    headers: Mapping[str, str] = field(repr=False)
    body: bytes = field(repr=False)


def exchange(
    make: Callable[[], Outgoing],
    *,
    most: int,
    patience: Patience = _PATIENCE,
    passing: Callable[[Reply], bool] = lambda reply: is_passing(reply.status),
) -> Reply:
    """Send a request, again where the server cannot answer it now, and read the whole answer.

    The request must bear being sent twice: where an answer is lost, it is. Redirects are not
    followed, but returned.

    Args:
        make: Makes the request, anew for each try, as a signature holds a time.
        most: How many bytes the body of the answer may have.
        patience: How long to wait.
        passing: Whether to try again after this answer; when patience ends, it is returned.

    Raises:
        SourceError: The server cannot be reached, or does not give a whole answer.
        UnsafeURLError: The address is not allowed.

    Examples:
        >>> exchange(lambda: Outgoing("DELETE", "ftp://example.org/"), most=0)
        Traceback (most recent call last):
        atdata._exceptions.UnsafeURLError: cannot read ftp://example.org/
          reason  addresses of the kind 'ftp:' are not opened
          Allowed: a path, file:, http:, https: or s3:. Write ./ftp:… for a file of that name.
    """
    failures, waited = 0, 0.0
    while True:
        request = make()
        reply, failure = None, None
        try:
            reply = _exchange_once(request, most, patience)
            if not passing(reply):
                return reply
            after = retry_after(reply.headers.get("retry-after", ""), now=datetime.now(UTC))
        except _PassingError as error:
            failure, after = error, error.asked
        failures += 1
        chance = random.SystemRandom().random()
        delay = patience.backoff.delay(failures, waited=waited, chance=chance, asked=after)
        if delay is None and reply is not None:
            return reply
        if delay is None:
            tries = f" ({failures} tries)" if failures > 1 else ""
            reason = f"{failure.reason if failure else 'no answer'}{tries}"
            raise SourceError(redacted(request.url), reason) from failure
        waited += delay
        halt.pause(delay)


def _exchange_once(request: Outgoing, most: int, patience: Patience) -> Reply:
    headers = [("User-Agent", "atdata"), *request.headers.items()]
    headers.append(("Content-Length", str(len(request.content))))
    answer = _send(
        _web(request.url, "user"),
        headers,
        patience,
        public_only=False,
        method=request.method,
        content=request.content,
    )
    body = bytearray()
    try:
        while (piece := answer.next_piece()) is not None:
            body += piece
            if len(body) > most:
                raise SourceError(redacted(request.url), f"the answer has more than {most} bytes")
    finally:
        answer.close()
    return Reply(answer.status, answer.headers, bytes(body))


def _in_pieces(content: bytes) -> Iterable[bytes]:
    """A body in pieces, of which a connection copies only what it could not send yet."""
    return (content[at : at + _BUFFER] for at in range(0, len(content), _BUFFER))


def close() -> None:
    """Close the idle connections of this process; the next request makes new ones.

    Examples:
        >>> close()
    """
    _sweep()
    for key in [key for key in _pools if key[0] == os.getpid()]:
        _pools.pop(key).close()


def close_idle() -> None:
    """Close all connections, unless a request of this process is under way.

    Examples:
        >>> close_idle()
    """
    with _under_way.lock:
        if not _under_way.n:
            for pool in list(_pools.values()):
                pool.close()


class _PassingError(Exception):
    """A failure after which the same request may succeed."""

    def __init__(self, reason: str, status: int | None = None, asked: float | None = None) -> None:
        super().__init__(reason)
        self.reason = reason
        self.status = status
        self.asked = asked


@dataclass(frozen=True, slots=True)
class _Version:
    """What tells one state of a file from the next: as the server states it."""

    etag: str
    modified: str
    total: int | None
    answered: str = ""  # when, by the server's clock

    @property
    def validator(self) -> str:
        """What makes a range conditional (`If-Range`); a weak ETag may not."""
        return self.etag if self.etag and not self.etag.startswith("W/") else self.modified

    @property
    def name(self) -> str | None:
        """What no other state of the file has, if the server gives such a thing."""
        strong = self.etag and not self.etag.startswith("W/")
        if self.total is None or not (strong or self._settled):
            return None
        return f"{self.etag if strong else self.modified} {self.total}"

    @property
    def _settled(self) -> bool:
        """Whether a later change has a later time (RFC 9110, 8.8.2.2)."""
        try:
            modified, answered = map(parsedate_to_datetime, (self.modified, self.answered))
            return (answered - modified).total_seconds() >= 1
        except (ValueError, TypeError, OverflowError):  # no date, or none with a time zone
            return False

    def differs(self, other: Self) -> bool:
        pairs = [
            (self.etag, other.etag),
            (self.modified, other.modified),
            (self.total, other.total),
        ]
        return any(a != b for a, b in pairs if a not in {"", None} and b not in {"", None})


class _UnderWay:
    """How many requests use a connection: from being sent until their answer was read or left."""

    def __init__(self) -> None:
        self.lock = threading.RLock()  # reentrant, for the garbage collector may leave an answer
        self.n = 0

    def send(
        self, pool: httpcore2.ConnectionPool, request: httpcore2.Request
    ) -> httpcore2.Response:
        self.add(1)
        try:
            return pool.handle_request(request)
        except BaseException:
            self.add(-1)
            raise

    def add(self, n: int) -> None:
        with self.lock:
            self.n += n


_under_way = _UnderWay()


class _Answer:
    """The answer of a server: status, headers, and a body that is read once."""

    def __init__(self, response: httpcore2.Response) -> None:
        self._is_left = False
        self.status = response.status
        self.pid = os.getpid()
        self._response = response
        self._headers = {k.lower(): v.decode("latin-1").strip() for k, v in response.headers}
        self._pieces = response.iter_stream()

    def header(self, name: str) -> str:
        return self._headers.get(name.encode(), "")

    @property
    def headers(self) -> dict[str, str]:
        return {name.decode("latin-1"): value for name, value in self._headers.items()}

    @property
    def length(self) -> int | None:
        text = self.header("content-length")
        return int(text) if text.isascii() and text.isdigit() and len(text) <= 18 else None

    @property
    def span(self) -> tuple[int, int, int | None] | None:
        """First byte, end and total of a partial answer."""
        match = _CONTENT_RANGE.fullmatch(self.header("content-range"))
        if match is None or match[1] is None:
            return None
        total = None if match[3] == "*" else int(match[3])
        first, end = int(match[1]), int(match[2]) + 1
        return (first, end, total) if first < end <= (total or end) else None

    @property
    def refused_total(self) -> int | None:
        """How many bytes there are, from an answer that has none of those asked for."""
        match = _CONTENT_RANGE.fullmatch(self.header("content-range"))
        return int(match[3]) if match and match[1] is None and match[3] != "*" else None

    @property
    def version(self) -> _Version:
        part = self.status == 206
        total = (self.span[2] if self.span else None) if part else self.length
        etag, modified = self.header("etag"), self.header("last-modified")
        return _Version(etag, modified, total, self.header("date"))

    def next_piece(self) -> bytes | None:
        try:
            return next(self._pieces, None)
        except httpcore2.TimeoutException as error:
            raise _PassingError(f"the server was too slow: {_said(error)}") from error
        except (httpcore2.NetworkError, httpcore2.ProtocolError) as error:
            raise _PassingError(f"the connection was cut: {_said(error)}") from error

    def close(self) -> None:
        """Give the connection back; it serves the next request if the body was read to its end."""
        self._response.close()
        self._leave()

    def hang_up(self) -> None:
        """Close the connection now, and give it back with the next request.

        Giving it back takes the pool's lock, which must not happen here: the garbage collector
        may call this in a thread that holds the lock.
        """
        stream = self._response.extensions.get("network_stream")
        if isinstance(stream, httpcore2.NetworkStream):
            stream.close()
        _hung_up.append(self)
        self._leave()

    def _leave(self) -> None:
        if not self._is_left:
            self._is_left = True
            _under_way.add(-1)


_hung_up: deque[_Answer] = deque()
# Answers that a fork copied: their sockets belong to the parent, so they are neither read nor
# closed here, only kept from the garbage collector.
_forsaken: list[object] = []


def _sweep() -> None:
    with suppress(IndexError):
        while True:
            answer = _hung_up.popleft()
            if answer.pid == os.getpid():
                answer.close()
            else:
                _forsaken.append(answer)


class _Body(io.RawIOBase):
    """The bytes of an address from some byte on, over as many connections as it takes.

    Args:
        url: The address.
        origin: Who named it.
        patience: How long to wait.
        start: First byte; a negative one counts from the end.
        length: How many bytes, or None for all that follow.
        same_host: Whether to go nowhere else.
    """

    def __init__(
        self,
        url: str,
        origin: Origin,
        patience: Patience,
        *,
        start: int = 0,
        length: int | None = None,
        same_host: bool = False,
    ) -> None:
        self._answer: _Answer | None = None
        self._address = _web(url, origin)
        self._shown = redacted(url)
        self._origin: Origin = origin
        self._patience = patience
        self._same_host = same_host
        self._start = start
        self._length = length
        self._at: int | None = start if start >= 0 else None  # the next byte to come
        self._end: int | None = None  # where what we were promised ends
        self._skip = 0
        self._rest = memoryview(b"")
        self._version: _Version | None = None
        self._failures = 0
        self._waited = 0.0
        self._gained = 0  # bytes since the last failure
        self._given = 0  # bytes altogether

    @property
    def total(self) -> int | None:
        """How many bytes the whole file has, where the server said so."""
        return self._version.total if self._version else None

    @property
    def version_name(self) -> str | None:
        """What names the file's bytes, where the server said so."""
        return self._version.name if self._version else None

    def begin(self) -> None:
        """Wait for the first answer, so that what is wrong with the address shows now."""
        while self._answer is None and not self._complete():
            try:
                self._connect()
            except _PassingError as failure:
                self._wait(failure)

    def readable(self) -> bool:
        return True

    def readinto(self, buffer: Any, /) -> int:
        if self.closed:
            raise ValueError("read of a closed stream")
        target = memoryview(buffer).cast("B")
        if not self._rest and target:
            self._rest = self._next()
        n = min(len(target), len(self._rest))
        target[:n] = self._rest[:n]
        self._rest = self._rest[n:]
        return n

    def readall(self) -> bytes:
        if self.closed:
            raise ValueError("read of a closed stream")
        whole = io.BytesIO(self._rest)  # pieces and their whole would take twice the memory
        whole.seek(0, io.SEEK_END)
        while piece := self._next():
            whole.write(piece)
        self._rest = memoryview(b"")
        return whole.getvalue()

    def close(self) -> None:
        answer, self._answer = self._answer, None
        if answer is not None and answer.pid == os.getpid():
            answer.hang_up()
        elif answer is not None:
            _forsaken.append(answer)
        super().close()

    def _next(self) -> memoryview:
        """The next bytes, empty at the end."""
        if self._answer and self._answer.pid != os.getpid():
            self._drop()
        while not self._complete():
            try:
                piece = self._receive(self._answer or self._connect())
            except _PassingError as failure:
                self._wait(failure)
                continue
            if piece is None:
                break
            if piece:
                return piece
        self._drop()
        return memoryview(b"")

    def _complete(self) -> bool:
        return self._end is not None and self._at is not None and self._at >= self._end

    def _receive(self, answer: _Answer) -> memoryview | None:
        piece = answer.next_piece()
        if piece is None:
            if answer.status == 200 and answer.length is None:
                self._end = self._at  # only now is it known how much there was
                return None
            raise _PassingError(f"the body ended after {self._at} of {self._end} bytes")
        view = memoryview(piece)[self._skip :]
        self._skip -= len(piece) - len(view)
        if self._end is not None:
            view = view[: self._end - (self._at or 0)]
        self._at = (self._at or 0) + len(view)
        self._gained += len(view)
        self._given += len(view)
        if self._gained >= _PROGRESS:
            self._failures, self._waited = 0, 0.0
        whole = self._length is None or answer.status == 206
        if self._complete() and whole and answer.length is not None:
            with suppress(_PassingError):
                answer.next_piece()  # nothing is left: the connection can serve the next request
        return view

    def _wait(self, failure: _PassingError) -> None:
        self._drop()
        self._failures += 1
        self._gained = 0
        if not self._given:  # nothing was read yet, so the file may as well be a new one
            self._at = self._start if self._start >= 0 else None
            self._end = self._version = None
        delay = self._patience.backoff.delay(
            self._failures,
            waited=self._waited,
            chance=random.SystemRandom().random(),  # not shared by processes that were forked
            asked=failure.asked,
        )
        if delay is None:
            asked = f", and asks to wait {failure.asked:.0f} s" if failure.asked else ""
            tries = f" ({self._failures} tries)" if self._failures > 1 else ""
            raise SourceError(
                self._shown, f"{failure.reason}{asked}{tries}", status=failure.status
            ) from failure
        self._waited += delay
        halt.pause(delay)

    def _drop(self) -> None:
        answer, self._answer = self._answer, None
        if answer is not None and answer.pid == os.getpid():
            answer.close()
        elif answer is not None:
            _forsaken.append(answer)

    def _connect(self) -> _Answer:
        """Ask for what is still missing, and check that the answer is about that."""
        headers = [("Accept-Encoding", "identity"), ("User-Agent", "atdata")]
        wanted = self._wanted()
        if wanted:
            headers.append(("Range", f"bytes={wanted}"))
            if self._version:
                if not self._version.validator:
                    raise SourceError(
                        self._shown,
                        f"the connection was cut after {self._at} bytes, and the server does not "
                        "say whether the file is still the same",
                        hint="Read it again, or from a server that sends an ETag.",
                    )
                headers.append(("If-Range", self._version.validator))
        answer = _ask(
            self._address, headers, self._origin, self._patience, same_host=self._same_host
        )
        try:
            self._accept(answer, ranged=bool(wanted))
        except BaseException:
            answer.close()
            raise
        self._answer = answer
        return answer

    def _wanted(self) -> str:
        """The range to ask for, empty for the whole file."""
        if self._at is None:
            return str(self._start)
        if self._length is None and not self._at:
            return ""
        end = self._end if self._length is None or self._end else self._start + self._length
        return f"{self._at}-{end - 1}" if end else f"{self._at}-"

    def _accept(self, answer: _Answer, *, ranged: bool) -> None:
        if answer.status == 416 and ranged:
            self._refused(answer)
            return
        encoding = answer.header("content-encoding").lower()
        gzip_file = encoding in {"gzip", "x-gzip"} and _GZIPPED.search(self._shown)
        if encoding not in {"", "identity"} and not gzip_file:
            raise SourceError(self._shown, f"the server sends it encoded as {encoding!r}, unasked")
        version = answer.version
        if self._version and self._version.differs(version):
            raise self._changed()
        if answer.status == 206 and ranged:
            self._accept_part(answer)
        elif answer.status == 200:
            self._accept_whole(answer)
        else:
            raise SourceError(
                self._shown, "the server gave an unexpected answer", status=answer.status
            )
        self._version = self._version or version

    def _accept_part(self, answer: _Answer) -> None:
        span = answer.span
        if span is None:
            raise SourceError(self._shown, "the server sent a part without saying which")
        first, end, total = span
        if answer.length not in {None, end - first}:
            raise SourceError(self._shown, "the server sent a part whose length is not its own")
        if self._at is None:
            self._require(total)
            self._at = first
            right = end - first == -self._start and end == (total or end)
        else:
            right = first == self._at
        if not right:
            raise SourceError(
                self._shown,
                f"the server sent bytes {first} to {end - 1}, and {self._wanted()} were asked for",
            )
        self._skip = 0
        self._limit(first, end)

    def _accept_whole(self, answer: _Answer) -> None:
        """The whole file, which may be more than was asked for."""
        end = answer.length
        if self._version and self._version.validator != answer.version.validator:
            raise self._changed()
        if self._at is None:
            if end is None:
                raise SourceError(
                    self._shown, "the server gives no ranges, and no length", status=answer.status
                )
            self._require(end)
            self._at = end + self._start
        if self._at > _MOST_DISCARDED:
            raise SourceError(
                self._shown,
                f"the server gives no ranges, and byte {self._at} is too far to read up to",
                status=answer.status,
                hint="Copy the shard to this machine, or to a server that gives ranges.",
            )
        self._skip = self._at
        self._limit(self._at, end)

    def _require(self, total: int | None) -> None:
        """Refuse a range that would begin before the file does."""
        if total is not None and total + self._start < 0:
            raise too_short(self._shown, total, self._start, self._length or 0)

    def _limit(self, first: int, end: int | None) -> None:
        """Remember where to stop: at the end of what comes, or of what was asked for."""
        if self._end is not None:  # a later connection goes on to the same end
            return
        ends = [end] if self._length is None else [end, first + self._length]
        self._end = min((e for e in ends if e is not None), default=None)

    def _refused(self, answer: _Answer) -> None:
        total = answer.refused_total
        if self._version:
            raise self._changed()
        if total is None:
            raise SourceError(self._shown, "the server refused the range", status=416)
        self._version = _Version("", "", total)
        self._at = self._end = total

    def _changed(self) -> SourceError:
        return SourceError(
            self._shown,
            f"the file changed while it was read, after {self._at} bytes",
            hint="Read it again from the beginning.",
        )


def _ask(
    address: WebAddress,
    headers: list[tuple[str, str]],
    origin: Origin,
    patience: Patience,
    *,
    same_host: bool,
) -> _Answer:
    """Ask, go where the server sends us if that is allowed, and raise what an answer means."""
    shown = redacted(address.url)
    public_only = origin == "record"
    for _ in range(_MOST_REDIRECTS + 1):
        answer = _send(address, headers, patience, public_only=public_only)
        if answer.status not in _REDIRECTS:
            try:
                _judge(shown, answer)
            except BaseException:
                answer.close()
                raise
            return answer
        answer.close()
        # A public server may not send us to a machine that only we can reach.
        public_only = public_only or _is_outside(address)
        status, location = answer.status, answer.header("location")
        if not location:
            reason = f"the server answered {status}, and does not say where to go"
            raise SourceError(shown, reason, status=status)
        there = gate.redirected(address, location, origin=origin)
        if same_host and there.authority != address.authority:
            reason = f"the server answered {status}, and leads to another host"
            raise SourceError(shown, reason, status=status)
        address = there
    raise SourceError(shown, f"the server redirects more than {_MOST_REDIRECTS} times")


def _judge(shown: str, answer: _Answer) -> None:
    status = answer.status
    if status in _GONE:
        raise ShardNotFoundError(shown, f"the server answered {status}")
    if is_passing(status):
        asked = retry_after(answer.header("retry-after"), now=datetime.now(UTC))
        raise _PassingError(f"the server answered {status}", status, asked)
    if status in _DENIED:
        raise SourceError(
            shown,
            f"the server answered {status}, access is denied",
            status=status,
            hint="Check user name and password, or whether a signed address has expired.",
        )
    if status not in {200, 206, 416}:
        raise SourceError(shown, f"the server answered {status}", status=status)


def _is_outside(address: WebAddress) -> bool:
    if _proxy(address):
        return False  # the proxy looks names up, and decides where it goes
    try:
        return all(gate.is_public(found) for found in gate.resolve(address.host, address.port))
    except OSError:
        return True


def _send(
    address: WebAddress,
    headers: list[tuple[str, str]],
    patience: Patience,
    *,
    public_only: bool,
    method: str = "GET",
    content: bytes | None = None,
) -> _Answer:
    """One request and the head of its answer."""
    halt.check()
    _sweep()
    shown = redacted(address.url)
    sent = [("Host", address.authority), *headers]
    if address.credentials:
        basic = base64.b64encode(":".join(address.credentials).encode()).decode()
        sent.append(("Authorization", f"Basic {basic}"))
    request = httpcore2.Request(
        method,
        httpcore2.URL(
            scheme=address.scheme, host=address.host, port=address.own_port, target=address.target
        ),
        headers=sent,
        content=None if content is None else _in_pieces(content),
        extensions={
            "timeout": {
                "connect": patience.connect,
                "read": patience.read,
                "write": patience.read,
                "pool": patience.connect,
            }
        },
    )
    proxy = _proxy(address)
    try:
        if public_only and proxy:
            gate.public_addresses(address.host, address.port)
        response = _under_way.send(_pool(proxy, public_only=public_only and not proxy), request)
    except (httpcore2.ConnectError, socket.gaierror) as error:
        cause = error if isinstance(error, socket.gaierror) else error.__context__
        if isinstance(cause, socket.gaierror) and cause.errno != socket.EAI_AGAIN:
            raise SourceError(shown, "there is no such host") from error
        if isinstance(cause, ssl.SSLError) and not isinstance(cause, ssl.SSLEOFError):
            raise SourceError(shown, f"no secure connection: {_said(cause)}") from error
        raise _PassingError(f"no connection: {_said(error)}") from error
    except httpcore2.TimeoutException as error:
        raise _PassingError(f"the server was too slow: {_said(error)}") from error
    except (httpcore2.NetworkError, httpcore2.RemoteProtocolError) as error:
        raise _PassingError(f"the connection was cut: {_said(error)}") from error
    except (httpcore2.ProtocolError, httpcore2.ProxyError) as error:
        raise SourceError(shown, _said(error)) from error
    stream = response.extensions.get("network_stream")
    if isinstance(stream, _Paced):
        stream.end_head()
    return _Answer(response)


def _said(error: BaseException) -> str:
    return str(error) or type(error).__name__


_connections: WeakSet["_Paced"] = WeakSet()


class _Paced(httpcore2.NetworkStream):
    """A connection that ends when bytes come too slowly, or headers have no end."""

    def __init__(self, inner: httpcore2.NetworkStream) -> None:
        self._inner = inner
        _connections.add(self)
        self._begin()
        self._n_head: int | None = 0

    def _begin(self) -> None:
        self._waited = 0.0
        self._arrived = 0

    def end_head(self) -> None:
        self._begin()
        self._n_head = None

    def read(self, max_bytes: int, timeout: float | None = None) -> bytes:
        began = time.monotonic()
        with halt.waking(self._shut):
            data = self._inner.read(max_bytes, timeout)
        self._waited += time.monotonic() - began
        self._arrived += len(data)
        if self._n_head is not None:
            self._n_head += len(data)
            if self._n_head > _MOST_HEAD:
                raise httpcore2.RemoteProtocolError("the headers do not end")
        if timeout and self._waited >= timeout:
            if self._arrived < timeout * _LEAST_PACE:
                raise httpcore2.ReadTimeout(f"{self._arrived} bytes in {self._waited:.1f} s")
            self._begin()
        return data

    def write(self, buffer: bytes, timeout: float | None = None) -> None:
        self._begin()
        self._n_head = 0
        self._inner.write(buffer, timeout)

    def close(self) -> None:
        self._inner.close()

    def _shut(self) -> None:
        """End a read that waits in another thread."""
        found = self._inner.get_extra_info("socket")
        if isinstance(found, socket.socket):
            with suppress(OSError):
                # Not the method of a TLS socket, which would change it under the reader's hands.
                socket.socket.shutdown(found, socket.SHUT_RDWR)

    def leave_to_parent(self) -> None:
        """Close what a fork copied, without a word to the server: the parent goes on with it."""
        found = self._inner.get_extra_info("socket")
        if isinstance(found, socket.socket):
            with suppress(OSError):
                os.close(found.detach())

    def start_tls(
        self,
        ssl_context: ssl.SSLContext,
        server_hostname: str | None = None,
        timeout: float | None = None,
    ) -> httpcore2.NetworkStream:
        return _Paced(self._inner.start_tls(ssl_context, server_hostname, timeout))

    def get_extra_info(self, info: str) -> Any:
        return self._inner.get_extra_info(info)


class _Backend(httpcore2.NetworkBackend):
    """Makes connections; with `public_only`, to the very addresses that were checked."""

    def __init__(self, *, public_only: bool) -> None:
        self._inner = httpcore2.SyncBackend()
        self._public_only = public_only

    def connect_tcp(
        self,
        host: str,
        port: int,
        timeout: float | None = None,
        local_address: str | None = None,
        socket_options: Iterable[httpcore2.SOCKET_OPTION] | None = None,
    ) -> httpcore2.NetworkStream:
        hosts = gate.public_addresses(host, port) if self._public_only else [host]
        for i, found in enumerate(hosts, start=1):
            try:
                stream = self._inner.connect_tcp(
                    found, port, timeout, local_address, socket_options
                )
            except (httpcore2.ConnectError, httpcore2.ConnectTimeout):
                if i == len(hosts):
                    raise
            else:
                return _Paced(stream)
        raise httpcore2.ConnectError("the host has no address")


# By process, because a socket that a fork copied must not be used by both; then by proxy and by
# whether only public addresses may be connected to.
_pools: dict[tuple[int, str, bool], httpcore2.ConnectionPool] = {}


def _pool(proxy: str, *, public_only: bool) -> httpcore2.ConnectionPool:
    key = (os.getpid(), proxy, public_only)
    return _pools.get(key) or _pools.setdefault(key, _new_pool(proxy, public_only=public_only))


def _new_pool(proxy: str, *, public_only: bool) -> httpcore2.ConnectionPool:
    via = None
    if proxy:
        place = _web(proxy, "user")
        url = httpcore2.URL(scheme=place.scheme, host=place.host, port=place.port, target="/")
        via = httpcore2.Proxy(url, auth=place.credentials)
    return httpcore2.ConnectionPool(
        ssl_context=httpcore2.default_ssl_context(),
        proxy=via,
        max_connections=None,  # as many as there are streams open; the reader decides
        max_keepalive_connections=16,
        keepalive_expiry=15.0,
        network_backend=_Backend(public_only=public_only),
    )


def _proxy(address: WebAddress) -> str:
    """The proxy that the environment names for an address, or nothing."""
    proxies = urllib.request.getproxies()
    proxy = proxies.get(address.scheme) or proxies.get("all") or ""
    if not proxy or urllib.request.proxy_bypass(address.host):
        return ""
    return proxy if "://" in proxy else f"http://{proxy}"


atexit.register(close)


def _leave_to_parent() -> None:
    """In a process that was forked, close the descriptors of the parent's connections.

    Else a server would not see the parent close them for as long as this process lives.
    """
    global _under_way  # noqa: PLW0603  its lock may have been held
    _under_way = _UnderWay()
    for connection in list(_connections):
        connection.leave_to_parent()
    _forsaken.append(dict(_pools))  # its locks may have been held, so nothing there may be closed
    _pools.clear()


os.register_at_fork(after_in_child=_leave_to_parent)


def _web(url: str, origin: Origin) -> WebAddress:
    address = gate.check(url, origin=origin)
    if isinstance(address, WebAddress):
        return address
    raise SourceError(redacted(url), "it is not a web address")
