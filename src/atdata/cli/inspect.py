"""`atdata inspect`: what shards hold, and whether they are as they were written."""

import json
from collections.abc import Sequence
from dataclasses import asdict, dataclass, replace
from typing import Any

import numpy as np
import typer

from atdata._exceptions import AtdataError, ShardError, printable, redacted
from atdata._protocols import DataSource, SupportsRange
from atdata.cli.app import complain, print_json
from atdata.cli.options import Place
from atdata.cli.places import Found, find
from atdata.cli.tables import aligned
from atdata.cli.values import json_value, text_value, wire_of
from atdata.codec.compile import codec_of
from atdata.model.shard import SkippedSample
from atdata.pipeline.decode import Decoder
from atdata.pipeline.open import Shard, open_shard
from atdata.pipeline.policy import Ledger
from atdata.sample.dynamic import DictSample
from atdata.shard.chunk import Verify
from atdata.shard.index import ShardIndex
from atdata.shard.mapped import MappedShard
from atdata.shard.streamed import StreamedShard, compression_of

_TOLD = 10
"""How many problems of a shard are told in words."""

_SHOWN_FIELDS = 100
_MAGIC_SIZE = 6


@dataclass(frozen=True, slots=True)
class Field:
    """A field as the first sample has it.

    Attributes:
        name: Its name.
        wire: Its msgpack type.
        dtype: Of an array, else None.
        shape: Of an array, else None.
        declared: The type that the dataset's schema gives it, if there is one.
    """

    name: str
    wire: str
    dtype: str | None
    shape: list[int] | None
    declared: str | None = None


@dataclass(frozen=True, slots=True)
class Digests:
    """What blocks of a shard can be compared with.

    Attributes:
        n_blocks: How many blocks have digests.
        xxh3: Whether damage shows.
        blake3: Whether a forgery shows, too.
    """

    n_blocks: int
    xxh3: bool
    blake3: bool


@dataclass(frozen=True, slots=True)
class Findings:
    """What was found out about a shard.

    Attributes:
        shard: Its address, without credentials.
        n_samples: How many samples it holds.
        n_bytes: Its size, where its place tells it.
        compression: `gz`, `bz2`, `xz` or `zst`; None if it is not compressed, or cannot be read.
        indexed: Whether it has an index; None for a stream, whose index cannot be used.
        sample_type: The sample type's name in the index.
        schema_ref: The schema's reference, if the dataset was named by a catalogue.
        first_key: Key of the first sample.
        last_key: Key of the last sample.
        fields: The first sample's fields.
        content_metadata: What the writer said about the dataset.
        digests: The index's digests.
        checked: What every sample was compared with: `blake3`, `xxh3`, or `decoding` where there
            is nothing to compare with; None if only the first sample was read.
        problems: What cannot be read; the first ten thousand.
        n_problems: How many there are.
    """

    shard: str
    n_samples: int
    n_bytes: int | None
    compression: str | None
    indexed: bool | None
    sample_type: str | None
    schema_ref: str | None
    first_key: str | None
    last_key: str | None
    fields: list[Field]
    content_metadata: dict[str, Any] | None
    digests: Digests | None
    checked: str | None
    problems: list[SkippedSample]
    n_problems: int


def inspect(arguments: Sequence[str], place: Place, *, check: bool, as_json: bool) -> None:
    """Report on each shard, and on all of them together.

    Raises:
        typer.Exit: With code 1, if anything could not be read. It has been said on stderr.
    """
    found: list[Findings] = []
    for named in find(arguments, place):
        for shard_id in named.source.list_shards():
            one = findings(named, shard_id, check=check)
            if not as_json:
                _print(one, found[-1] if found else None)
            _tell(one)
            found.append(one)
    total_bytes = sum(one.n_bytes or 0 for one in found)
    totals = {
        "n_shards": len(found),
        "n_samples": sum(one.n_samples for one in found),
        "n_bytes": total_bytes,
        "n_damaged": sum(one.n_problems > 0 for one in found),
    }
    if as_json:
        print_json({"shards": [_document(one) for one in found], "totals": totals})
    elif len(found) > 1:
        typer.echo(", ".join(f"{n} {what[2:]}" for what, n in totals.items()))
    if totals["n_damaged"]:
        raise typer.Exit(1)


