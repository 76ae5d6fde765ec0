"""What was worked out about a shard, kept while the shard is open.

The layout of its samples does not change from one pass to the next, so it need not be read from
the bytes again. What is kept of all shards together is bounded; what finds no room is worked out
each time.
"""

from collections.abc import Hashable
from typing import Any
from weakref import finalize

_LIMIT = 48 << 20


class _Total:
    n_bytes = 0


class Memo:
    """A bounded dictionary of one shard.

    Examples:
        >>> memo = Memo()
        >>> memo.put("layout", [1, 2], n_bytes=16)
        >>> memo.get("layout"), memo.get("other")
        ([1, 2], None)
    """

    def __init__(self) -> None:
        self._kept: dict[Hashable, Any] = {}
        self._sizes: list[int] = []
        finalize(self, _release, self._sizes)

    def get(self, key: Hashable) -> Any:
        """What was kept under a key, or None."""
        return self._kept.get(key)

    def put(self, key: Hashable, value: Any, *, n_bytes: int) -> None:
        """Keep a value, if there is room for its bytes."""
        if _Total.n_bytes + n_bytes <= _LIMIT:
            _Total.n_bytes += n_bytes
            self._sizes.append(n_bytes)
            self._kept[key] = value


def _release(sizes: list[int]) -> None:
    _Total.n_bytes -= sum(sizes)
