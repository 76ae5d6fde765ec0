"""Requests that do more than read, and servers that answer them badly."""

import hashlib
import threading
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path

import pytest

from atdata._exceptions import SourceError
from atdata.transport import http, s3, s3_request, s3_upload
from atdata.transport.credentials import S3Settings
from atdata.transport.http import Outgoing, Patience
from atdata.transport.retry import Backoff

HASTY = Patience(connect=2, read=2, backoff=Backoff(retries=3, first=0.01, longest=0.02))

type Answer = tuple[int, dict[str, str], bytes]


class Server:
    """Answers as a function says, and remembers what it was asked."""

    def __init__(self, answer: Callable[[int], Answer]) -> None:
        self.asked: list[tuple[str, str, dict[str, str], bytes]] = []
        server = self

        class Handler(BaseHTTPRequestHandler):
            protocol_version = "HTTP/1.1"

            def handle_any(self) -> None:
                length = int(self.headers.get("content-length", 0))
                headers = {name.lower(): value for name, value in self.headers.items()}
                server.asked.append((self.command, self.path, headers, self.rfile.read(length)))
                status, given, body = answer(len(server.asked))
                self.send_response(status)
                for name, value in {"Content-Length": str(len(body)), **given}.items():
                    self.send_header(name, value)
                self.end_headers()
                if self.command != "HEAD":
                    self.wfile.write(body)

            do_GET = do_PUT = do_POST = do_DELETE = do_HEAD = handle_any

            def log_message(self, format: str, *args: object) -> None:
                pass

        self._server = ThreadingHTTPServer(("127.0.0.1", 0), Handler)
        self._server.daemon_threads = True
        self._thread = threading.Thread(target=self._server.serve_forever, args=(0.01,))
        self.url = f"http://127.0.0.1:{self._server.server_address[1]}"
        self.settings = S3Settings(self.url, access_key="me", secret_key="my-secret")

    def __enter__(self) -> "Server":
        self._thread.start()
        return self

    def __exit__(self, *_: object) -> None:
        http.close()
        self._server.shutdown()
        self._thread.join()
        self._server.server_close()


@contextmanager
def answering(*answers: Answer) -> Iterator[Server]:
    """A server that gives these answers, the last again and again."""
    with Server(lambda n: answers[min(n, len(answers)) - 1]) as server:
        yield server


