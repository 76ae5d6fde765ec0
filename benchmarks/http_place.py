"""A web server on loopback that gives ranges of files, takes its time and may lose connections."""

import re
import time
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from itertools import count
from pathlib import Path
from threading import Thread

_RANGE = re.compile(r"bytes=(\d*)-(\d*)")


@dataclass(slots=True)
class Web:
    """A folder that is served: its URL, and how many answers were cut short so far."""

    url: str = ""
    cuts: int = 0


@contextmanager
def served(folder: Path, delay: float, cut_every: int = 0) -> Iterator[Web]:
    """Serve a folder, each answer of which comes after a delay in seconds.

    Of so many answers with a body, one ends in the middle, and its connection with it.
    """
    web = Web()
    bodies = count(1)

    class Handler(BaseHTTPRequestHandler):
        protocol_version = "HTTP/1.1"
        wbufsize = -1  # header and body leave together
        disable_nagle_algorithm = True

        def do_HEAD(self) -> None:
            self.answer(body=False)

        def do_GET(self) -> None:
            self.answer(body=True)

        def answer(self, *, body: bool) -> None:
            time.sleep(delay)
            path = folder / Path(self.path).name
            if not path.is_file():
                self.send_error(404)
                return
            stat = path.stat()
            first, last = 0, stat.st_size - 1
            asked = _RANGE.fullmatch(self.headers.get("Range", ""))
            if asked and asked[1]:
                first, last = int(asked[1]), min(last, int(asked[2] or last))
            elif asked:
                first = max(0, stat.st_size - int(asked[2]))
            self.send_response(206 if asked else 200)
            self.send_header("Accept-Ranges", "bytes")
            self.send_header("ETag", f'"{stat.st_mtime_ns:x}-{stat.st_size:x}"')
            self.send_header("Content-Length", str(last - first + 1))
            if asked:
                self.send_header("Content-Range", f"bytes {first}-{last}/{stat.st_size}")
            self.end_headers()
            if body:
                left = last - first + 1
                if cut_every and next(bodies) % cut_every == 0:
                    web.cuts += 1
                    left //= 2
                    self.close_connection = True
                with path.open("rb") as file:
                    file.seek(first)
                    while left and (data := file.read(min(left, 1 << 18))):
                        self.wfile.write(data)
                        left -= len(data)

        def log_message(self, *_: object) -> None:
            """Say nothing."""

    class Server(ThreadingHTTPServer):
        daemon_threads = True

        def handle_error(self, *_: object) -> None:
            """A reader that has enough closes the connection."""

    server = Server(("127.0.0.1", 0), Handler)
    thread = Thread(target=server.serve_forever, daemon=True)
    thread.start()
    try:
        web.url = f"http://127.0.0.1:{server.server_port}"
        yield web
    finally:
        server.shutdown()
        server.server_close()
        thread.join()
