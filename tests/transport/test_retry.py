"""When a failure is tried again, and after how long."""

from datetime import UTC, datetime, timedelta
from email.utils import format_datetime

import pytest
from hypothesis import given
from hypothesis import strategies as st

from atdata.transport.retry import Backoff, is_passing, retry_after

NOW = datetime(2030, 1, 1, tzinfo=UTC)


@given(
    failures=st.integers(1, 100),
    waited=st.floats(0, 100),
    chance=st.floats(0, 1, exclude_max=True),
    asked=st.none() | st.floats(0, 1000),
)
def test_any_delay_is_within_bounds(
    failures: int, waited: float, chance: float, asked: float | None
) -> None:
    """A delay is at least what the server asked for, and never exceeds ceiling and budget."""
    backoff = Backoff(retries=8, first=0.5, longest=4.0, budget=30.0)

    delay = backoff.delay(failures, waited=waited, chance=chance, asked=asked)

    if failures > 8:
        assert delay is None
    if delay is not None:
        assert (asked or 0) <= delay <= (asked or 0) + 4.0
        assert waited + delay <= 30.0


def test_delays_double_up_to_the_longest() -> None:
    """With the same draw, each ceiling is twice the last until the longest is reached."""
    backoff = Backoff(first=1.0, longest=5.0)

    assert [backoff.delay(n, waited=0, chance=0.5) for n in range(1, 6)] == [0.5, 1, 2, 2.5, 2.5]


@pytest.mark.parametrize(
    ("value", "seconds"),
    [
        ("0", 0.0),
        (" 12 ", 12.0),
        (format_datetime(NOW + timedelta(seconds=90), usegmt=True), 90.0),
        (format_datetime(NOW - timedelta(seconds=90), usegmt=True), 0.0),
        ("Tue, 01 Jan 2030 00:00:05", 5.0),
    ],
)
def test_retry_after_is_seconds_or_a_date(value: str, seconds: float) -> None:
    """Both forms of the header are read; a time that has passed is no wait."""
    assert retry_after(value, now=NOW) == seconds


@given(st.text(max_size=30) | st.from_regex(r"-?[0-9.e]{1,400}", fullmatch=True))
def test_any_other_retry_after_is_nothing(value: str) -> None:
    """Whatever a server writes there, it is a number of seconds or nothing."""
    found = retry_after(value, now=NOW)

    assert found is None or found >= 0


def test_what_passes_is_told_from_what_stays() -> None:
    """Busy and broken servers may recover; refusals and missing files do not."""
    assert [s for s in range(100, 600) if is_passing(s)] == [408, 425, 429, 500, 502, 503, 504]
