"""A real web server on loopback that serves a folder, and misbehaves when it is told to."""

import email.utils
import gzip
import hashlib
import re
import socket
import struct
import threading
from collections import deque
from collections.abc import Iterator, Mapping
from contextlib import contextmanager, suppress
from dataclasses import dataclass, field
from html import escape
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path
from typing import Any
from urllib.parse import quote, unquote, urlsplit

_RANGE = re.compile(r"bytes=(\d*)-(\d*)")


@dataclass(frozen=True)
class Fault:
    """How one answer goes wrong; the default is an answer that is right.

    Attributes:
        status: Answer with this status and no file.
        headers: Headers to add to the answer, or to put in place of ours; None leaves one out.
        cut: Close the connection after this many bytes of the body.
        reset: Close it with a reset instead of in good order.
        delay: Seconds before the answer begins.
        pause: Seconds between the bytes of the body, which then go one by one.
        head_pause: Seconds between the bytes of a header that never ends.
        endless_head: Send headers for ever, as fast as they are taken.
        redirect: Send the reader to this address.
        ignore_range: Send the whole file whatever was asked for.
        shift: Send a range that begins this many bytes later than asked for.
        length_lie: Add this to the `Content-Length`.
        gzipped: Compress the body, and say so.
        no_length: End the body by closing the connection, without `Content-Length`.
        chunked: Send the body in chunks, without `Content-Length`.
    """

    status: int = 0
    headers: Mapping[str, str | None] = field(default_factory=dict)
    cut: int | None = None
    reset: bool = False
    delay: float = 0.0
    pause: float = 0.0
    head_pause: float = 0.0
    endless_head: bool = False
    redirect: str = ""
    ignore_range: bool = False
    shift: int = 0
    length_lie: int = 0
    gzipped: bool = False
    no_length: bool = False
    chunked: bool = False


@dataclass(frozen=True)
class Seen:
    """A request as the server saw it."""

    path: str
    headers: dict[str, str]


class FileServer:
    """Serves `folder`; faults are used up one a request, then `always` holds.

    Attributes:
        folder: What is served.
        faults: The faults of the next answers.
        always: The fault of every answer after those.
        seen: The requests so far.
    """

    def __init__(self, folder: Path) -> None:
        self.folder = folder
        self.faults: deque[Fault] = deque()
        self.always = Fault()
        self.seen: list[Seen] = []
        self.stopping = threading.Event()
        self._server = _Server(self)
        self._thread = threading.Thread(
            target=self._server.serve_forever, kwargs={"poll_interval": 0.02}
        )

    @property
    def port(self) -> int:
        """The port it listens on."""
        return int(self._server.server_address[1])

    @property
    def base(self) -> str:
        """Its address, without a path."""
        return f"http://127.0.0.1:{self.port}"

    def url(self, name: str) -> str:
        """The address of a file."""
        return f"{self.base}/{name}"

    def next(self, *faults: Fault) -> None:
        """Let the next answers go wrong."""
        self.faults.extend(faults)

    def put(self, name: str, data: bytes) -> str:
        """Write a file to serve, and give its address."""
        path = self.folder / name
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_bytes(data)
        return self.url(name)

    def start(self) -> None:
        """Begin to serve."""
        self._thread.start()

    def stop(self) -> None:
        """End every connection and thread."""
        self.stopping.set()
        self._server.shutdown()
        self._server.hang_up()
        self._server.server_close()
        self._thread.join()


@contextmanager
def serving(folder: Path) -> Iterator[FileServer]:
    """A server for the time of a block."""
    server = FileServer(folder)
    server.start()
    try:
        yield server
    finally:
        server.stop()


class _Server(ThreadingHTTPServer):
    daemon_threads = False
    block_on_close = True

    def __init__(self, files: FileServer) -> None:
        self.files = files
        self._open: set[socket.socket] = set()
        super().__init__(("127.0.0.1", 0), _Handler)

    def process_request(self, request: Any, client_address: Any) -> None:
        self._open.add(request)
        super().process_request(request, client_address)

    def shutdown_request(self, request: Any) -> None:
        self._open.discard(request)
        super().shutdown_request(request)

    def hang_up(self) -> None:
        for connection in list(self._open):
            with suppress(OSError):
                connection.shutdown(socket.SHUT_RDWR)

    def handle_error(self, request: Any, client_address: Any) -> None:
        """Clients that hang up are part of the game."""


