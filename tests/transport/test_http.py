"""Reading from a web server that fails in every way a server can."""

import gc
import hashlib
import io
import os
import random
import time
from collections.abc import Callable

import pytest
from hypothesis import given
from hypothesis import strategies as st
from tests.http_server import Fault, FileServer

from atdata._exceptions import (
    AtdataError,
    ShardError,
    ShardNotFoundError,
    SourceError,
    UnsafeURLError,
)
from atdata.transport import http
from atdata.transport.http import Patience
from atdata.transport.retry import Backoff

QUICK = Patience(connect=2.0, read=2.0, backoff=Backoff(retries=3, first=0.001, budget=2.0))
HASTY = Patience(connect=0.3, read=0.3, backoff=Backoff(retries=1, first=0.001))
DATA = random.Random(5).randbytes(600_000)


def fetch(url: str, patience: Patience = QUICK) -> bytes:
    with http.open_url(url, patience=patience) as stream:
        return stream.read()


def test_a_file_is_read_whole(server: FileServer) -> None:
    """A stream gives the bytes of the file, and asks for them unencoded."""
    url = server.put("a.tar", DATA)

    assert fetch(url) == DATA

    assert server.seen[0].headers["accept-encoding"] == "identity"


def test_an_empty_file_is_empty(server: FileServer) -> None:
    """A file without bytes is read, measured, and has no ranges."""
    url = server.put("a.tar", b"")

    assert fetch(url) == b""
    assert http.size(url, patience=QUICK) == 0
    with pytest.raises(ShardError, match="holds 0 bytes"):
        http.read_range(url, 0, 1, patience=QUICK)


def test_requests_share_a_connection(server: FileServer) -> None:
    """A body read to its end leaves its connection to the next request."""
    url = server.put("a.tar", DATA)

    for _ in range(3):
        fetch(url)
        http.read_range(url, 10, 10, patience=QUICK)
        http.size(url, patience=QUICK)

    pool = http._pool("", public_only=False)
    assert len(pool.connections) == 1


@given(cuts=st.lists(st.integers(0, 300_000), max_size=3), reset=st.booleans())
def test_any_cuts_are_mended(server: FileServer, cuts: list[int], reset: bool) -> None:
    """However often the connection is cut, and wherever, the bytes are those of the file."""
    url = server.put("a.tar", DATA)
    server.next(*(Fault(cut=cut, reset=reset) for cut in cuts))

    assert fetch(url) == DATA


def test_a_cut_is_taken_up_where_it_was(server: FileServer) -> None:
    """The second request asks for the rest only, on the condition that the file is the same."""
    url = server.put("a.tar", DATA)
    server.next(Fault(cut=100_000))

    assert fetch(url) == DATA

    first, second = server.seen
    assert "range" not in first.headers
    assert second.headers["range"] == f"bytes=100000-{len(DATA) - 1}"
    assert second.headers["if-range"].startswith('"')


def test_a_cut_is_mended_by_date_where_there_is_no_strong_etag(server: FileServer) -> None:
    """A weak ETag makes no range conditional; the date of the file does."""
    url = server.put("a.tar", DATA)
    server.always = Fault(headers={"ETag": 'W/"weak"'})
    server.next(Fault(cut=100_000, headers={"ETag": 'W/"weak"'}))

    assert fetch(url) == DATA

    assert server.seen[1].headers["if-range"].endswith("GMT")


def test_a_cut_is_not_mended_without_a_version(server: FileServer) -> None:
    """Where a server cannot say that the file is still the same, a cut is an error."""
    url = server.put("a.tar", DATA)
    bare = {"ETag": None, "Last-Modified": None}
    server.always = Fault(headers=bare)
    server.next(Fault(cut=100_000, headers=bare))

    with pytest.raises(SourceError, match="still the same"):
        fetch(url)


def test_a_cut_before_the_first_byte_needs_no_version(server: FileServer) -> None:
    """When nothing was read yet, the file is simply asked for again."""
    url = server.put("a.tar", DATA)
    bare = {"ETag": None, "Last-Modified": None}
    server.always = Fault(headers=bare)
    server.next(Fault(cut=0, headers=bare))

    assert fetch(url) == DATA


def test_cuts_without_end_are_an_error(server: FileServer) -> None:
    """A server that cuts every body short is given up."""
    url = server.put("a.tar", DATA)
    server.always = Fault(cut=1000)

    with pytest.raises(SourceError, match="4 tries") as caught:
        fetch(url)

    assert caught.value.url == url
    assert len(server.seen) == 4


