"""Which split a file belongs to: its name says so, or else the folder nearest to it.

Only folders below the given path count, because where a dataset lies says nothing about it.
"""

import re
from collections.abc import Iterable, Mapping, Sequence
from typing import Protocol

from atdata._exceptions import printable
from atdata._logging import get_logger
from atdata.load._names import stem

TRAIN = "train"
OTHER = "other"
"""The split of files that say nothing, where others do."""

_WORDS: Mapping[str, Sequence[str]] = {
    "train": ("train", "training"),
    "validation": ("val", "valid", "validation", "dev", "development"),
    "test": ("test", "testing"),
}
_MEANING = {word: split for split, words in _WORDS.items() for word in words}
# A word stands alone: no letter before or behind it. Digits may: `train0`, `2test`.
_WORD = re.compile(rf"(?<![^\W\d_])(?:{'|'.join(_MEANING)})(?![^\W\d_])", re.IGNORECASE)


class Placed(Protocol):
    """A file and where it lies."""

    @property
    def origin(self) -> str:
        """The machine or bucket."""
        ...

    @property
    def where(self) -> tuple[str, ...]:
        """Its folders and its name."""
        ...

    @property
    def n_given(self) -> int:
        """How many of its folders belong to the path that was given."""
        ...


def canonical(word: str) -> str:
    """What a word for a split means; a word for none stays as it is.

    Examples:
        >>> canonical("dev"), canonical("Training"), canonical("eval")
        ('validation', 'train', 'eval')
    """
    return _MEANING.get(word.lower(), word)


def split_of(names: Sequence[str]) -> str | None:
    """The split that a file's name or folders tell.

    Args:
        names: The folders that lead to it, and its name.

    Returns:
        `"train"`, `"validation"`, `"test"`, or None where no word says so.

    Raises:
        ValueError: One name says two things.

    Examples:
        >>> split_of(["data-train.tar"]), split_of(["test", "a.tar"]), split_of(["latest.tar"])
        ('train', 'test', None)
        >>> split_of(["train", "dev-0.tar"])
        'validation'
    """
    told = _told(names)
    if len(told) > 1:
        shown = printable("/".join(names))
        raise ValueError(
            f"{shown!r} could be of the splits {' and '.join(sorted(told))}\n"
            f"  Say which files each has: {_ADVICE}"
        )
    return next(iter(told), None)


def _told(names: Sequence[str]) -> set[str]:
    for name in [stem(names[-1]), *reversed(names[:-1])]:
        told = {canonical(word) for word in _WORD.findall(name)}
        if told:
            return told
    return set()


_ADVICE = 'data_files={"train": "a-*.tar", "test": "b-*.tar"}'


def by_split[F: Placed](found: Sequence[F]) -> dict[str, list[F]]:
    """Files by the splits that their names tell, in the order train, validation, test.

    Where no file says anything, all are `train`. Where some do, the others are neither of those:
    they make a split of their own, `other`.

    Raises:
        ValueError: A name says two things.
    """
    shared = _shared(found)
    told = {split: list[F]() for split in (*_WORDS, OTHER)}
    for one in found:
        n = shared[one.origin]
        told[split_of(one.where[n:]) or OTHER].append(one)
    splits = {split: files for split, files in told.items() if files}
    if set(splits) == {OTHER}:
        return {TRAIN: splits[OTHER]}
    if OTHER in splits:
        get_logger().warning(
            "%d files name no split, such as %s; they are in the split %r. Say what they are: %s",
            len(splits[OTHER]),
            printable("/".join(splits[OTHER][0].where)),
            OTHER,
            _ADVICE,
        )
    return splits


def _shared(found: Iterable[Placed]) -> dict[str, int]:
    """How many folders all given paths of a machine have in common."""
    common: dict[str, tuple[str, ...]] = {}
    for one in found:
        given = one.where[: one.n_given]
        before = common.get(one.origin, given)
        pairs = zip(before, given, strict=False)
        n = next((i for i, (a, b) in enumerate(pairs) if a != b), min(len(before), len(given)))
        common[one.origin] = given[:n]
    return {origin: len(parts) for origin, parts in common.items()}


def one_split[F: Placed](found: Sequence[F]) -> dict[str, list[F]]:
    """All files as the split `train`, unless their names say that they are of several splits.

    Raises:
        ValueError: Some say one split and some another.
    """
    shared = _shared(found)
    said: dict[str, str] = {}
    for one in found:
        told = _told(one.where[shared[one.origin] :])
        if len(told) == 1:
            said.setdefault(told.pop(), one.where[-1])
    if len(said) > 1:
        shown = ", ".join(f"{split} ({printable(name)})" for split, name in said.items())
        raise ValueError(
            f"data_files would put files of several splits into train: {shown}\n"
            f"  Say which files each split has: {_ADVICE}"
        )
    return {TRAIN: list(found)}
