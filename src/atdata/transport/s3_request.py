"""Requests to S3 servers: signed, sent, and their answers understood."""

import hashlib
from collections.abc import Mapping
from contextlib import suppress
from datetime import UTC, datetime
from email.utils import parsedate_to_datetime
from xml.etree import ElementTree as ET

from atdata._exceptions import SourceError
from atdata.transport import http, signing
from atdata.transport.credentials import S3Settings
from atdata.transport.http import Outgoing, Patience, Reply
from atdata.transport.retry import is_passing

_MOST_ANSWER = 16 << 20
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
    if b"<!" not in body:  # an answer declares no types and entities
        with suppress(ET.ParseError):
            root = ET.fromstring(body)  # noqa: S314  there is nothing to expand
    if root is None:
        raise SourceError(shown, "the server's answer is not of the form that S3 has")
    for element in root.iter():
        element.tag = element.tag.rpartition("}")[2]
    if root.tag == name:
        return root
    if root.tag == "Error":
        raise refusal(200, shown, root.findtext("Code", ""), root.findtext("Message", ""))
    raise SourceError(shown, f"the server answered with {root.tag!r} and not with {name!r}")


def modified(entry: ET.Element, name: str = "LastModified") -> float:
    """A time that an answer holds, in seconds since 1970; 0 if it holds none."""
    text = entry.findtext(name, "")
    with suppress(ValueError):
        return datetime.fromisoformat(text).timestamp()
    with suppress(ValueError, TypeError):
        return parsedate_to_datetime(text).timestamp()
    return 0.0


def number(entry: ET.Element, name: str) -> int:
    """A number that an answer holds; 0 if it holds none."""
    text = entry.findtext(name, "")
    return int(text) if text.isascii() and text.isdigit() and len(text) <= 18 else 0
