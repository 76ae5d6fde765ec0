"""Where atdata says what it does.

One logger serves the whole library. It is the standard logger named `atdata` until a program sets
another, such as one that writes structured records.
"""

import logging
import time
from collections.abc import Generator
from contextlib import contextmanager
from typing import Any, Protocol, runtime_checkable

from atdata._exceptions import printable


@runtime_checkable
class LoggerProtocol(Protocol):
    """What a logger must offer: four levels, and messages in `%` style with their arguments."""

    def debug(self, msg: str, *args: Any, **kwargs: Any) -> None:
        """Say what only someone looking for a fault wants to know."""
        ...

    def info(self, msg: str, *args: Any, **kwargs: Any) -> None:
        """Say what was done."""
        ...

    def warning(self, msg: str, *args: Any, **kwargs: Any) -> None:
        """Say what went wrong and was passed over."""
        ...

    def error(self, msg: str, *args: Any, **kwargs: Any) -> None:
        """Say what failed."""
        ...


_DEFAULT = logging.getLogger("atdata")
_DEFAULT.addHandler(logging.NullHandler())  # what nobody asked to see is not printed


class _Current:
    logger: LoggerProtocol = _DEFAULT


def configure_logging(logger: LoggerProtocol) -> None:
    """Send everything atdata says to a logger of your own.

    Args:
        logger: Any object with `debug`, `info`, `warning` and `error`. Messages come in `%` style:
            the text is `msg % args`.

    Examples:
        >>> import logging
        >>> configure_logging(logging.getLogger("training.data"))
        >>> get_logger().name
        'training.data'
        >>> configure_logging(logging.getLogger("atdata"))
    """
    _Current.logger = logger


def get_logger() -> LoggerProtocol:
    """Return the logger in use, the standard logger `atdata` unless another was set.

    Examples:
        >>> get_logger().name
        'atdata'
    """
    return _Current.logger


@contextmanager
def log_operation(op_name: str, **context: Any) -> Generator[None, None, None]:
    """Log the start of an operation, and its end with the time it took.

    An operation that is interrupted, by Ctrl-C or because nobody reads on, leaves no end line.

    Args:
        op_name: What is done, such as `"write_samples"`.
        **context: Facts to show with it.

    Examples:
        >>> class Printed:
        ...     def info(self, msg, *args): print(msg % args)
        ...     debug = warning = error = info
        >>> configure_logging(Printed())
        >>> with log_operation("copy", shards=2):
        ...     pass
        copy: started (shards=2)
        copy: completed in 0...s (shards=2)
        >>> configure_logging(logging.getLogger("atdata"))
    """
    facts = ", ".join(f"{name}={printable(value)}" for name, value in context.items())
    facts = f" ({facts})" if facts else ""
    output = get_logger()
    output.info("%s: started%s", op_name, facts)
    began = time.perf_counter()
    try:
        yield
    except Exception:
        output.error("%s: failed after %.2fs%s", op_name, time.perf_counter() - began, facts)
        raise
    output.info("%s: completed in %.2fs%s", op_name, time.perf_counter() - began, facts)
