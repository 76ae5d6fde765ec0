"""A provider in the memory of this process."""

import threading
from bisect import bisect_left, bisect_right, insort
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

from atdata.model.record import Change, Check, Delete, Put, Row
from atdata.providers._changes import Key, check_changes, check_expected, check_limit
from atdata.providers._fork import ForkAware
from atdata.providers._terms import Match, Tier, term_line
from atdata.providers.base import IndexProvider


@dataclass(frozen=True, slots=True)
class _Kept:
    doc: int
    row: Row
    line: str | None


class MemoryProvider(ForkAware, IndexProvider):
    """Keeps records in memory, for tests and for what need not stay.

    After a fork, and in a pickled copy, what was there is there; from then on each is its own.

    Examples:
        >>> with MemoryProvider() as provider:
        ...     provider.store_label("mnist", "bafy")
        ...     provider.get_label("mnist")
        ('bafy', None)
    """

    def __init__(self) -> None:
        self._lock = threading.Lock()
        self._seq = 0
        self._doc = 0
        self._kept: dict[Key, _Kept] = {}
        self._order: list[Key] = []
        self._by_doc: dict[int, Key] = {}
        self.follow_forks()

    def __repr__(self) -> str:
        return f"<MemoryProvider of {len(self._kept)} rows>"

    def __getstate__(self) -> dict[str, Any]:
        with self._lock:
            state = vars(self).copy()
            state.update(_kept=self._kept.copy(), _order=self._order.copy())
            state["_by_doc"] = self._by_doc.copy()
        del state["_lock"]
        return state

    def __setstate__(self, state: dict[str, Any]) -> None:
        vars(self).update(state)
        self._lock = threading.Lock()
        self.follow_forks()

    def before_fork(self) -> None:
        """Let no thread be in the middle of a change."""
        self._lock.acquire()

    def after_fork(self) -> None:
        """Go on."""
        self._lock.release()

    def unready_fork(self) -> None:
        """Do not wait for a thread that the child does not have."""
        self._lock = threading.Lock()

    def commit(self, changes: Sequence[Change]) -> int:
        """Take all steps or none; see `IndexProvider.commit`."""
        steps = check_changes(changes)
        with self._lock:
            kept = ((step.key, self._kept.get(step.key)) for step in steps)
            check_expected(steps, {key: was.row.seq for key, was in kept if was is not None})
            self._seq += 1
            for step in steps:
                match step:
                    case Put(row):
                        self._put(row.at(self._seq))
                    case Delete(key):
                        self._delete(key)
                    case Check():
                        pass
            return self._seq

    def _put(self, row: Row) -> None:
        line = None if row.text is None else term_line(row.text)
        was = self._kept.get(row.key)
        if was is None:
            self._doc += 1
            insort(self._order, row.key)
            self._by_doc[self._doc] = row.key
        self._kept[row.key] = _Kept(self._doc if was is None else was.doc, row, line)

    def _delete(self, key: Key) -> None:
        was = self._kept.pop(key, None)
        if was is not None:
            del self._order[bisect_left(self._order, key)], self._by_doc[was.doc]

    def get(self, kind: str, name: str, tag: str = "") -> Row | None:
        """The row under that key, or None."""
        with self._lock:
            kept = self._kept.get((kind, name, tag))
            return None if kept is None else kept.row

    def page(
        self,
        kind: str,
        *,
        name: str | None = None,
        ref: str | None = None,
        after: tuple[str, str] | None = None,
        limit: int = 100,
        upto: int | None = None,
    ) -> list[Row]:
        """Rows in the order of name and tag; see `IndexProvider.page`."""
        check_limit(limit)
        found: list[Row] = []
        with self._lock:
            first = (kind, name or "", "")
            at = bisect_left(self._order, first)
            if after is not None:
                at = max(at, bisect_right(self._order, (kind, *after)))
            while at < len(self._order) and len(found) < limit:
                key = self._order[at]
                if key[0] != kind or (name is not None and key[1] != name):
                    break
                kept = self._kept[key]
                if (ref is None or ref in kept.row.refs) and (upto is None or kept.doc <= upto):
                    found.append(kept.row)
                at += 1
        return found

    def newest(self) -> int:
        """The highest number of a row so far."""
        with self._lock:
            return self._doc

    def matches(
        self, tier: Tier, *, refs: Sequence[str] = (), before: int | None = None, limit: int = 50
    ) -> list[Match]:
        """Rows of one tier of a search; see `IndexProvider.matches`."""
        found: list[Match] = []
        with self._lock:
            for doc, key in reversed(self._by_doc.items()):
                kept = self._kept[key]
                if len(found) == check_limit(limit):
                    break
                if kept.line is None or (before is not None and doc >= before):
                    continue
                if tier.accepts(kept.row.name, kept.line) and set(refs) <= set(kept.row.refs):
                    found.append(Match(doc, kept.row))
        return found

    def close(self) -> None:
        """Nothing is to be let go; what is kept stays until the provider goes."""
