"""Payloads looked at one by one: as samples, and whether they have a field."""

from collections.abc import Mapping, Sequence
from typing import Any

from atdata._exceptions import SchemaError
from atdata._typing import Int64Array
from atdata.codec.compile import SampleCodec
from atdata.shard.keys import running_key


def decoded(
    codec: SampleCodec[Any],
    payloads: Sequence[memoryview],
    shard_id: str,
    places: Int64Array,
    keys: Sequence[str] | int,
) -> list[Any]:
    """Samples of a shard.

    Args:
        codec: Reads them.
        payloads: What to read.
        shard_id: What errors call the shard.
        places: Offset of each payload in the shard.
        keys: The keys, or the number of the first where they count up.

    Raises:
        SchemaError: One does not fit its type. The error names shard, key and offset.
    """
    samples: list[Any] = []
    for row, payload in enumerate(payloads):
        try:
            samples.append(codec.decode(payload, copy=False))
        except Exception as error:  # the class of a field may raise anything
            key = running_key(keys + row) if isinstance(keys, int) else keys[row]
            raise _unfit(codec, error).locate(shard_id, key, int(places[row])) from error
    return samples


def _unfit(codec: SampleCodec[Any], error: Exception) -> SchemaError:
    if isinstance(error, SchemaError):
        return error
    found = f"{type(error).__name__}: {error}"
    return SchemaError(codec.name, found=found, wanted="a sample that its classes accept")


def lacks(found: Any, steps: Sequence[str]) -> bool:
    """Whether a payload has no field there; within None and arrays there is none to look for.

    Examples:
        >>> lacks({"box": {"left": 1}}, ["box", "top"]), lacks({"box": None}, ["box", "top"])
        (True, False)
    """
    for step in steps:
        if not isinstance(found, Mapping):
            return False
        if step not in found:
            return True
        found = found[step]
    return False