def test_progress_forgives(server: FileServer) -> None:
    """Cuts that are far apart do not add up to giving up."""
    data = DATA * 5
    url = server.put("a.tar", data)
    server.always = Fault(cut=300_000)

    assert fetch(url) == data

    assert len(server.seen) == 10


def test_a_file_that_changes_is_noticed(server: FileServer) -> None:
    """When the file is another one after a cut, its bytes are not put together."""
    url = server.put("a.tar", DATA)
    server.next(Fault(cut=300_000))

    with http.open_url(url, patience=QUICK) as stream:
        head = stream.read(1000)
        server.put("a.tar", DATA[::-1])
        with pytest.raises(SourceError, match="changed"):
            stream.read()

    assert head == DATA[:1000]


@pytest.mark.parametrize(
    "fault",
    [
        Fault(headers={"ETag": '"other"'}),
        Fault(ignore_range=True, headers={"ETag": '"other"'}),
        Fault(ignore_range=True, headers={"ETag": None, "Last-Modified": None}),
        Fault(headers={"Content-Range": "bytes 300000-599999/700000"}),
        Fault(status=416, headers={"Content-Range": "bytes */1000"}),
    ],
)
def test_an_answer_about_another_file_is_noticed(server: FileServer, fault: Fault) -> None:
    """After a cut, an answer that differs in ETag, date or length is not used."""
    url = server.put("a.tar", DATA)
    server.next(Fault(cut=300_000), fault)

    with pytest.raises(SourceError, match="changed"):
        fetch(url)


@pytest.mark.parametrize(
    "fault",
    [
        Fault(shift=1),
        Fault(headers={"Content-Range": "bytes 0-599999/600000"}),
        Fault(headers={"Content-Range": "bytes 300000-299999/600000"}),
        Fault(headers={"Content-Range": "nonsense"}),
        Fault(headers={"Content-Range": None}),
        Fault(status=206),
        Fault(status=204),
    ],
)
def test_an_answer_about_other_bytes_is_refused(server: FileServer, fault: Fault) -> None:
    """After a cut, an answer that is not about the bytes asked for is not used."""
    url = server.put("a.tar", DATA)
    server.next(Fault(cut=300_000), fault)

    with pytest.raises(SourceError):
        fetch(url)


def test_a_server_without_ranges_is_read_again(server: FileServer) -> None:
    """Where ranges are ignored and the file is the same, what was read already is passed over."""
    url = server.put("a.tar", DATA)
    server.always = Fault(ignore_range=True)
    server.next(Fault(cut=300_000))

    assert fetch(url) == DATA