class _Seen:
    """What was noticed while samples went by."""

    def __init__(self) -> None:
        self.n = 0
        self.first_key: str | None = None
        self.last_key: str | None = None
        self.sample: DictSample | None = None

    def add(self, keys: Sequence[str], samples: Sequence[DictSample]) -> None:
        if not samples:
            return
        if self.sample is None:
            self.first_key, self.sample = keys[0], samples[0]
        self.n += len(samples)
        self.last_key = keys[-1]


def findings(named: Found, shard_id: str, *, check: bool) -> Findings:
    """Find out about one shard; what cannot be read is among the findings.

    Args:
        named: Where the shard is, and what is known of its samples.
        shard_id: Its id there.
        check: Read and decode every sample, and compare every block with its digest.

    Examples:
        >>> import atdata
        >>> ds = atdata.write_samples([atdata.DictSample(n=7)], tmp / "found.tar")
        >>> found = findings(Found(ds.source), ds.list_shards()[0], check=True)
        >>> found.n_samples, [(field.name, field.wire) for field in found.fields], found.checked
        (1, [('n', 'int')], 'blake3')
    """
    source = named.source
    ledger = Ledger("skip")
    seen = _Seen()
    shard: Shard | None = None
    index: ShardIndex | None = None
    compression: str | None = None
    try:
        shard = open_shard(source, shard_id)
        if isinstance(shard, StreamedShard):
            compression = _compression(source, shard_id)
        else:
            index = shard.index
        _read(shard, seen, ledger, check=check)
    except AtdataError as error:
        ledger.meet(error)
    except OSError as error:
        ledger.meet(ShardError(shard_id, error.strerror or str(error)))
    checked = None
    if shard is not None and check:
        checked = "decoding" if index is None else "xxh3" if index.proof is None else "blake3"
    return Findings(
        shard=redacted(shard_id),
        n_samples=seen.n,
        n_bytes=_n_bytes(source, shard_id, shard),
        compression=compression,
        indexed=None if shard is None or isinstance(shard, StreamedShard) else index is not None,
        sample_type=(index.head.sample_type or None) if index is not None else None,
        schema_ref=named.schema_ref,
        first_key=seen.first_key,
        last_key=seen.last_key,
        fields=[] if seen.sample is None else _fields(seen.sample, named),
        content_metadata=None if index is None else index.head.content_metadata,
        digests=None if index is None else _digests(index),
        checked=checked,
        problems=ledger.skipped,
        n_problems=ledger.n_skipped,
    )


def _read(shard: Shard, seen: _Seen, ledger: Ledger, *, check: bool) -> None:
    """Read what must be read: all of a stream or for a check, else the first sample."""
    decoder = Decoder(codec_of(DictSample), ledger, copy=False)
    if check or isinstance(shard, StreamedShard):
        verify: Verify = "proof" if check else "auto"
        for item in shard.chunks(verify=verify):
            if isinstance(item, ShardError):
                ledger.meet(item)
                continue
            for run in decoder.runs(item):
                seen.add(run.keys(), run.samples)
    if isinstance(shard, StreamedShard):
        return
    seen.n = len(shard)
    if seen.n:
        seen.first_key, seen.last_key = shard.keys[0], shard.keys[-1]
    if check:
        return
    if isinstance(shard, MappedShard):
        for _, fault in shard.faults:
            ledger.meet(fault)
        if shard.damage is not None:
            ledger.meet(shard.damage)
    if seen.n:
        seen.sample = _first(shard, decoder)


def _first(shard: Shard, decoder: Decoder[DictSample]) -> DictSample | None:
    if isinstance(shard, MappedShard):
        bad = shard.check(0, 1, "auto")
        if bad is not None:
            raise bad[1]
        return decoder.one(shard.chunk(0, 1), 0)
    return None if isinstance(shard, StreamedShard) else decoder.one(shard.chunk_of(0, "auto"), 0)


def _compression(source: DataSource, shard_id: str) -> str | None:
    with source.open_shard(shard_id) as stream:
        head = b""
        while len(head) < _MAGIC_SIZE and (piece := stream.read(_MAGIC_SIZE - len(head))):
            head += piece
    return compression_of(head) or None