class _Handler(BaseHTTPRequestHandler):
    protocol_version = "HTTP/1.1"
    server: _Server

    def log_message(self, format: str, *args: Any) -> None:
        """Say nothing."""

    def do_GET(self) -> None:
        files = self.server.files
        files.seen.append(Seen(self.path, {k.lower(): v for k, v in self.headers.items()}))
        fault = files.faults.popleft() if files.faults else files.always
        files.stopping.wait(fault.delay) if fault.delay else None
        if fault.head_pause or fault.endless_head:
            self._never_ending_head(fault)
        elif fault.redirect:
            self._head(302, {"Location": fault.redirect, "Content-Length": "0"}, fault)
        elif fault.status:
            self._head(fault.status, {"Content-Length": "0"}, fault)
        else:
            self._file(fault)

    def _file(self, fault: Fault) -> None:
        path = self.server.files.folder / unquote(urlsplit(self.path).path).lstrip("/")
        if path.is_dir() and urlsplit(self.path).path.endswith("/"):
            self._folder(path, fault)
            return
        if not path.is_file():
            self._head(404, {"Content-Length": "0"}, fault)
            return
        data = path.read_bytes()
        headers: dict[str, str | None] = {
            "ETag": f'"{hashlib.sha256(data).hexdigest()[:16]}"',
            "Last-Modified": email.utils.formatdate(path.stat().st_mtime, usegmt=True),
            "Accept-Ranges": "bytes",
        }
        headers |= fault.headers
        status, body = self._part(data, headers, fault)
        if fault.gzipped:
            body = gzip.compress(body)
            headers["Content-Encoding"] = "gzip"
        if fault.chunked:
            headers["Transfer-Encoding"] = "chunked"
        elif not fault.no_length:
            headers["Content-Length"] = str(len(body) + fault.length_lie)
        headers |= fault.headers
        self._head(status, headers, fault)
        self._body(body, fault)

    def _folder(self, path: Path, fault: Fault) -> None:
        """The page that lists a folder: its `index.html`, or else what lies in it."""
        page = path / "index.html"
        names = sorted(f"{p.name}/" if p.is_dir() else p.name for p in path.iterdir())
        links = [f'<li><a href="{quote(name)}">{escape(name)}</a></li>' for name in names]
        body = page.read_bytes() if page.is_file() else "\n".join(links).encode()
        self._head(200, {"Content-Type": "text/html", "Content-Length": str(len(body))}, fault)
        self._body(body, fault)

    def _part(
        self, data: bytes, headers: dict[str, str | None], fault: Fault
    ) -> tuple[int, bytes]:
        wanted = _RANGE.fullmatch(self.headers.get("Range", ""))
        condition = self.headers.get("If-Range")
        if not wanted or fault.ignore_range:
            return 200, data
        if condition and condition not in {headers["ETag"], headers["Last-Modified"]}:
            return 200, data
        first = int(wanted[1]) if wanted[1] else max(0, len(data) - int(wanted[2]))
        last = min(int(wanted[2]), len(data) - 1) if wanted[1] and wanted[2] else len(data) - 1
        first += fault.shift
        if first > last:
            headers["Content-Range"] = f"bytes */{len(data)}"
            return 416, b""
        headers["Content-Range"] = f"bytes {first}-{last}/{len(data)}"
        return 206, data[first : last + 1]

    def _head(self, status: int, headers: Mapping[str, str | None], fault: Fault) -> None:
        self.send_response(status)
        for name, value in {**headers, **fault.headers}.items():
            if value is not None:
                self.send_header(name, value)
        self.end_headers()

    def _body(self, body: bytes, fault: Fault) -> None:
        sent = body if fault.cut is None else body[: fault.cut]
        if fault.pause:
            for i in range(len(sent)):
                self.wfile.write(sent[i : i + 1])
                if self.server.files.stopping.wait(fault.pause):
                    break
        elif fault.chunked:
            for i in range(0, len(sent), 10_000):
                piece = sent[i : i + 10_000]
                self.wfile.write(b"%x\r\n%b\r\n" % (len(piece), piece))
            self.wfile.write(b"0\r\n\r\n" if fault.cut is None else b"")
        else:
            self.wfile.write(sent)
        self.wfile.flush()
        if fault.cut is not None or fault.length_lie or fault.no_length:
            self.close_connection = True
        if fault.reset:
            linger = struct.pack("ii", 1, 0)
            self.connection.setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, linger)
            self.connection.close()

    def _never_ending_head(self, fault: Fault) -> None:
        self.close_connection = True
        self.wfile.write(b"HTTP/1.1 200 OK\r\n")
        while not self.server.files.stopping.wait(fault.head_pause):
            self.wfile.write(b"X" if fault.head_pause else b"HTTP/1.1 103 Early\r\n\r\n" * 50)
