"""Files put under keys of S3 servers, whole or not at all; large ones in parts."""

import hashlib
import io
from collections.abc import Iterator, Mapping
from concurrent.futures import FIRST_COMPLETED, Future, ThreadPoolExecutor, wait
from contextlib import suppress
from pathlib import Path
from typing import BinaryIO
from urllib.parse import unquote_plus
from xml.etree import ElementTree as ET

from atdata._exceptions import ShardError, SourceError
from atdata.transport import s3_request as request
from atdata.transport import signing
from atdata.transport.credentials import S3Settings
from atdata.transport.file import open_file
from atdata.transport.halt import Halt
from atdata.transport.http import Reply
from atdata.transport.s3 import SHA256, Object, head

_MOST_PARTS = 10_000
_PART = 16 << 20
_THREADS = 4
_ABSENT = {"if-none-match": "*"}


class ExistsError(Exception):
    """There is something under the key already; for `put_file` and its callers."""


def digest_of(path: Path) -> str:
    """The SHA-256 of a file in hex.

    Raises:
        ShardNotFoundError: There is no such file.
        SourceError: It may not be read.
    """
    with open_file(path) as file:
        digest = hashlib.sha256()
        while piece := file.read(_PART):
            digest.update(piece)
    return digest.hexdigest()


def put_file(
    found: Object, path: Path, sha256: str, *, n_bytes: int | None = None, part: int = _PART
) -> None:
    """Put a file, whole or not at all, where nothing is yet; large ones in parts, several at once.

    Each request carries the digest of its bytes, which the server compares. The object has the
    digest of the whole as metadata.

    Args:
        found: Where to put it.
        path: The file.
        sha256: Its digest in hex.
        n_bytes: Its size, if that is known.
        part: Bytes that are sent in one request; more for a file that would have too many parts.

    Raises:
        ExistsError: Something is there.
        ShardError: The file does not have that digest or that size.
        SourceError: The server refused or failed.
    """
    with open_file(path) as file:
        size = file.seek(0, io.SEEK_END)
        file.seek(0)
        if n_bytes not in {None, size}:
            raise _changed(path)
        if size > part:
            _Upload(found, sha256).run(file, size, max(part, -(-size // _MOST_PARTS)))
            return
        content = file.read(part + 1)
    if sha256 != hashlib.sha256(content).hexdigest():
        raise _changed(path)
    headers = {SHA256: sha256, **_ABSENT}
    reply = _put(found, content, headers)
    if _knows_no_condition(reply):
        reply = _put(found, content, {SHA256: sha256})
    if reply.status == 412:
        raise ExistsError
    request.require(reply, found.url, 200)


def _put(found: Object, content: bytes, headers: Mapping[str, str]) -> Reply:
    return request.ask(
        found.settings, "PUT", found.place, headers=headers, content=content, shown=found.url
    )


def unfinished(settings: S3Settings, bucket: str, prefix: str) -> Iterator[tuple[str, str, float]]:
    """Uploads in parts that were begun and neither finished nor given up.

    Yields:
        The key each was to have, its id, and when it was begun in seconds since 1970.

    Raises:
        SourceError: The server refused or failed, or the listing has no end.
    """
    shown = f"s3://{bucket}/{prefix}"
    query = {"uploads": "", "prefix": prefix, "encoding-type": "url"}
    place = signing.place(settings, bucket)
    pages = request.Pages(shown)
    while True:
        reply = request.ask(settings, "GET", place, query=query, shown=shown)
        if reply.status in {400, 404, 405, 501} and request.said(reply)[0] != "NoSuchBucket":
            return  # the server does not tell
        request.require(reply, shown, 200)
        root = request.xml(reply.body, "ListMultipartUploadsResult", shown)
        for entry in root.iter("Upload"):
            key = unquote_plus(entry.findtext("Key", ""))
            upload_id = entry.findtext("UploadId", "")
            if key.startswith(prefix) and upload_id:
                pages.count()
                yield key, upload_id, request.modified(entry, "Initiated")
        if root.findtext("IsTruncated") != "true":
            return
        after = (root.findtext("NextKeyMarker", ""), root.findtext("NextUploadIdMarker", ""))
        pages.turn(*after)
        query |= {"key-marker": unquote_plus(after[0]), "upload-id-marker": after[1]}


def give_up(found: Object, upload_id: str) -> None:
    """Give up an upload in parts; nothing happens where there is none.

    Raises:
        ValueError: The id is empty; servers may take that for the object itself.
        SourceError: The server refused or failed.
    """
    if not upload_id:
        raise ValueError(f"an upload of {found.url} has an id, and none was given")
    query = {"uploadId": upload_id}
    reply = request.ask(found.settings, "DELETE", found.place, query=query, shown=found.url)
    if reply.status != 404:
        request.require(reply, found.url, 200, 204)


class _Upload:
    """An upload in parts, of which nothing is seen before it is complete.

    Args:
        found: Where to put it.
        sha256: The digest of the file.
    """

    def __init__(self, found: Object, sha256: str) -> None:
        self._found = found
        self._sha256 = sha256
        self._id = ""
        self._ending = Halt()

    def run(self, file: BinaryIO, n_bytes: int, part: int) -> None:
        """Send a file in parts of so many bytes, and complete it."""
        headers = {SHA256: self._sha256}
        reply = self._ask("POST", {"uploads": ""}, headers=headers)
        request.require(reply, self._found.url, 200)
        root = request.xml(reply.body, "InitiateMultipartUploadResult", self._found.url)
        self._id = root.findtext("UploadId", "")
        if not self._id:
            raise SourceError(self._found.url, "the server gave no id for an upload", status=200)
        try:
            with ThreadPoolExecutor(_THREADS, "atdata-upload") as threads:
                etags = self._send_all(file, n_bytes, part, threads)
            self._complete(etags)
        except BaseException:
            with suppress(SourceError):
                give_up(self._found, self._id)
            raise

    def _send_all(
        self, file: BinaryIO, n_bytes: int, part: int, threads: ThreadPoolExecutor
    ) -> list[str]:
        digest = hashlib.sha256()
        running: set[Future[str]] = set()
        every: list[Future[str]] = []
        try:
            for number in range(1, -(-n_bytes // part) + 1):
                content = file.read(part)
                digest.update(content)
                every.append(threads.submit(self._send, number, content))
                running.add(every[-1])
                if len(running) > _THREADS:
                    done, running = wait(running, return_when=FIRST_COMPLETED)
                    for one in done:
                        one.result()
            etags = [one.result() for one in every]
        finally:
            self._ending.stop()
            for one in every:
                one.cancel()
        if digest.hexdigest() != self._sha256:
            raise _changed(self._found.url)
        return etags

    def _send(self, number: int, content: bytes) -> str:
        query = {"partNumber": str(number), "uploadId": self._id}
        with self._ending.running():
            reply = self._ask("PUT", query, content=content)
        request.require(reply, self._found.url, 200)
        etag = reply.headers.get("etag", "")
        if not etag:
            raise SourceError(self._found.url, "the server gave no ETag for a part", status=200)
        return etag

    def _complete(self, etags: list[str]) -> None:
        root = ET.Element("CompleteMultipartUpload")
        for number, etag in enumerate(etags, start=1):
            part = ET.SubElement(root, "Part")
            ET.SubElement(part, "PartNumber").text = str(number)
            ET.SubElement(part, "ETag").text = etag
        content = ET.tostring(root)
        reply = self._ask("POST", {"uploadId": self._id}, headers=_ABSENT, content=content)
        if _knows_no_condition(reply):
            reply = self._ask("POST", {"uploadId": self._id}, content=content)
        if reply.status == 412:
            raise ExistsError
        if reply.status == 404:
            # It may have been completed by a try whose answer was lost.
            there = head(self._found)
            if there is not None and there.sha256 == self._sha256:
                return
        request.require(reply, self._found.url, 200)
        # An error that comes late is told in an answer that began as a good one.
        request.xml(reply.body, "CompleteMultipartUploadResult", self._found.url)

    def _ask(
        self,
        method: str,
        query: Mapping[str, str],
        *,
        headers: Mapping[str, str] | None = None,
        content: bytes = b"",
    ) -> Reply:
        found = self._found
        return request.ask(
            found.settings,
            method,
            found.place,
            query=query,
            headers=headers,
            content=content,
            shown=found.url,
        )


def _knows_no_condition(reply: Reply) -> bool:
    return reply.status == 501


def _changed(path: object) -> ShardError:
    reason = "it is not what it was when it was finished"
    return ShardError(str(path), reason, hint="Write the shard again. Nothing was kept.")
