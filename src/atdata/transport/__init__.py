"""Bytes from places and to places: `gate` admits an address, `file` and `http` open it.

`retry` says when to try again. `s3` and `s3_upload` read and put objects over `http`, signed by
`signing` for whom `credentials` name. `http` is loaded when the first address needs it.
"""

import sys
from importlib import import_module
from typing import BinaryIO, Protocol, cast

_REMOTE = {"http": "atdata.transport.http", "https": "atdata.transport.http"}


class Remote(Protocol):
    """What a module that reads from elsewhere offers."""

    def open_url(self, url: str) -> BinaryIO:
        """Open the address for reading from its first byte."""
        ...

    def size(self, url: str) -> int:
        """How many bytes there are."""
        ...

    def read_range(self, url: str, start: int, length: int) -> bytes:
        """Exactly `length` bytes from `start`; a negative `start` counts from the end."""
        ...

    def version(self, url: str) -> str | None:
        """What names the bytes from one process to the next, or None."""
        ...

    def close_idle(self) -> None:
        """Close all connections, unless a request of this process is under way."""
        ...


def close_idle() -> None:
    """Close the connections to servers that no request uses any more.

    Examples:
        >>> close_idle()
    """
    for name in set(_REMOTE.values()):
        if name in sys.modules:
            cast(Remote, sys.modules[name]).close_idle()


def remote(scheme: str) -> Remote:
    """The module that reads addresses of a scheme, loaded when first asked for.

    Examples:
        >>> remote("https").__name__
        'atdata.transport.http'
    """
    return cast(Remote, import_module(_REMOTE[scheme]))
