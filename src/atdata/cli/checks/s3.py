"""Whether a bucket can be listed, written and read, and keeps its word."""

import secrets
import time
from collections.abc import Mapping
from email.utils import parsedate_to_datetime

from atdata._exceptions import AtdataError, ShardError, SourceError
from atdata.cli.checks import Check, Checks, fail, judge, ok, warn
from atdata.transport import s3, signing
from atdata.transport import s3_request as request
from atdata.transport.credentials import (
    ACCESS_KEY,
    SECRET_KEY,
    SESSION_TOKEN,
    S3Settings,
    from_mapping,
)
from atdata.transport.http import Patience, Reply
from atdata.transport.retry import Backoff

_BODY = b"a probe of atdata; it may be deleted"
_MOST_LISTED = 10
_PATIENCE = Patience(connect=5.0, read=10.0, backoff=Backoff(retries=0))
_SKEW = 60.0
"""Seconds; signatures are refused from 15 minutes on."""
_SET_KEYS = "Set them in the environment, or in a file for --env-file."


def checks(bucket: str, prefix: str, credentials: Mapping[str, str]) -> Checks:
    """Look at a bucket; one object that nobody has is written, read and deleted.

    Nothing is tried twice, and no answer is waited for longer than 10 seconds.
    """
    missing = [name for name in (ACCESS_KEY, SECRET_KEY) if not credentials.get(name)]
    look = _Look(credentials)
    try:
        settings = from_mapping(credentials, anonymous=True)
    except ValueError as error:
        yield fail("credentials", look.told(error), _SET_KEYS)
        return
    fact = f"{', '.join(missing)} not set" if missing else "set"
    yield judge(not missing, "credentials", fact, _SET_KEYS, worst="warn")
    folder = f"{prefix.strip('/')}/" if prefix.strip("/") else ""
    try:
        probe = s3.Object(settings, bucket, f"{folder}.atdata-probe-{secrets.token_hex(8)}")
    except ValueError as error:
        yield fail("list", look.told(error), "Correct the name of the bucket, or the prefix.")
        return
    try:
        n_listed = look.list(settings, bucket, folder)
    except AtdataError as error:
        yield fail("list", look.told(error), look.advice(error))
        return
    yield ok("list", f"{n_listed} objects or more" if n_listed else "no objects")
    yield from look.probe(probe)


class _Look:
    """Looks by some credentials, and does not show them."""

    def __init__(self, credentials: Mapping[str, str]) -> None:
        self.credentials = credentials

    def told(self, error: Exception) -> str:
        text = str(error)
        if isinstance(error, SourceError):
            text = error.reason if error.status else f"{error.url}: {error.reason}"
        elif isinstance(error, ShardError):
            text = error.reason
        for name in (ACCESS_KEY, SECRET_KEY, SESSION_TOKEN):
            if secret := self.credentials.get(name):
                text = text.replace(secret, "…")
        return text

    def advice(self, error: AtdataError) -> str:
        text = str(error)
        if "NoSuchBucket" in text:
            return "Create the bucket, or correct its name."
        if "RequestTimeTooSkewed" in text:
            return "Set the clock of this machine."
        if isinstance(error, SourceError) and error.status in {301, 307, 401, 403}:
            return "Check the keys, the region, and what the keys may do."
        return "Check AWS_ENDPOINT, the network, and that the server runs."

    def list(self, settings: S3Settings, bucket: str, folder: str) -> int:
        """How many objects there are, at least."""
        place = signing.place(settings, bucket)
        query = {"list-type": "2", "prefix": folder, "max-keys": str(_MOST_LISTED)}
        reply = request.ask(settings, "GET", place, query=query, shown=place, patience=_PATIENCE)
        _require(reply, place, 200)
        return len(request.xml(reply.body, "ListBucketResult", place).findall("Contents"))

    def probe(self, probe: s3.Object) -> Checks:
        began = time.time()
        try:
            reply = _put(probe, _BODY, new=True)
            if reply.status == 501:  # the server knows no conditions
                reply = _put(probe, _BODY, new=False)
            _require(reply, probe.place, 200)
        except AtdataError as error:
            yield fail("put", self.told(error), self.advice(error))
            return
        ended = time.time()
        yield ok("put", f"{len(_BODY)} bytes")
        try:
            yield self._get(probe)
            yield self._clock(probe, began, ended)
            yield self._create_only(probe)
        finally:
            deleted = self._delete(probe)
        yield deleted

    def _get(self, probe: s3.Object) -> Check:
        """Read as datasets do, by a signed address; then a part, by a signed request."""
        try:
            with s3.open_object(probe, patience=_PATIENCE) as stream:
                found = stream.read()
            part = _ask(probe, "GET", headers={"range": "bytes=2-6"})
            _require(part, probe.place, 206)
        except AtdataError as error:
            return fail("get", self.told(error), self.advice(error))
        fine = found == _BODY and part.body == _BODY[2:7]
        fact = "whole, and by range" if fine else "other bytes than were put"
        return judge(fine, "get", fact, "Do not keep data there.")

    def _clock(self, probe: s3.Object, began: float, ended: float) -> Check:
        """Compare the server's time of the object with ours."""
        try:
            reply = _ask(probe, "HEAD")
            _require(reply, probe.place, 200)
        except AtdataError as error:
            return fail("clock", self.told(error), self.advice(error))
        advice = "Set the clock of this machine; requests are refused from 15 minutes on."
        try:
            there = parsedate_to_datetime(reply.headers.get("last-modified", "")).timestamp()
        except ValueError:
            return warn("clock", "the server does not say when it made the object", advice)
        skew = max(began - there - 1, there - ended - 1, 0.0)  # it is told in whole seconds
        return judge(skew < _SKEW, "clock", f"{skew:.0f} s apart", advice, worst="warn")

    def _create_only(self, probe: s3.Object) -> Check:
        advice = "Two writers of one name may overwrite each other; give each its own prefix."
        try:
            reply = _put(probe, b"other", new=True)
            _require(reply, probe.place, 200, 412)
        except AtdataError as error:
            return warn("create only", self.told(error), advice)
        if reply.status == 412:
            return ok("create only", "an object that is there is not written over")
        return warn("create only", "an object that is there is written over", advice)

    def _delete(self, probe: s3.Object) -> Check:
        try:
            _require(_ask(probe, "DELETE"), probe.place, 200, 204)
        except AtdataError as error:
            return fail("delete", self.told(error), f"Delete {probe.key} by hand.")
        return ok("delete", "yes")


def _put(probe: s3.Object, content: bytes, *, new: bool) -> Reply:
    """Put bytes, with `new` only where nothing is yet."""
    headers = {"if-none-match": "*"} if new else {}
    return _ask(probe, "PUT", headers=headers, content=content)


def _ask(
    probe: s3.Object,
    method: str,
    *,
    headers: Mapping[str, str] | None = None,
    content: bytes = b"",
) -> Reply:
    return request.ask(
        probe.settings,
        method,
        probe.place,
        headers=headers,
        content=content,
        shown=probe.place,
        patience=_PATIENCE,
    )


def _require(reply: Reply, place: str, *wanted: int) -> None:
    """Raise what the server said, in its own words, unless its status is one of these."""
    if reply.status not in wanted:
        code, message = request.said(reply)
        words = [f"{reply.status} {code or 'without a reason'}", message]
        raise SourceError(place, ": ".join(filter(None, words)), status=reply.status)
