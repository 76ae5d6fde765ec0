"""What happens to samples that cannot be read: the caller decides, and nothing goes unrecorded."""

from collections.abc import Callable
from typing import Literal

from atdata._exceptions import AtdataError, SchemaError, ShardError, redacted, shard_name
from atdata.model.shard import SkippedSample

type OnError = Literal["raise", "skip"] | Callable[[AtdataError], object]
"""`"raise"`, `"skip"`, or a function that is given each error: it raises, or returns to skip."""

_LISTED = 10_000


def check_on_error(on_error: OnError) -> OnError:
    """Return a policy, or refuse what is none.

    Examples:
        >>> check_on_error("ignore")
        Traceback (most recent call last):
        ValueError: on_error is 'ignore'; it must be 'raise', 'skip' or a function
    """
    if on_error in ("raise", "skip") or callable(on_error):
        return on_error
    raise ValueError(f"on_error is {on_error!r}; it must be 'raise', 'skip' or a function")


class Ledger:
    """Applies a policy and lists what was left out.

    Attributes:
        skipped: The first ten thousand things left out.
        n_skipped: How many there were.
    """

    def __init__(self, on_error: OnError) -> None:
        self._on_error = on_error
        self.skipped: list[SkippedSample] = []
        self.n_skipped = 0

    def meet(self, error: AtdataError) -> None:
        """Raise an error, or write it down and go on."""
        if self._on_error == "raise":
            raise error
        if callable(self._on_error):
            self._on_error(error)
        self.n_skipped += 1
        if len(self.skipped) < _LISTED:
            self.skipped.append(_entry(error))


def _entry(error: AtdataError) -> SkippedSample:
    if isinstance(error, ShardError):
        return SkippedSample(shard_name(error.shard_id), error.key, error.offset, error.reason)
    if isinstance(error, SchemaError):
        shard_id = shard_name(error.shard_id or "")
        return SkippedSample(shard_id, error.key, error.offset, str(error))
    return SkippedSample(redacted(str(getattr(error, "url", ""))), None, None, str(error))
