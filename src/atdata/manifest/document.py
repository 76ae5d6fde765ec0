"""The JSON file beside a shard: every name in it, and the digest that ends it.

The file is strict JSON. Its last member is the XXH3-64 of all bytes before it, so that damage is
noticed before anything in it is believed.
"""

import re
from typing import Any

import msgspec
from xxhash import xxh3_64_hexdigest

from atdata.manifest.fields import MAX_FIELDS
from atdata.model.shard import SIDECARS
from atdata.shard.tar import BLOCK

MANIFEST_VERSION = "2.0.0"
JSON_SUFFIX, PARQUET_SUFFIX = SIDECARS

MAX_JSON = 64 << 20
"""Most bytes of a JSON file that is read."""

MAX_GROUP_ROWS = 1 << 20
"""Most rows of a row group that is read."""

_MAX_UNASKED = 256 << 20
_MAX_RATIO = 4000
"""A compressed shard that swells beyond both is not read either."""


class DocumentError(ValueError):
    """The bytes are no manifest, or one that was damaged."""


class ShardPart(msgspec.Struct, omit_defaults=True):
    """The shard that a manifest is of.

    Attributes:
        n_bytes: Its size.
        end: No sample lies at this offset or behind it; of a compressed shard, unpacked.
        digest: What `MappedShard.digest` gives, as 16 hex digits.
        index: The digest that ends the shard's index, as 16 hex digits.
        content: XXH3-128 of the whole file, where it has no index and was a file.
        version: What its source says of its state, where it has no index and was elsewhere.
        sha256: Its SHA-256, where that was taken.
    """

    n_bytes: int
    end: int
    digest: str
    index: str = ""
    content: str = ""
    version: str = ""
    sha256: str = ""


class SamplesPart(msgspec.Struct):
    """The Parquet file: its size, its BLAKE3, and the rows of each of its row groups."""

    n_bytes: int
    blake3: str
    row_groups: list[int]


class BloomPart(msgspec.Struct):
    """A Bloom filter: hashes a value, and its bits in base64."""

    hashes: int
    bits: str


class FieldPart(msgspec.Struct, omit_defaults=True):
    """What is known of one field.

    Attributes:
        kind: What it holds.
        form: How payloads hold it, where that differs.
        nulls: Rows that are None.
        nans: Rows that are not a number.
        min: The smallest value, or item of the lists.
        max: The largest.
        values: Pairs of each distinct value and how often it occurs.
        bloom: A filter of the values, where they are too many to be listed.
        groups: Nulls, NaNs, smallest and largest of each row group, where there are several.
    """

    kind: str
    form: str = ""
    nulls: int = 0
    nans: int = 0
    min: Any = None
    max: Any = None
    values: list[tuple[Any, int]] | None = None
    bloom: BloomPart | None = None
    groups: list[tuple[int, int, Any, Any]] | None = None


class Document(msgspec.Struct):
    """All of a manifest's JSON but its digest."""

    manifest_version: str
    shard_id: str
    schema_type: str
    schema_version: str
    num_samples: int
    size_bytes: int
    created_at: str
    shard: ShardPart
    samples: SamplesPart
    fields: dict[str, FieldPart]
    left_out: dict[str, str]
    aggregates: dict[str, Any]
    provenance: dict[str, Any] | msgspec.UnsetType = msgspec.UNSET


_LINES = re.compile(rb',\n  "check": "([0-9a-f]{16})"\n}\n\Z')
_TAIL = len(b',\n  "check": "0123456789abcdef"\n}\n')


def write_document(document: Document) -> bytes:
    """A manifest as JSON, one line for each of its members.

    Raises:
        ValueError: It holds what JSON cannot.
    """
    members = msgspec.to_builtins(document)
    lines = [
        b'  "%s": %s' % (name.encode(), msgspec.json.encode(value))
        for name, value in members.items()
    ]
    body = b"{\n" + b",\n".join(lines)
    return body + b',\n  "check": "%s"\n}\n' % xxh3_64_hexdigest(body).encode()


def read_document(raw: bytes) -> Document:
    """A manifest from its JSON.

    Raises:
        DocumentError: It is damaged, or says what cannot be.

    Examples:
        >>> read_document(b"{}")
        Traceback (most recent call last):
        atdata.manifest.document.DocumentError: it does not end as a manifest does
    """
    if len(raw) > MAX_JSON:
        raise DocumentError(f"it has {len(raw)} bytes; the limit is {MAX_JSON}")
    match = _LINES.search(raw, max(0, len(raw) - _TAIL))
    if match is None:
        raise DocumentError("it does not end as a manifest does")
    body = raw[: match.start()]
    if xxh3_64_hexdigest(body).encode() != match[1]:
        raise DocumentError("it does not match its own digest")
    try:
        document = msgspec.json.decode(body + b"}", type=Document)
    except (msgspec.DecodeError, UnicodeDecodeError, RecursionError) as error:
        raise DocumentError(f"it is no manifest: {error}") from error
    if document.manifest_version.partition(".")[0] != "2":
        raise DocumentError(
            f"it has version {document.manifest_version}; this release reads {MANIFEST_VERSION}"
        )
    _check_counts(document)
    return document


_HEX = re.compile(r"[0-9a-f]{16}")


def _check_counts(document: Document) -> None:
    n, shard, samples = document.num_samples, document.shard, document.samples
    if not 0 <= n < 1 << 40 or document.size_bytes < 0:
        raise DocumentError(f"it counts {n} samples of {document.size_bytes} bytes")
    if shard.n_bytes < 0 or not 0 <= shard.end < 1 << 62 or document.size_bytes > shard.end:
        raise DocumentError("the sizes of the shard contradict each other")
    if not _HEX.fullmatch(shard.digest) or (shard.index and not _HEX.fullmatch(shard.index)):
        raise DocumentError("a digest of the shard is none")
    if n * BLOCK > shard.end:
        raise DocumentError(f"{n} samples do not fit in the {shard.end} bytes of the shard")
    swollen = max(_MAX_UNASKED, _MAX_RATIO * shard.n_bytes)
    if shard.end > (shard.n_bytes if shard.index else swollen):
        raise DocumentError(f"samples of a shard of {shard.n_bytes} bytes end at {shard.end}")
    if len(document.fields) > MAX_FIELDS:
        raise DocumentError(f"it has {len(document.fields)} fields; the limit is {MAX_FIELDS}")
    if any(rows > MAX_GROUP_ROWS for rows in samples.row_groups):
        raise DocumentError(f"a row group has more than {MAX_GROUP_ROWS} rows")
    if samples.n_bytes < 0 or not re.fullmatch(r"[0-9a-f]{64}", samples.blake3):
        raise DocumentError("the size or the digest of the Parquet file is none")
    if any(rows < 1 for rows in samples.row_groups) or sum(samples.row_groups) != n:
        raise DocumentError(f"row groups of {sum(samples.row_groups)} rows for {n} samples")
