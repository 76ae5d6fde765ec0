"""Requests to S3 servers: signed, sent, and their answers understood."""

import hashlib
from collections.abc import Mapping
from contextlib import suppress
from datetime import UTC, datetime
from email.utils import parsedate_to_datetime
from xml.etree import ElementTree as ET

from atdata._exceptions import SourceError, printable
from atdata.transport import http, signing
from atdata.transport.credentials import S3Settings
from atdata.transport.http import Outgoing, Patience, Reply
from atdata.transport.retry import is_passing

_MOST_ANSWER = 4 << 20  # a page of 1000 keys, each as long as may be, all of it escaped
_MOST_ELEMENTS = 100_000  # and attributes
_DEEPEST = 32  # elements in elements
_MOST_FOUND = 1_000_000
_MOST_EMPTY = 10  # pages in a row on which nothing is
_PATIENCE = Patience(read=60.0)


def ask(
    settings: S3Settings,
    method: str,
    place: str,
    *,
    shown: str,
    query: Mapping[str, str] | None = None,
    headers: Mapping[str, str] | None = None,
    content: bytes = b"",
    patience: Patience | None = None,
) -> Reply:
    """One request, signed anew for each try; with no patience given, there are several.

    Raises:
        SourceError: The server cannot be reached, or does not give a whole answer.
    """
    payload = hashlib.sha256(content).hexdigest()
    url = f"{place}?{signing.canonical_query(query)}" if query else place

    def make() -> Outgoing:
        sent = signing.signed(
            method,
            place,
            settings,
            query=query or {},
            headers=headers or {},
            payload=payload,
            now=datetime.now(UTC),
        )
        return Outgoing(method, url, sent, content)

    try:
        return http.exchange(
            make, most=_MOST_ANSWER, patience=patience or _PATIENCE, passing=_is_passing
        )
    except SourceError as error:
        raise SourceError(shown, error.reason, status=error.status) from error


def _is_passing(reply: Reply) -> bool:
    # Another request for the same key was under way.
    busy = reply.status == 409 and said(reply)[0] == "ConditionalRequestConflict"
    return busy or is_passing(reply.status)


def require(reply: Reply, shown: str, *wanted: int) -> None:
    """Raise what an answer means, unless its status is one of these."""
    if reply.status not in wanted:
        raise refusal(reply.status, shown, *said(reply))


def refusal(status: int, shown: str, code: str = "", message: str = "") -> SourceError:
    """The error for an answer, with what can be done about it."""
    what = f": {code} ({message})" if code and message else f": {code}" if code else ""
    hint = "Check the address and that the server can be reached."
    if status in {401, 403}:
        hint = (
            "Check the keys, what they may do, and this machine's clock. Without keys, only what "
            "is public can be read."
        )
    elif status in {301, 307, 400} and code in {"", "PermanentRedirect", "TemporaryRedirect"}:
        hint = "The bucket may be in another region: give region=."
    elif code == "NoSuchBucket":
        hint = "Make the bucket first, or check its name and the endpoint."
    return SourceError(shown, f"the server answered {status}{what}", status=status, hint=hint)


def said(reply: Reply) -> tuple[str, str]:
    """The code and the message of an error."""
    with suppress(SourceError):
        root = xml(reply.body, "Error", "")
        return root.findtext("Code", ""), root.findtext("Message", "")
    return "", ""


def xml(body: bytes, name: str, shown: str) -> ET.Element:
    """The root of an answer of that name, without name spaces."""
    root = None
    # In another encoding, what is looked for here would be written otherwise.
    with suppress(UnicodeDecodeError, ET.ParseError, _TooMuchError):
        text = body.decode("utf-8")
        if "<!" not in text and "\0" not in text:  # an answer declares no types and entities
            parser = ET.XMLParser(target=_Bounded())  # noqa: S314  there is nothing to expand
            parser.feed(text)
            root = parser.close()
    if root is None:
        raise SourceError(shown, "the server's answer is not of the form that S3 has")
    for element in root.iter():
        element.tag = element.tag.rpartition("}")[2]
    if root.tag == name:
        return root
    if root.tag == "Error":
        raise refusal(200, shown, root.findtext("Code", ""), root.findtext("Message", ""))
    found = printable(root.tag[:80])
    raise SourceError(shown, f"the server answered with {found!r} and not with {name!r}")


class _TooMuchError(Exception):
    """An answer has more in it than any that S3 gives."""


class _Bounded(ET.TreeBuilder):
    """Builds a tree that is neither large nor deep."""

    def __init__(self) -> None:
        super().__init__()
        self._n_elements = 0
        self._depth = 0

    def start(self, tag: str, attrs: dict[str, str], /) -> ET.Element:
        self._n_elements += 1 + len(attrs)
        self._depth += 1
        if self._n_elements > _MOST_ELEMENTS or self._depth > _DEEPEST:
            raise _TooMuchError
        return super().start(tag, attrs)

    def end(self, tag: str, /) -> ET.Element:
        self._depth -= 1
        return super().end(tag)


class Pages:
    """Ends a listing that has no end.

    Args:
        shown: What is listed, for people.
    """

    def __init__(self, shown: str) -> None:
        self._shown = shown
        self._seen: set[tuple[str, ...]] = set()
        self._n_found = 0
        self._n_empty = 0

    def count(self) -> None:
        """Something was found.

        Raises:
            SourceError: It is more than is ever listed.
        """
        self._n_found += 1
        self._n_empty = -1  # this page is not empty
        if self._n_found > _MOST_FOUND:
            hint = "List less at once: give a longer prefix."
            raise SourceError(self._shown, f"more than {_MOST_FOUND} lie there", hint=hint)

    def turn(self, *marker: str) -> None:
        """A page ended, and the next begins at this marker.

        Raises:
            SourceError: It was there before, or the pages before it were all empty.
        """
        self._n_empty += 1
        if not marker[0] or marker in self._seen:
            raise SourceError(self._shown, "the server lists the same page again and again")
        if self._n_empty > _MOST_EMPTY:
            raise SourceError(self._shown, "the server lists empty pages, and does not end")
        self._seen.add(marker)


def modified(entry: ET.Element, name: str = "LastModified") -> float:
    """A time that an answer holds, in seconds since 1970; 0 if it holds none."""
    text = entry.findtext(name, "")
    with suppress(ValueError, OverflowError, OSError):
        return datetime.fromisoformat(text).timestamp()
    with suppress(ValueError, TypeError, OverflowError, OSError):
        return parsedate_to_datetime(text).timestamp()
    return 0.0


def number(entry: ET.Element, name: str) -> int:
    """A number that an answer holds; 0 if it holds none."""
    text = entry.findtext(name, "")
    return int(text) if text.isascii() and text.isdigit() and len(text) <= 18 else 0
