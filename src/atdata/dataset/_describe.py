"""What a dataset says of itself."""

import re
from collections.abc import Sequence
from pathlib import Path
from typing import Any, cast

from atdata._exceptions import printable, redacted, shard_name
from atdata.dataset._jobs import read_content_metadata
from atdata.pipeline.chain import Chain, Part
from atdata.pipeline.naming import stage_names
from atdata.pipeline.policy import Ledger
from atdata.pipeline.stages import Stage, View


def shown(dataset: Any) -> str:
    """The source and the stages on one line of moderate length."""
    chain: Chain = dataset.chain
    source = dataset.source
    given = getattr(source, "url", None)
    if isinstance(given, str | Path):
        place = repr(printable(redacted(str(given)), 120))
    elif isinstance(given, tuple):
        given = cast("tuple[str | Path, ...]", given)
        first = printable(redacted(str(given[0])), 80)
        place = f"[{first!r}, … {len(given)} in all]" if len(given) > 1 else repr(first)
    else:
        place = type(source).__name__
    stages = "".join(f".{name}" for name in stage_names(chain))
    return printable(place + stages, 300)


def describe(dataset: Any, chain: Chain) -> dict[str, Any]:
    """What is known of a dataset without reading samples or asking a server."""
    shards = [shard_name(shard_id) for shard_id in dataset.list_shards()]
    url = dataset.metadata_url
    return {
        "sample_type": type_name(dataset.sample_type),
        "fields": dataset.schema,
        "num_shards": len(shards),
        "shards": shards,
        "url": redacted(dataset.url),
        "metadata_url": None if url is None else redacted(url),
        "metadata": dataset._fetched,
        "content_metadata": _content_metadata(dataset, chain),
        "stages": stage_names(chain),
        "lenses": _lenses(chain),
    }


def _content_metadata(dataset: Any, chain: Chain) -> Any:
    known = dataset._content_metadata
    return read_content_metadata(chain, Ledger("skip"), local=True) if known is None else known


def type_name(kind: Any) -> str:
    """A type in few words.

    Examples:
        >>> type_name(int), type_name(dict[str, int])
        ('int', 'dict[str, int]')
    """
    return kind.__name__ if isinstance(kind, type) else str(kind)


def _lenses(chain: Chain) -> list[dict[str, str]]:
    """Each lens with how it was found."""
    stages: list[Stage] = []
    found: list[dict[str, str]] = []
    for part in chain.parts:
        if isinstance(part, Part):
            stages += part.stages
        else:
            found += _lenses(part)
    stages += chain.tail
    lenses = [stage.lens for stage in stages if isinstance(stage, View)]
    return found + [{"name": lens.name, "kind": lens.kind} for lens in lenses]


def braced(names: Sequence[str]) -> str:
    """Names as one pattern with braces, which stands for exactly these.

    Examples:
        >>> braced(["a-0.tar", "a-1.tar"]), braced(["a.tar"])
        ('a-{0,1}.tar', 'a.tar')
    """
    if len(names) < 2:
        return "".join(names)
    before = _shared(names)
    rest = [name[before:] for name in names]
    behind = _shared([name[::-1] for name in rest])
    middles = ",".join(_escaped(name[: len(name) - behind]) for name in rest)
    first = names[0]
    after = _escaped(first[len(first) - behind :])
    return f"{_escaped(first[:before])}{{{middles}}}{after}"


def _shared(names: Sequence[str]) -> int:
    """How many characters all names begin with."""
    first, last = min(names), max(names)
    pairs = enumerate(zip(first, last, strict=False))
    return next((i for i, (a, b) in pairs if a != b), min(len(first), len(last)))


def _escaped(text: str) -> str:
    return re.sub(r"([\\{},])", r"\\\1", text)
