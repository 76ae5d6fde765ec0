"""Sample keys: the part of a member's name before its extension.

WebDataset's rule: the key ends at the first dot of the base name, and neighbours with one key are
one sample. We read one thing more: a key that has dots itself, as in `k.1.msgpack`.
"""

from collections.abc import Sequence
from typing import overload

import numpy as np

from atdata._exceptions import printable
from atdata._typing import Int64Array

EXTENSION = "msgpack"
INDEX_NAME = "__index__"
RUNNING_WIDTH = 9

MAX_KEY = 60_000
"""Most bytes of a key: with its extension and a little more it still fits a reader's limits."""


def split_name(name: str) -> tuple[str, str]:
    """Split a member's name into key and lower-case extension.

    Examples:
        >>> split_name("train.d/0001.JPG"), split_name("k.1.msgpack"), split_name("README")
        (('train.d/0001', 'jpg'), ('k.1', 'msgpack'), ('README', ''))
    """
    folder, slash, base = name.rpartition("/")
    if base.lower().endswith("." + EXTENSION):
        stem, ext = base[: -len(EXTENSION) - 1], EXTENSION
    else:
        stem, _, ext = base.partition(".")
    return folder + slash + stem, ext.lower()


def is_meta(name: str) -> bool:
    """Whether readers of WebDataset pass a member over: its first path part is `__so__`.

    Examples:
        >>> is_meta("__index__"), is_meta("a__"), is_meta("__meta__/x.json")
        (True, False, True)
    """
    if not name.startswith("__"):
        return False
    first = name.partition("/")[0]
    return len(first) >= 4 and first.endswith("__")


def has_key(name: str) -> bool:
    """Whether a member's name has a key and an extension; others belong to no sample.

    Examples:
        >>> has_key("a/0001.msgpack"), has_key("README"), has_key("a/._0001.msgpack")
        (True, False, False)
    """
    return name.rpartition("/")[2].find(".") > 0


def check_key(key: object) -> str:
    """Return a key that any WebDataset reader gives back as it is.

    Raises:
        TypeError: The key is not a `str`.
        ValueError: The key is empty, has a dot in its last part, starts like a meta name, or
            cannot be a path inside a folder.

    Examples:
        >>> check_key("train/0001")
        'train/0001'
    """
    if not isinstance(key, str):
        raise TypeError(f"a sample key is a str, not {type(key).__name__}; convert it in `key=`")
    *folders, base = key.split("/")
    if not base or "." in base or "\0" in key or is_meta(key) or {"", ".", ".."} & set(folders):
        raise ValueError(
            f"{printable(repr(key))} cannot be a sample key: it must not be empty, start or end "
            "with '/', hold '..' or an empty part, look like '__meta__', or have a dot in its "
            "last part; change it in `key=`"
        )
    try:
        size = len(key.encode())
    except UnicodeEncodeError as error:
        raise ValueError(
            f"{printable(ascii(key))} cannot be a sample key: it is not valid Unicode"
        ) from error
    if size > MAX_KEY:
        raise ValueError(f"a sample key of {size} bytes is too long; the limit is {MAX_KEY}")
    return key


def running_key(number: int) -> str:
    """The key of a sample that was given none.

    Examples:
        >>> running_key(7)
        '000000007'
    """
    return f"{number:0{RUNNING_WIDTH}d}"


class RunningKeys(Sequence[str]):
    """Keys that count up from a first number; nothing is stored.

    Examples:
        >>> list(RunningKeys(8, 3))
        ['000000008', '000000009', '000000010']
    """

    def __init__(self, first: int, count: int) -> None:
        self.first = first
        self._count = count

    def __len__(self) -> int:
        return self._count

    @overload
    def __getitem__(self, at: int) -> str: ...
    @overload
    def __getitem__(self, at: slice) -> Sequence[str]: ...
    def __getitem__(self, at: int | slice) -> str | Sequence[str]:
        rows = range(self._count)[at]
        if isinstance(rows, range):
            return [running_key(self.first + row) for row in rows]
        return running_key(self.first + rows)

    def take(self, rows: Int64Array) -> list[str]:
        """The keys of some rows."""
        return [running_key(self.first + row) for row in rows.tolist()]

    def find(self, key: str) -> int:
        """The row of a key, or -1."""
        if not (key.isascii() and key.isdigit() and len(key) < 20):
            return -1
        row = int(key) - self.first
        return row if 0 <= row < self._count and running_key(int(key)) == key else -1


class StoredKeys(Sequence[str]):
    """Keys kept as one run of UTF-8 bytes and the offset where each ends.

    Examples:
        >>> keys = StoredKeys(np.array([1, 3]), b"abc")
        >>> list(keys), keys.find("bc")
        (['a', 'bc'], 1)
    """

    def __init__(self, ends: np.ndarray, text: bytes | memoryview) -> None:
        self._ends = ends
        self._text = text
        self._rows: dict[str, int] | None = None

    def __len__(self) -> int:
        return len(self._ends)

    @overload
    def __getitem__(self, at: int) -> str: ...
    @overload
    def __getitem__(self, at: slice) -> Sequence[str]: ...
    def __getitem__(self, at: int | slice) -> str | Sequence[str]:
        rows = range(len(self._ends))[at]
        if isinstance(rows, range):
            return [self._one(row) for row in rows]
        return self._one(rows)

    def _one(self, row: int) -> str:
        start = int(self._ends[row - 1]) if row else 0
        return str(self._text[start : int(self._ends[row])], "utf-8")

    def take(self, rows: Int64Array) -> list[str]:
        """The keys of some rows.

        Examples:
            >>> StoredKeys(np.array([1, 3, 5]), "abcé".encode()).take(np.array([2, 0]))
            ['é', 'a']
        """
        starts = np.where(rows > 0, self._ends[rows - 1], 0).tolist()
        cuts = zip(starts, self._ends[rows].tolist(), strict=True)
        text = self._text
        return [str(text[start:end], "utf-8") for start, end in cuts]

    def find(self, key: str) -> int:
        """The row of a key, or -1."""
        if self._rows is None:
            rows: dict[str, int] = {}
            for row, name in enumerate(self):
                rows.setdefault(name, row)
            self._rows = rows
        return self._rows.get(key, -1)


def stored_keys(keys: Sequence[str]) -> StoredKeys:
    """Keep a list of keys compactly.

    Examples:
        >>> list(stored_keys(["a", "é"]))
        ['a', 'é']
    """
    raw = [key.encode() for key in keys]
    ends = np.cumsum(np.fromiter(map(len, raw), np.int64, len(raw)))
    return StoredKeys(ends, b"".join(raw))


type Keys = RunningKeys | StoredKeys
