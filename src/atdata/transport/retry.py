"""When to try again, and how long to wait: pure functions, which the I/O around them obeys.

The loop itself is ours and not stamina's. A body that resumes counts its failures anew once it
has made progress, in the middle of a read; stamina retries a block of code as a whole.
"""

import email.utils
from dataclasses import dataclass
from datetime import UTC, datetime

_PASSING_STATUS = frozenset({408, 425, 429, 500, 502, 503, 504})


@dataclass(frozen=True, slots=True)
class Backoff:
    """How often and how long to wait for a place that failed.

    Delays grow by doubling and have full jitter (a delay is drawn between zero and its ceiling),
    so that many readers which failed together do not come back together.

    Attributes:
        retries: Failures in a row that are forgiven.
        first: Ceiling of the first delay in seconds; it doubles with each failure.
        longest: Highest ceiling in seconds.
        budget: Seconds that all delays in a row may take together.

    Examples:
        >>> [Backoff(first=1.0).delay(n, waited=0.0, chance=0.5) for n in (1, 2, 3)]
        [0.5, 1.0, 2.0]
    """

    retries: int = 6
    first: float = 0.2
    longest: float = 10.0
    budget: float = 60.0

    def delay(
        self, failures: int, *, waited: float, chance: float, asked: float | None = None
    ) -> float | None:
        """Seconds to wait before the next try, or None to give up.

        Args:
            failures: Failures in a row, this one included.
            waited: Seconds that were spent in delays since the first of them.
            chance: The draw for the jitter, at least 0 and below 1.
            asked: Seconds the server asked for with `Retry-After`; never cut short.

        Returns:
            The delay, or None when the retries or the budget are used up.

        Examples:
            >>> Backoff().delay(1, waited=0.0, chance=0.0, asked=3.0)
            3.0
            >>> Backoff(budget=60.0).delay(1, waited=0.0, chance=0.0, asked=3600.0) is None
            True
        """
        if failures > self.retries:
            return None
        ceiling = min(self.longest, self.first * 2.0 ** (min(failures, 64) - 1))
        seconds = chance * ceiling + (asked or 0.0)
        return seconds if waited + seconds <= self.budget else None


def is_passing(status: int) -> bool:
    """Whether an HTTP status says that the same request may succeed later.

    Examples:
        >>> is_passing(503), is_passing(404)
        (True, False)
    """
    return status in _PASSING_STATUS


def retry_after(value: str, *, now: datetime) -> float | None:
    """Read a `Retry-After` header.

    Args:
        value: Seconds as digits, or an HTTP date.
        now: The present, with a time zone.

    Returns:
        Seconds from now, at least 0, or None when the value is neither.

    Examples:
        >>> retry_after("120", now=datetime.now(UTC))
        120.0
        >>> retry_after("soon", now=datetime.now(UTC)) is None
        True
    """
    text = value.strip()
    if text.isascii() and text.isdigit():
        return float(text[:12])
    try:
        when = email.utils.parsedate_to_datetime(text)
    except (ValueError, OverflowError):
        return None
    aware = when if when.tzinfo else when.replace(tzinfo=UTC)
    return max(0.0, (aware - now).total_seconds())
