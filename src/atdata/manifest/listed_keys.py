"""The keys and places that a manifest lists, compared with those that its shard has."""

from collections.abc import Sequence
from pathlib import Path
from typing import Any

import numpy as np

from atdata._typing import Int64Array
from atdata.manifest.places import running_keys
from atdata.shard.keys import RunningKeys, StoredKeys
from atdata.shard.mapped import open_mapped


def stored(arrays: Sequence[Any]) -> StoredKeys:
    """Keys as shards keep them, of Arrow arrays without nulls."""
    return StoredKeys(*_joined(arrays))


def wrong_keys(arrays: Sequence[Any]) -> str:
    """Why these are not believed to be keys, if no index vouches for them; empty if they are."""
    raw = np.frombuffer(_joined(arrays)[1], np.uint8)
    return "a key holds control characters" if ((raw < 0x20) | (raw == 0x7F)).any() else ""


def differs(
    shard: Path, shard_id: str, at: Int64Array, size: Int64Array, arrays: Sequence[Any]
) -> str:
    """What a manifest lists otherwise than the index of its shard; empty if nothing.

    Raises:
        ShardError: The shard cannot be opened.
    """
    found = open_mapped(shard, shard_id)
    if not np.array_equal(found.at, at) or not np.array_equal(found.size, size):
        return "its samples lie elsewhere than those of the shard"
    keys = found.keys
    if isinstance(keys, RunningKeys):
        known = _joined([running_keys(keys.first, len(keys))])
    else:
        known = _joined_of(keys)
    ends, text = _joined(arrays)
    if not np.array_equal(known[0], ends) or known[1] != text:
        return "its keys are not those of the shard"
    return ""


def _joined(arrays: Sequence[Any]) -> tuple[Int64Array, bytes]:
    """Where each key ends in all of their text, and that text."""
    ends: list[Int64Array] = [np.zeros(0, np.int64)]
    texts: list[bytes] = []
    before = 0
    for one in arrays:
        _, offsets, text = one.buffers()
        if not len(one):
            continue
        cuts = np.frombuffer(offsets, np.int32)[one.offset : one.offset + len(one) + 1]
        first, last = int(cuts[0]), int(cuts[-1])
        texts.append(text.slice(first, last - first).to_pybytes() if last > first else b"")
        ends.append(cuts[1:].astype(np.int64) - first + before)
        before += last - first
    return np.concatenate(ends), b"".join(texts)


def _joined_of(keys: StoredKeys) -> tuple[Int64Array, bytes]:
    again = [key.encode() for key in keys]
    return np.cumsum(np.fromiter(map(len, again), np.int64, len(again))), b"".join(again)
