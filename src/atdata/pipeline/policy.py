"""What happens to samples that cannot be read: the caller decides, and nothing goes unrecorded."""

from collections.abc import Callable, Sequence
from typing import Literal

from atdata._exceptions import (
    AtdataError,
    SchemaError,
    ShardError,
    TooManyErrorsError,
    redacted,
    shard_name,
)
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
    """Applies a policy and lists what was left out, each thing once.

    Args:
        on_error: The policy.
        max_errors: How many things may be left out; None for any number.
        before: What was left out before a reading was resumed; it is not counted twice.

    Attributes:
        skipped: The first ten thousand things left out.
        n_skipped: How many there were.
    """

    def __init__(
        self,
        on_error: OnError,
        max_errors: int | None = None,
        before: Sequence[SkippedSample] = (),
    ) -> None:
        self._on_error = on_error
        self._max_errors = max_errors
        self._met = set(before)
        self.skipped: list[SkippedSample] = list(before)
        self.n_skipped = len(self.skipped)

    @property
    def raises(self) -> bool:
        """Whether every error is raised."""
        return self._on_error == "raise"

    def meet(self, error: AtdataError) -> None:
        """Raise an error, or write it down and go on."""
        if self._on_error == "raise":
            raise error
        entry = _entry(error)
        if entry in self._met:
            return  # it was met when shards were counted, or before the reading was resumed
        if callable(self._on_error):
            self._on_error(error)
        if len(self._met) < _LISTED:
            self._met.add(entry)
        self.n_skipped += 1
        if self._max_errors is not None and self.n_skipped > self._max_errors:
            raise TooManyErrorsError(self._max_errors) from error
        if len(self.skipped) < _LISTED:
            self.skipped.append(entry)


def _entry(error: AtdataError) -> SkippedSample:
    if isinstance(error, ShardError):
        return SkippedSample(shard_name(error.shard_id), error.key, error.offset, error.reason)
    if isinstance(error, SchemaError):
        shard_id = shard_name(error.shard_id or "")
        return SkippedSample(shard_id, error.key, error.offset, str(error))
    return SkippedSample(redacted(str(getattr(error, "url", ""))), None, None, str(error))
