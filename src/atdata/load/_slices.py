"""Parts of splits as one writes them: `train`, `train+test`, `train[:10%]`, `all`."""

import re
from collections.abc import Mapping
from dataclasses import dataclass
from fractions import Fraction
from typing import Any

from atdata._exceptions import printable
from atdata.dataset import Dataset
from atdata.load._splits import canonical

ALL = "all"
"""All splits, one after the other."""

_BOUND = r"\s*(?:(-?[0-9][0-9_]*(?:\.[0-9]+)?)\s*(%)?)?\s*"
_TERM = re.compile(rf"\s*([^\[\]+]+?)\s*(\[{_BOUND}:{_BOUND}\])?\s*")
_FORMS = "train, train+test, train[:10%], train[100:200], train[-5:] or all"
_MOST_DIGITS = 18


@dataclass(frozen=True, slots=True)
class Bound:
    """Where a slice begins or ends.

    Attributes:
        value: A position, or a percentage of the samples; from the end if it is negative.
        is_percent: Which of both.
    """

    value: Fraction
    is_percent: bool = False

    def position(self, n: int) -> int:
        """The position among `n` samples; a percentage is rounded to the nearest.

        Halves are rounded to even, so that all percentages are rounded as Python and HuggingFace
        round them, and slices that meet at a percentage leave nothing out.

        Examples:
            >>> Bound(Fraction(10), True).position(19), Bound(Fraction(-5)).position(19)
            (2, 14)
        """
        at = round(self.value * n / 100) if self.is_percent else int(self.value)
        return min(max(at + n if self.value < 0 else at, 0), n)

    @property
    def needs_count(self) -> bool:
        """Whether the number of samples has to be known."""
        return self.value < 0 or (self.is_percent and self.value != 0)


@dataclass(frozen=True, slots=True)
class Term:
    """A split, or a slice of one.

    Attributes:
        name: The split.
        first: Where the slice begins; None for the beginning.
        stop: Where it ends; None for the end.
    """

    name: str
    first: Bound | None = None
    stop: Bound | None = None


def parse(text: str) -> list[Term]:
    """Read which parts of which splits are wanted.

    Raises:
        ValueError: It cannot be read.

    Examples:
        >>> parse("train+test[10:]")
        [Term(name='train', first=None, stop=None),
         Term(name='test', first=Bound(value=Fraction(10, 1), is_percent=False), stop=None)]
    """
    return [_term(text, term) for term in text.split("+")]


def _term(text: str, term: str) -> Term:
    found = _TERM.fullmatch(term)
    if found is None:
        raise ValueError(f"split {printable(text)!r} cannot be read\n  Write {_FORMS}.")
    first, stop = _bound(text, found[3], found[4]), _bound(text, found[5], found[6])
    units = {one.is_percent for one in (first, stop) if one is not None and one.value}
    if len(units) > 1:
        raise ValueError(
            f"split {printable(text)!r} slices from a position to a percentage\n"
            "  Write positions or percentages: [100:200] or [10%:20%]."
        )
    return Term(found[1], first, stop)


def _bound(text: str, number: str | None, percent: str | None) -> Bound | None:
    if number is None:
        return None
    is_whole = "." not in number and len(number) <= _MOST_DIGITS
    value = Fraction(number.replace("_", "")) if len(number) <= 2 * _MOST_DIGITS else Fraction(101)
    if percent and abs(value) > 100:
        raise ValueError(f"split {printable(text)!r}: a percentage lies between -100 and 100")
    if not percent and not is_whole:
        raise ValueError(f"split {printable(text)!r}: a position is a whole number")
    return Bound(value, bool(percent))


def pick(splits: Mapping[str, Dataset[Any]], text: str) -> Dataset[Any]:
    """The samples that are wanted of some splits. They are counted only if that has to be.

    Raises:
        ValueError: A split is not there, or the text cannot be read.

    Examples:
        >>> import atdata
        >>> ds = atdata.write_samples([atdata.DictSample(n=i) for i in range(9)], tmp / "a.tar")
        >>> [s.n for s in pick({"train": ds}, "train[:2] + train[-10%:]")]
        [0, 1, 8]
    """
    if text in splits:
        return splits[text]
    found: list[Dataset[Any]] = []
    for term in parse(text):
        if term.name in splits:
            whole = splits[term.name]
        elif term.name == ALL and splits:
            whole = _joined(list(splits.values()))
        else:
            raise _unknown(term.name, splits)
        found.append(_cut(whole, term))
    return _joined(found)


def _cut(whole: Dataset[Any], term: Term) -> Dataset[Any]:
    first, stop = term.first or Bound(Fraction(0)), term.stop
    if first.needs_count or (stop is not None and stop.needs_count):
        n = len(whole)
        begin = first.position(n)
        end = n if stop is None else stop.position(n)
        return whole.skip(begin).take(max(0, end - begin))
    if stop is None:
        return whole.skip(int(first.value)) if first.value else whole
    part = whole.skip(int(first.value)) if first.value else whole
    return part.take(max(0, int(stop.value - first.value)))


def _joined(found: list[Dataset[Any]]) -> Dataset[Any]:
    return found[0].concat(*found[1:]) if len(found) > 1 else found[0]


def _unknown(name: str, splits: Mapping[str, Dataset[Any]]) -> ValueError:
    there = ", ".join(printable(repr(split)) for split in splits)
    meant = canonical(name)
    hint = f"\n  Did you mean {meant!r}?" if meant != name and meant in splits else ""
    return ValueError(f"Split {printable(repr(name))} not found; available: {there}{hint}")
