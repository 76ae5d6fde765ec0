"""The index that is used where none is named."""

import threading

from atdata.index._index import Index

_lock = threading.Lock()
_default: list[Index] = []


def get_default_index() -> Index:
    """The index of this process: that of this user, unless `set_default_index` said otherwise.

    Examples:
        >>> set_default_index(Index(path=tmp / "index.db"))
        >>> get_default_index() is get_default_index()
        True
        >>> set_default_index(None)
    """
    with _lock:
        if not _default:
            _default.append(Index())
        return _default[0]


def set_default_index(index: Index | None) -> None:
    """Use another index from now on; None for that of this user again.

    Raises:
        TypeError: It is no index.

    Examples:
        >>> lab = Index(path=tmp / "lab.db")
        >>> set_default_index(lab)
        >>> get_default_index() is lab
        True
        >>> set_default_index(None)
    """
    if index is not None and not isinstance(index, Index):  # pyright: ignore[reportUnnecessaryIsInstance]
        raise TypeError(f"index must be an Index, not {type(index).__name__}")
    with _lock:
        _default[:] = [] if index is None else [index]