@pytest.fixture(autouse=True)
def _hasty(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(s3_request, "_PATIENCE", HASTY)
    for name in ("http_proxy", "all_proxy", "HTTP_PROXY", "ALL_PROXY"):
        monkeypatch.delenv(name, raising=False)


def ok(body: str) -> Answer:
    return 200, {}, body.encode()


def test_a_body_arrives_whole_and_so_does_the_answer() -> None:
    """Method, headers and body go out, and status, headers and body come back."""
    content = b"x" * (3 << 20)
    with answering((201, {"X-Said": "yes"}, b"fine")) as server:
        reply = http.exchange(
            lambda: Outgoing("PUT", f"{server.url}/a?b=c", {"x-mine": "1"}, content),
            most=100,
            patience=HASTY,
        )

    assert (reply.status, reply.headers["x-said"], reply.body) == (201, "yes", b"fine")
    ((method, path, headers, body),) = server.asked
    assert (method, path, headers["x-mine"]) == ("PUT", "/a?b=c", "1")
    assert body == content


def test_a_server_that_is_busy_is_asked_again_with_a_new_request() -> None:
    """Each try makes its request anew, as a signature holds the time."""
    made: list[int] = []
    busy: Answer = (503, {}, b"")
    with answering(busy, busy, (200, {}, b"fine")) as server:

        def make() -> Outgoing:
            made.append(len(made))
            return Outgoing("PUT", server.url, {"x-try": str(len(made))})

        reply = http.exchange(make, most=100, patience=HASTY)

    assert reply.body == b"fine"
    assert [headers["x-try"] for _, _, headers, _ in server.asked] == ["1", "2", "3"]


def test_the_last_answer_is_returned_whatever_it_is() -> None:
    """A server that stays busy is given up, and its word for it is known."""
    with answering((503, {}, b"SlowDown")) as server:
        reply = http.exchange(lambda: Outgoing("PUT", server.url), most=100, patience=HASTY)

    assert (reply.status, reply.body, len(server.asked)) == (503, b"SlowDown", 4)


def test_an_answer_is_waited_for_as_long_as_the_server_asks() -> None:
    """`Retry-After` is kept."""
    began = time.monotonic()
    with answering((429, {"Retry-After": "1"}, b""), (200, {}, b"")) as server:
        http.exchange(lambda: Outgoing("PUT", server.url), most=100, patience=HASTY)

    assert time.monotonic() - began >= 1


def test_an_answer_without_end_is_refused() -> None:
    """No more is read than the caller can use."""
    with (
        answering((200, {}, b"x" * 1000)) as server,
        pytest.raises(SourceError, match="more than 999 bytes"),
    ):
        http.exchange(lambda: Outgoing("GET", server.url), most=999, patience=HASTY)


def test_an_answer_that_is_cut_short_is_no_answer() -> None:
    """A body that ends before its length is tried again, and then an error."""
    with (
        answering((200, {"Content-Length": "100", "Connection": "close"}, b"x")) as server,
        pytest.raises(SourceError, match="4 tries"),
    ):
        http.exchange(lambda: Outgoing("GET", f"{server.url}/?sig=1"), most=999, patience=HASTY)


HOSTILE_ANSWERS = {
    "no XML": "{}",
    "nothing": "",
    "another root": "<ListAllMyBucketsResult/>",
    "an entity": '<!DOCTYPE a [<!ENTITY b "x">]><ListBucketResult>&b;</ListBucketResult>',
    "an outer entity": '<!DOCTYPE a [<!ENTITY b SYSTEM "file:///etc/passwd">]><a>&b;</a>',
    "cut": "<ListBucketResult><Contents>",
    "the same page again": "<ListBucketResult><IsTruncated>true</IsTruncated>"
    "<NextContinuationToken>t</NextContinuationToken></ListBucketResult>",
    "no next page": "<ListBucketResult><IsTruncated>true</IsTruncated></ListBucketResult>",
    "an error late": "<Error><Code>InternalError</Code><Message>\x1b[31m</Message></Error>",
    "too much": "<ListBucketResult>" + " " * (5 << 20) + "</ListBucketResult>",
    "too deep": "<a>" * 100_000 + "</a>" * 100_000,
    "too many": "<ListBucketResult>" + "<a/>" * 100_000 + "</ListBucketResult>",
    "too many attributes": "<ListBucketResult "
    + " ".join(f"a{i}=''" for i in range(100_000))
    + "/>",
    "a zero byte": "<ListBucketResult>\0</ListBucketResult>",
    "a long name": f"<{'a' * 1000}/>",
}
BOMB = (
    '<?xml version="1.0" encoding="utf-16"?><!DOCTYPE a [<!ENTITY b "a/x.tar">]>'
    "<ListBucketResult><Contents><Key>&b;</Key></Contents></ListBucketResult>"
)


@pytest.mark.parametrize(
    "body",
    [*(body.encode() for body in HOSTILE_ANSWERS.values())]
    + [BOMB.encode(encoding) for encoding in ("utf-16", "utf-16-le", "utf-16-be")]
    + [b"<ListBucketResult>\xff</ListBucketResult>"],
    ids=[*HOSTILE_ANSWERS, "an entity in UTF-16", "in UTF-16 LE", "in UTF-16 BE", "no UTF-8"],
)
def test_a_listing_that_is_none_is_an_error(body: bytes) -> None:
    """Whatever a server sends for a listing, it is a listing or an error of the source."""
    with answering((200, {}, body)) as server, pytest.raises(SourceError) as refused:
        list(s3.list_objects("s3://shards/a/", server.settings))

    assert str(refused.value).startswith("cannot read s3://shards/a/\n")
    assert "\x1b" not in str(refused.value)
    assert len(str(refused.value)) < 500


def test_the_longest_page_is_read() -> None:
    """A thousand keys as long as may be, each byte escaped, are a page."""
    key = "%E2%82%AC" * 341
    contents = f"<Contents><Key>{key}</Key><ETag>{'e' * 80}</ETag><Size>1</Size></Contents>"
    with answering(ok(f"<ListBucketResult>{contents * 1000}</ListBucketResult>")) as server:
        found = list(s3.list_objects("s3://shards/", server.settings))

    assert [one.key for one in found] == ["€" * 341] * 1000


def page(n: int, kind: str) -> str:
    """A page of a listing, full or empty, that names one more."""
    if kind == "objects":
        entry, name = "<Contents><Key>a/b.tar</Key></Contents>", "ListBucketResult"
        after = f"<NextContinuationToken>{n}</NextContinuationToken>"
    else:
        entry = "<Upload><Key>a/b.tar</Key><UploadId>u</UploadId></Upload>"
        name, after = "ListMultipartUploadsResult", f"<NextKeyMarker>{n}</NextKeyMarker>"
    full = entry if n % 5 == 0 and n <= 15 else ""
    return f"<{name}><IsTruncated>true</IsTruncated>{after}{full}</{name}>"


def listed(kind: str, server: Server) -> list[object]:
    if kind == "objects":
        return list(s3.list_objects("s3://shards/a/", server.settings))
    return list(s3_upload.unfinished(server.settings, "shards", "a/"))


@pytest.mark.parametrize("kind", ["objects", "uploads"])
def test_a_listing_of_empty_pages_ends(kind: str) -> None:
    """Some pages in a row may be empty, as where much was deleted; for ever they may not."""
    with (
        Server(lambda n: ok(page(n, kind))) as server,
        pytest.raises(SourceError, match="empty pages"),
    ):
        listed(kind, server)

    assert len(server.asked) == 15 + 11


@pytest.mark.parametrize("kind", ["objects", "uploads"])
def test_a_listing_that_never_ends_ends(kind: str, monkeypatch: pytest.MonkeyPatch) -> None:
    """There is a largest listing."""
    monkeypatch.setattr(s3_request, "_MOST_FOUND", 2)
    with (
        Server(lambda n: ok(page(n, kind))) as server,
        pytest.raises(SourceError, match="more than 2 lie there"),
    ):
        listed(kind, server)


@pytest.mark.parametrize("marker", ["", "<NextKeyMarker>k</NextKeyMarker>"])
def test_uploads_that_are_listed_again_and_again_are_an_error(marker: str) -> None:
    """A listing whose pages repeat is not taken for a whole one."""
    name = "ListMultipartUploadsResult"
    body = f"<{name}><IsTruncated>true</IsTruncated>{marker}</{name}>"
    with (
        answering(ok(body)) as server,
        pytest.raises(SourceError, match="same page again"),
    ):
        listed("uploads", server)


@pytest.mark.parametrize(
    "date",
    [
        "Mon, 01 Jan 2020 00:00:00 +9999999999999",
        "Mon, 01 Jan 2020 00:00:00 -9999",
        "0001-01-01T00:00:00",
        "9999-12-31T23:59:59-23:59",
        "0001-01-01T00:00:00+23:59",
        "Mon, 99 Jan 99999 99:99:99 GMT",
    ],
)
def test_a_date_that_is_none_does_no_harm(date: str) -> None:
    """What cannot be a time is listed all the same."""
    body = f"<Contents><Key>a/b.tar</Key><LastModified>{date}</LastModified></Contents>"
    with answering(ok(f"<ListBucketResult>{body}</ListBucketResult>")) as server:
        (found,) = s3.list_objects("s3://shards/a/", server.settings)

    assert isinstance(found.modified, float)


@pytest.mark.parametrize("status", [301, 307])
@pytest.mark.parametrize("elsewhere", [False, True])
def test_a_bucket_in_another_region_is_told(status: int, elsewhere: bool) -> None:
    """A redirect with no place, or to a host the signature is not for, names the region."""
    with answering((200, {}, b"x")) as other:
        location = {"Location": f"{other.url}/shards/a.tar"} if elsewhere else {}
        with answering((status, location, b"")) as server:
            found = s3.Object(server.settings, "shards", "a.tar")
            for read in (s3.open_object, s3.size, s3.version):
                with pytest.raises(SourceError, match="give region=") as refused:
                    read(found)
                assert refused.value.status == status
            with pytest.raises(SourceError, match="give region="):
                s3.read_range(found, 0, 1)

    assert len(server.asked) == 4
    assert other.asked == []


def test_a_redirect_to_the_same_host_is_followed() -> None:
    """The signature holds there."""
    with (
        answering((307, {"Location": "/b"}, b""), (200, {}, b"x")) as server,
        s3.open_object(s3.Object(server.settings, "shards", "a.tar")) as stream,
    ):
        assert stream.read() == b"x"

    assert [path.partition("?")[0] for _, path, *_ in server.asked] == ["/shards/a.tar", "/b"]


def test_who_asks_without_keys_may_be_sent_to_another_host() -> None:
    """There is no signature that would hold for one host only."""
    with (
        answering((200, {}, b"x")) as other,
        answering((307, {"Location": f"{other.url}/b"}, b"")) as server,
        s3.open_object(s3.Object(S3Settings(server.url), "shards", "a.tar")) as stream,
    ):
        assert stream.read() == b"x"


def test_what_a_listing_should_not_hold_is_left_out() -> None:
    """Keys outside of what was asked for, and numbers that are none, do no harm."""
    body = (
        "<ListBucketResult xmlns='http://s3.amazonaws.com/doc/2006-03-01/'>"
        "<Contents><Key>other/a.tar</Key><Size>1</Size></Contents>"
        "<Contents><Key>a/b%2Bc+d.tar</Key><Size>9e99</Size><LastModified>now</LastModified>"
        "</Contents></ListBucketResult>"
    )
    with answering(ok(body)) as server:
        found = list(s3.list_objects("s3://shards/a/", server.settings))

    assert [(one.key, one.n_bytes, one.modified) for one in found] == [("a/b+c d.tar", 0, 0.0)]


def put(server: Server, path: Path, *, part: int = 5) -> None:
    path.write_bytes(b"0123456789")
    sha256 = hashlib.sha256(b"0123456789").hexdigest()
    found = s3.Object(server.settings, "shards", "a.tar")
    s3_upload.put_file(found, path, sha256, part=part)


BEGUN = "<InitiateMultipartUploadResult><UploadId>u</UploadId></InitiateMultipartUploadResult>"


def test_an_upload_that_fails_late_is_an_error_and_given_up(tmp_path: Path) -> None:
    """An error inside an answer that began as a good one is not taken for success."""
    sent: Answer = (200, {"ETag": '"e"'}, b"")
    late = ok("<Error><Code>InternalError</Code><Message>sorry</Message></Error>")
    with (
        answering(ok(BEGUN), sent, sent, late, (204, {}, b"")) as server,
        pytest.raises(SourceError, match="InternalError"),
    ):
        put(server, tmp_path / "a.tar")

    assert [method for method, *_ in server.asked] == ["POST", "PUT", "PUT", "POST", "DELETE"]


def test_an_upload_without_an_id_is_refused(tmp_path: Path) -> None:
    """Without an id, the next requests would be for the object itself."""
    body = "<InitiateMultipartUploadResult><UploadId/></InitiateMultipartUploadResult>"
    with answering(ok(body)) as server:
        with pytest.raises(SourceError, match="no id for an upload"):
            put(server, tmp_path / "a.tar")
        with pytest.raises(ValueError, match="has an id, and none was given"):
            s3_upload.give_up(s3.Object(server.settings, "shards", "a.tar"), "")

    assert [method for method, *_ in server.asked] == ["POST"]


def test_an_upload_that_is_listed_without_an_id_is_left_out() -> None:
    """Nothing could be done with it."""
    body = "<Upload><Key>a/b.tar</Key></Upload>"
    name = "ListMultipartUploadsResult"
    with answering(ok(f"<{name}>{body}</{name}>")) as server:
        assert listed("uploads", server) == []


def test_a_server_that_knows_no_conditions_is_asked_without(tmp_path: Path) -> None:
    """What one server cannot do is left away, for one request and for parts."""
    cannot: Answer = (501, {}, b"")
    with answering(cannot, (200, {}, b"")) as server:
        put(server, tmp_path / "a.tar", part=100)
    sent: Answer = (200, {"ETag": '"e"'}, b"")
    done = ok("<CompleteMultipartUploadResult/>")
    with answering(ok(BEGUN), sent, sent, cannot, done) as parts:
        put(parts, tmp_path / "a.tar")

    assert ["if-none-match" in headers for *_, headers, _ in server.asked] == [True, False]
    assert ["if-none-match" in headers for *_, headers, _ in parts.asked][-2:] == [True, False]


def test_no_request_holds_the_secret(tmp_path: Path) -> None:
    """What is sent is a signature; the key that made it stays here."""
    with answering((200, {}, b"")) as server:
        put(server, tmp_path / "a.tar", part=100)

    ((_, _, headers, _),) = server.asked
    assert headers["authorization"].startswith("AWS4-HMAC-SHA256 Credential=me/")
    assert headers["x-amz-meta-sha256"] == hashlib.sha256(b"0123456789").hexdigest()
    assert "my-secret" not in str(server.asked)