def test_a_server_without_ranges_is_not_read_far(
    server: FileServer, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Where ranges are ignored, only so much is read for nothing."""
    url = server.put("a.tar", DATA)
    server.always = Fault(ignore_range=True)
    monkeypatch.setattr(http, "_MOST_DISCARDED", 100_000)

    assert http.read_range(url, 50_000, 1000, patience=QUICK) == DATA[50_000:51_000]
    with pytest.raises(SourceError, match="no ranges"):
        http.read_range(url, 200_000, 1000, patience=QUICK)
    with pytest.raises(SourceError, match="no ranges"):
        http.read_range(url, -10, 10, patience=QUICK)


@pytest.mark.parametrize("status", [408, 429, 500, 502, 503, 504])
def test_a_passing_failure_is_tried_again(server: FileServer, status: int) -> None:
    """A server that is busy or broken twice is asked a third time."""
    url = server.put("a.tar", DATA)
    server.next(Fault(status=status), Fault(status=status))

    assert fetch(url) == DATA

    assert len(server.seen) == 3


def test_a_failure_that_stays_is_an_error(server: FileServer) -> None:
    """A server that is always broken is given up, and its status is known."""
    url = server.put("a.tar", DATA)
    server.always = Fault(status=500)

    with pytest.raises(SourceError, match="answered 500") as caught:
        fetch(url)

    assert caught.value.status == 500


def test_the_wait_that_a_server_asks_for_is_kept(server: FileServer) -> None:
    """`Retry-After` is waited for when it is short, and an error when it is long."""
    url = server.put("a.tar", DATA)

    server.next(Fault(status=429, headers={"Retry-After": "0"}))
    assert fetch(url) == DATA

    server.next(Fault(status=429, headers={"Retry-After": "1"}))
    began = time.monotonic()
    assert fetch(url) == DATA
    assert time.monotonic() - began >= 1.0

    server.next(Fault(status=503, headers={"Retry-After": "3600"}))
    with pytest.raises(SourceError, match="asks to wait 3600 s"):
        fetch(url)


@pytest.mark.parametrize("status", [404, 410])
def test_what_is_not_there_is_not_found(server: FileServer, status: int) -> None:
    """A missing file is a `FileNotFoundError`, without a second try."""
    server.next(Fault(status=status))

    with pytest.raises(FileNotFoundError) as caught:
        fetch(server.url("none.tar"))

    assert isinstance(caught.value, ShardNotFoundError)
    assert len(server.seen) == 1


@pytest.mark.parametrize("status", [400, 401, 403, 451, 501, 304, 300])
def test_what_is_refused_is_an_error_at_once(server: FileServer, status: int) -> None:
    """Other refusals name their status, without a second try."""
    server.next(Fault(status=status))

    with pytest.raises(SourceError) as caught:
        fetch(server.url("a.tar"))

    assert caught.value.status == status
    assert len(server.seen) == 1


def test_a_body_that_is_short_is_noticed(server: FileServer) -> None:
    """A length that is longer than the body is an error, though the server ends in good order."""
    url = server.put("a.tar", DATA)
    server.always = Fault(length_lie=100)

    with pytest.raises(SourceError):
        fetch(url)


def test_a_body_without_length_is_read(server: FileServer) -> None:
    """A body in chunks, or one that ends with its connection, is read to that end."""
    url = server.put("a.tar", DATA)

    server.next(Fault(chunked=True), Fault(no_length=True))

    assert fetch(url) == DATA
    assert fetch(url) == DATA


def test_a_cut_in_chunks_is_mended(server: FileServer) -> None:
    """Where chunks end early, the rest is asked for."""
    url = server.put("a.tar", DATA)
    server.next(Fault(chunked=True, cut=300_000))

    assert fetch(url) == DATA

    assert server.seen[1].headers["range"] == "bytes=300000-"


def test_an_encoded_body_is_refused(server: FileServer) -> None:
    """A body that was compressed on the way is refused, since places in it are not the file's."""
    url = server.put("a.tar", DATA)
    server.next(Fault(gzipped=True))

    with pytest.raises(SourceError, match="encoded as 'gzip'"):
        fetch(url)


def test_a_gzipped_file_is_not_unpacked(server: FileServer) -> None:
    """Servers that call a gzip file an encoding mean the file's own bytes."""
    url = server.put("a.tar.gz", DATA)
    server.next(Fault(headers={"Content-Encoding": "gzip"}))

    assert fetch(url) == DATA


def test_a_drip_is_stopped(server: FileServer) -> None:
    """A body that comes byte by byte is given up, though no single byte is late."""
    url = server.put("a.tar", DATA)
    server.always = Fault(pause=0.05)
    began = time.monotonic()

    with pytest.raises(SourceError, match="too slow"):
        fetch(url, HASTY)

    assert time.monotonic() - began < 5


@pytest.mark.parametrize(
    "fault", [Fault(head_pause=0.05), Fault(endless_head=True), Fault(delay=3)]
)
def test_headers_without_end_are_stopped(server: FileServer, fault: Fault) -> None:
    """An answer whose headers drip, never end, or do not come is given up."""
    url = server.put("a.tar", DATA)
    server.always = fault
    began = time.monotonic()

    with pytest.raises(SourceError):
        fetch(url, HASTY)

    assert time.monotonic() - began < 10


def test_nobody_listening_is_an_error(server: FileServer) -> None:
    """A port where nothing listens is tried again and given up."""
    url = server.put("a.tar", DATA)
    server.stop()

    with pytest.raises(SourceError, match="no connection"):
        fetch(url, HASTY)


def test_plain_http_behind_https_is_an_error(server: FileServer) -> None:
    """A server that does not speak TLS is refused at once."""
    url = server.put("a.tar", DATA).replace("http:", "https:")

    with pytest.raises(SourceError, match="no secure connection"):
        fetch(url)


def test_a_redirect_is_followed(server: FileServer) -> None:
    """A redirect to the same or another address leads to its file."""
    url = server.put("b.tar", DATA)
    server.next(Fault(redirect="/b.tar"), Fault(), Fault(redirect=url))

    assert fetch(server.url("a.tar")) == DATA
    assert fetch(server.url("a.tar")) == DATA


@pytest.mark.parametrize(
    "place",
    [
        "file:///etc/passwd",
        "ftp://127.0.0.1/a",
        "pipe:id",
        "data:text/plain,a",
        "http://me:secret@127.0.0.1/a",
        "http://[",
        "http://a b/",
    ],
)
def test_a_redirect_elsewhere_is_refused(server: FileServer, place: str) -> None:
    """A server cannot send its reader to a file, another protocol, or an odd address."""
    server.next(Fault(redirect=place))

    with pytest.raises(UnsafeURLError):
        fetch(server.url("a.tar"))

    assert len(server.seen) == 1


def test_a_redirect_without_end_is_refused(server: FileServer) -> None:
    """A circle of redirects is left after five."""
    server.always = Fault(redirect="/a.tar")

    with pytest.raises(SourceError, match="more than 5 times"):
        fetch(server.url("a.tar"))

    assert len(server.seen) == 6


def test_a_password_goes_to_its_server_only(server: FileServer) -> None:
    """User name and password become a header, and do not follow a redirect to another port."""
    server.put("a.tar", DATA)
    secret = server.base.replace("http://", "http://me:p%40ss@")
    other = server.base.replace("127.0.0.1", "localhost")
    server.next(Fault(redirect="/a.tar"), Fault(), Fault(redirect=f"{other}/a.tar"))

    fetch(f"{secret}/a.tar")
    fetch(f"{secret}/a.tar")

    sent = [seen.headers.get("authorization") for seen in server.seen]
    assert sent == ["Basic bWU6cEBzcw=="] * 3 + [None]


def test_secrets_stay_out_of_errors(server: FileServer) -> None:
    """Neither password nor signature shows in any error, or in what it carries."""
    url = server.base.replace("http://", "http://me:hidden1@") + "/a.tar?sig=hidden2"
    server.next(Fault(status=403), Fault(status=404), Fault(redirect="file:///x?hidden2"))

    for _ in range(3):
        with pytest.raises(AtdataError) as caught:
            fetch(url)
        assert "hidden" not in f"{caught.value!r} {caught.value} {vars(caught.value)}".replace(
            "file:///x?hidden2", ""
        )


def test_a_record_cannot_reach_this_machine(server: FileServer) -> None:
    """An address from a record is not connected to when it leads to loopback, in any form."""
    server.put("a.tar", DATA)
    for host in ("127.0.0.1", "localhost", "[::1]", "[::ffff:127.0.0.1]", "0.0.0.0"):
        url = f"https://{host}:{server.port}/a.tar"
        for read in (http.open_url, http.size):
            with pytest.raises(UnsafeURLError, match="not public"):
                read(url, origin="record")
        with pytest.raises(UnsafeURLError, match="not public"):
            http.read_range(url, 0, 1, origin="record")

    with pytest.raises(UnsafeURLError, match="not opened"):
        http.open_url(server.url("a.tar"), origin="record")
    assert server.seen == []


def test_a_proxy_is_used_if_the_environment_names_one(
    server: FileServer, monkeypatch: pytest.MonkeyPatch
) -> None:
    """A request goes through the proxy of the environment; the proxy sees the whole address."""
    server.put("a.tar", DATA)
    monkeypatch.setenv("http_proxy", server.base)

    assert fetch("http://shards.test/a.tar") == DATA

    assert server.seen[0].path == "http://shards.test/a.tar"


@given(start=st.integers(-600_000, 600_000), length=st.integers(0, 20_000))
def test_any_range_is_exact(server: FileServer, start: int, length: int) -> None:
    """A range gives exactly the bytes asked for, or an error that says what there is."""
    url = server.put("a.tar", DATA)
    first = start if start >= 0 else len(DATA) + start

    if start < 0 and length > -start:
        with pytest.raises(ValueError, match="before the end"):
            http.read_range(url, start, length, patience=QUICK)
    elif first + length > len(DATA):
        with pytest.raises(ShardError, match="holds 600000 bytes"):
            http.read_range(url, start, length, patience=QUICK)
    else:
        assert http.read_range(url, start, length, patience=QUICK) == DATA[first : first + length]


def test_a_range_from_the_end_takes_one_request(server: FileServer) -> None:
    """The last bytes are asked for without asking for the length before."""
    url = server.put("a.tar", DATA)

    assert http.read_range(url, -100, 50, patience=QUICK) == DATA[-100:-50]

    assert [seen.headers["range"] for seen in server.seen] == ["bytes=-100"]


@pytest.mark.parametrize("start", [0, 1000, -200_000])
def test_a_range_is_mended(server: FileServer, start: int) -> None:
    """A range that is cut short is gone on with."""
    url = server.put("a.tar", DATA)
    server.next(Fault(status=500), Fault(cut=0), Fault(cut=70_000), Fault(cut=10))

    patience = Patience(backoff=Backoff(retries=4, first=0.001))
    first = start if start >= 0 else len(DATA) + start

    found = http.read_range(url, start, 150_000, patience=patience)

    assert found == DATA[first : first + 150_000]


def test_a_range_past_the_end_is_an_error(server: FileServer) -> None:
    """Bytes that a file does not have are a damaged shard, not a short answer."""
    url = server.put("a.tar", DATA[:10])

    for start, length in [(5, 10), (100, 1), (-20, 5)]:
        with pytest.raises(ShardError, match="holds 10 bytes"):
            http.read_range(url, start, length, patience=QUICK)


def test_a_size_is_known_from_one_byte(server: FileServer) -> None:
    """The length of a file comes from a request for its first byte, also without ranges."""
    url = server.put("a.tar", DATA)
    server.next(Fault(), Fault(ignore_range=True))

    assert http.size(url, patience=QUICK) == len(DATA)
    assert http.size(url, patience=QUICK) == len(DATA)
    server.next(Fault(ignore_range=True, chunked=True))
    with pytest.raises(SourceError, match="how long"):
        http.size(url, patience=QUICK)


def test_a_stream_reads_in_any_pieces(server: FileServer) -> None:
    """Small reads, `readinto` and iteration to the end give the same bytes."""
    url = server.put("a.tar", DATA)

    with http.open_url(url, patience=QUICK) as stream:
        assert isinstance(stream, io.BufferedReader)
        buffer = bytearray(1000)
        n = stream.readinto(buffer)
        rest = b"".join(iter(lambda: stream.read(777), b""))

    assert bytes(buffer[:n]) + rest == DATA
    assert stream.closed


def test_a_closed_stream_is_closed(server: FileServer) -> None:
    """Reading after closing is a `ValueError`, and closing twice is nothing."""
    stream = http.open_url(server.put("a.tar", DATA), patience=QUICK)
    stream.read(10)

    stream.close()
    stream.close()

    with pytest.raises(ValueError, match="closed"):
        stream.read(10)


def test_a_forgotten_stream_leaves_nothing_open(server: FileServer) -> None:
    """A stream that is dropped half read closes its connection."""
    stream = http.open_url(server.put("a.tar", DATA * 20), patience=QUICK)
    stream.read(10)

    del stream
    gc.collect()
    fetch(server.put("b.tar", b"b"))

    assert len(http._pool("", public_only=False).connections) == 1


@pytest.mark.filterwarnings("ignore:This process .* is multi-threaded:DeprecationWarning")
def test_a_fork_reads_on_its_own(server: FileServer) -> None:
    """A stream that crossed a fork gives both processes all of its bytes."""
    data = DATA * 10
    url = server.put("a.tar", data)
    stream = http.open_url(url, patience=QUICK)
    head = stream.read(1000)
    receive, send = os.pipe()

    child = os.fork()
    if child == 0:
        try:
            digest = hashlib.sha256(head + stream.read()).hexdigest()
            stream.close()
            os.write(send, (digest + hashlib.sha256(fetch(url)).hexdigest()).encode())
        finally:
            os._exit(0)
    os.waitpid(child, 0)
    mine = hashlib.sha256(head + stream.read()).hexdigest()
    stream.close()
    os.close(send)
    with os.fdopen(receive, "rb") as pipe:
        theirs = pipe.read().decode()

    assert mine == hashlib.sha256(data).hexdigest()
    assert theirs == mine * 2


@pytest.mark.parametrize(
    "read", [http.open_url, http.size, lambda url: http.read_range(url, 0, 1)]
)
@pytest.mark.parametrize("url", ["-", "pipe:id", "a.tar", "file:///etc/passwd", "", "gopher://a/"])
def test_only_web_addresses_are_read(read: Callable[[str], object], url: str) -> None:
    """What is not a web address is refused, and nothing runs."""
    with pytest.raises(SourceError):
        read(url)
