"""One logger serves the library, and operations log their start and end."""

import logging
from collections.abc import Iterator
from typing import Any

import pytest

from atdata import configure_logging, get_logger, log_operation
from atdata._logging import LoggerProtocol


class Collected:
    """A logger that keeps its lines."""

    def __init__(self) -> None:
        self.lines: list[tuple[str, str]] = []

    def debug(self, msg: str, *args: Any, **_: Any) -> None:
        self.lines.append(("debug", msg % args))

    def info(self, msg: str, *args: Any, **_: Any) -> None:
        self.lines.append(("info", msg % args))

    def warning(self, msg: str, *args: Any, **_: Any) -> None:
        self.lines.append(("warning", msg % args))

    def error(self, msg: str, *args: Any, **_: Any) -> None:
        self.lines.append(("error", msg % args))


@pytest.fixture
def collected() -> Iterator[Collected]:
    """A logger of the test's own, for the time of the test."""
    before = get_logger()
    logger = Collected()
    configure_logging(logger)
    yield logger
    configure_logging(before)


def test_the_default_is_the_standard_logger() -> None:
    """A program that configures `logging` configures atdata."""
    assert get_logger() is logging.getLogger("atdata")
    assert isinstance(get_logger(), LoggerProtocol)


def test_a_program_sets_its_own_logger(collected: Collected) -> None:
    """Any object with the four methods will do."""
    get_logger().warning("%d shards skipped", 3)

    assert collected.lines == [("warning", "3 shards skipped")]


def test_an_operation_logs_its_start_and_end(collected: Collected) -> None:
    """The facts stand in both lines, the time in the last."""
    with log_operation("copy", shards=2, path="a.tar"):
        pass

    (_, start), (level, end) = collected.lines
    assert start == "copy: started (shards=2, path=a.tar)"
    assert level == "info"
    assert end.startswith("copy: completed in 0.")
    assert end.endswith("s (shards=2, path=a.tar)")


def test_an_operation_without_facts_shows_none(collected: Collected) -> None:
    """No empty parentheses."""
    with log_operation("copy"):
        pass

    assert collected.lines[0] == ("info", "copy: started")


def test_an_operation_that_fails_says_so_and_raises(collected: Collected) -> None:
    """The error goes on to the caller."""
    with pytest.raises(OSError, match="disk full"), log_operation("copy"):
        raise OSError("disk full")

    level, end = collected.lines[-1]
    assert level == "error"
    assert end.startswith("copy: failed after 0.")


@pytest.mark.parametrize("interruption", [KeyboardInterrupt, GeneratorExit])
def test_an_interrupted_operation_has_no_end_line(
    collected: Collected, interruption: type[BaseException]
) -> None:
    """Stopping is not failing."""
    with pytest.raises(interruption), log_operation("copy"):
        raise interruption

    assert collected.lines == [("info", "copy: started")]


def test_a_fact_cannot_forge_a_line(collected: Collected) -> None:
    """Control characters of outside data are shown, not obeyed."""
    with log_operation("copy", path="a\ncopy: completed"):
        pass

    assert "\n" not in collected.lines[0][1]
