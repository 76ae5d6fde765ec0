"""Small files that lie beside a shard: what they are called, and how they are read.

A manifest is such a file. It goes by the shard's name, so that whoever finds the one finds the
other, whatever kind of place both lie in.
"""

import hashlib
import re
from pathlib import Path
from typing import BinaryIO
from urllib.parse import parse_qs, quote_from_bytes, unquote_to_bytes

from atdata._exceptions import ShardError, ShardNotFoundError, SourceError, shard_name
from atdata.model.shard import StoredSidecar, beside
from atdata.transport.file import open_file

LONGEST = 1 << 30
"""Bytes of a sidecar at most; what is longer is none, and is not read into memory."""

_PIECE = 1 << 20
_ADDRESS = re.compile(
    r"(?P<folder>[A-Za-z]+://[^/?#]*/(?:[^?#]*/)?)(?P<name>[^/?#]+)(?P<query>\?[^#]*)?(?:#.*)?",
    re.DOTALL,
)
# What signs an address for one object, or names one state of it.
_FOR_ONE = frozenset(
    {"x-amz-signature", "x-goog-signature", "signature", "sig", "versionid", "generation"}
)


def beside_url(url: str, suffix: str) -> str | None:
    """The web address of what lies beside a shard; None where nobody can know it.

    A query goes along, such as a token that opens a whole folder. Where it signs for the shard
    alone, or names it, nothing beside the shard can be asked for. A signature of Azure for a
    container (`sr=c`) or a folder (`sr=d`) is good for what lies in it, and goes along.

    Examples:
        >>> beside_url("https://example.org/a.tar?token=1#part", ".manifest.json")
        'https://example.org/a.manifest.json?token=1'
        >>> beside_url("https://example.org/a.tar?X-Amz-Signature=0f", ".manifest.json") is None
        True
    """
    found = _ADDRESS.fullmatch(url)
    if found is None:
        return None
    name, query = found["name"], found["query"] or ""
    plain = unquote_to_bytes(name)
    if query and (b".tar" not in plain or _is_for_one(query[1:])):
        return None
    if plain.endswith(b".tar") and not name.endswith(".tar"):  # its dot or letters are escaped
        name = quote_from_bytes(plain, safe="")
    return f"{found['folder']}{beside(name, suffix)}{query}"


def _is_for_one(query: str) -> bool:
    said = {key.lower(): values for key, values in parse_qs(query, keep_blank_values=True).items()}
    if said.get("sr", [""])[0] in {"c", "d"}:
        return False
    return not _FOR_ONE.isdisjoint(said)


def read_file(path: Path) -> bytes | None:
    """All bytes of a file of this machine, or None if there is none.

    Raises:
        SourceError: It is no regular file, may not be read, or is longer than a sidecar is.

    Examples:
        >>> read_file(tmp / "none.manifest.json") is None
        True
    """
    try:
        file = open_file(path)
    except ShardNotFoundError:
        return None
    with file:
        return read_whole(file, str(path))


def read_whole(stream: BinaryIO, name: str) -> bytes:
    """All bytes of a stream.

    Raises:
        SourceError: It is longer than a sidecar is, or its place failed.
    """
    pieces: list[bytes] = []
    n_bytes = 0
    while piece := stream.read(_PIECE):
        n_bytes += len(piece)
        if n_bytes > LONGEST:
            raise SourceError(
                shard_name(name),
                f"what lies beside a shard has more than {LONGEST} bytes",
                hint="A manifest is shorter; make it anew, or remove that file.",
            )
        pieces.append(piece)
    return b"".join(pieces)


def check(data: bytes, wanted: StoredSidecar, shard_id: str) -> None:
    """Compare what was read beside a shard with what is recorded of it.

    Raises:
        ShardError: It is something else.

    Examples:
        >>> check(b"{}", StoredSidecar(".manifest.json", 3, "00" * 32), "data/a.tar")
        Traceback (most recent call last):
        atdata._exceptions.ShardError: cannot read shard data/a.manifest.json
          reason  has 2 bytes, and not the 3 that the catalogue says
          It was written anew: catalogue the shards again. Else restore it, or remove it.
    """
    if len(data) != wanted.n_bytes:
        reason = f"has {len(data)} bytes, and not the {wanted.n_bytes} that the catalogue says"
    elif hashlib.sha256(data).hexdigest() != wanted.sha256:
        reason = "does not have the SHA-256 that the catalogue says"
    else:
        return
    hint = "It was written anew: catalogue the shards again. Else restore it, or remove it."
    raise ShardError(shown(shard_id, wanted.suffix), reason, hint=hint)


def shown(shard_id: str, suffix: str) -> str:
    """How a file beside a shard is called in a message.

    Examples:
        >>> shown("https://example.org/a.tar?token=1", ".manifest.json")
        'https://example.org/a.manifest.json'
    """
    return beside(shard_name(shard_id), suffix)