def _n_bytes(source: DataSource, shard_id: str, shard: Shard | None) -> int | None:
    if isinstance(shard, MappedShard):
        return shard.n_bytes
    if not isinstance(source, SupportsRange):
        return None
    try:
        return source.shard_size(shard_id)
    except (AtdataError, OSError):
        return None  # a place need not say it; whether the shard can be read is said elsewhere


def _digests(index: ShardIndex) -> Digests:
    return Digests(len(index.damage), xxh3=True, blake3=index.proof is not None)


def _fields(sample: DictSample, named: Found) -> list[Field]:
    schema = () if named.schema is None else named.schema.fields
    declared = {field.name: str(field).partition(": ")[2] for field in schema}
    fields: list[Field] = []
    for name in sample.keys():  # noqa: SIM118  a DictSample, not a dict
        value = sample[name]
        dtype, shape = None, None
        if isinstance(value, np.ndarray):
            dtype, shape = str(value.dtype), list(value.shape)
        wire = wire_of(sample.raw(name))
        fields.append(Field(name, wire, dtype, shape, declared.get(name)))
    return fields


def _document(found: Findings) -> dict[str, Any]:
    facts = asdict(replace(found, content_metadata=None))  # nested as deeply as its writer liked
    facts["content_metadata"] = found.content_metadata
    for problem in facts["problems"]:
        del problem["shard_id"]
    document: dict[str, Any] = json_value(facts)
    return document


def _print(found: Findings, before: Findings | None) -> None:
    """Print what was found; what is said of the shard before is not said again."""
    typer.secho(printable(found.shard, 500), bold=True)
    kind = f" of {printable(found.sample_type)}" if found.sample_type else ""
    lines = [("samples", f"{found.n_samples}{kind}")]
    if found.schema_ref is not None:
        lines.append(("schema", printable(found.schema_ref)))
    if found.n_bytes is not None:
        lines.append(("bytes", str(found.n_bytes)))
    if found.first_key is not None and found.last_key is not None:
        keys = dict.fromkeys(printable(key, 60) for key in (found.first_key, found.last_key))
        lines.append(("keys", " … ".join(keys)))
    if found.compression is not None:
        lines.append(("compression", found.compression))
    if found.indexed is not None:
        lines.append(("index", "yes" if found.indexed else "no"))
    if found.digests is not None:
        n = found.digests.n_blocks
        proof = " and BLAKE3" if found.digests.blake3 else ""
        lines.append(("digests", f"XXH3{proof} of {n} block{'s' * (n != 1)}"))
    if found.fields and (before is None or found.fields != before.fields):
        lines += zip(["fields"] + [""] * len(found.fields), _field_lines(found), strict=False)
    metadata = _metadata(found)
    if metadata and (before is None or metadata != _metadata(before)):
        lines.append(("metadata", printable(metadata, 1000)))
    if found.checked is not None:
        lines.append(("checked", f"every sample, by {found.checked}"))
    if found.n_problems:
        lines.append(("problems", str(found.n_problems)))
    typer.echo("\n".join(f"  {name:<11}  {text}" for name, text in lines) + "\n")


def _metadata(found: Findings) -> str:
    if found.content_metadata is None:
        return ""
    return json.dumps(json_value(found.content_metadata), ensure_ascii=False)


def _field_lines(found: Findings) -> list[str]:
    lines = [
        [
            text_value(field.name),
            field.wire,
            "" if field.dtype is None else f"{printable(field.dtype)} {_shape(field.shape)}",
            "" if field.declared is None else f"declared {printable(field.declared)}",
        ]
        for field in found.fields[:_SHOWN_FIELDS]
    ]
    more = len(found.fields) - len(lines)
    return aligned(lines) + ([f"… {more} more"] if more else [])


def _shape(shape: Sequence[int] | None) -> str:
    return str(tuple(shape or ()))


def _tell(found: Findings) -> None:
    for problem in found.problems[:_TOLD]:
        key = "" if problem.key is None else f", key {printable(problem.key)}"
        offset = "" if problem.offset is None else f", byte {problem.offset}"
        complain(f"{printable(found.shard, 500)}{key}{offset}: {problem.reason}")
    more = found.n_problems - min(_TOLD, len(found.problems))
    if more:
        complain(f"{printable(found.shard, 500)}: and {more} more")
