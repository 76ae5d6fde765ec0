"""One tier of a search in a SQLite file, by whichever way is short.

A word that many rows share is found by looking at the newest rows one by one, until there are
enough. A rare one is found in the index of terms. The table of words tells which it is.
"""

import sqlite3
from collections.abc import Sequence
from typing import Any

from atdata.providers._changes import ref_digest
from atdata.providers._terms import Tier

FAR = 2**62
"""A number that no row has."""

_WINDOW = 2000
"""How many rows are looked at one by one before the index is asked."""

_MOST_TERMS = 64
_LAST = "\U0010ffff"


class Search:
    """The numbers of the rows of one tier, the highest first.

    Args:
        connection: The file.
        tier: Which rows.
        refs: Refs that each has.
        before: Only numbers below this.
        limit: How many at most.
    """

    def __init__(
        self,
        connection: sqlite3.Connection,
        tier: Tier,
        refs: Sequence[str],
        *,
        before: int | None,
        limit: int,
    ) -> None:
        self._run = connection.execute
        self._tier = tier
        self._before = FAR if before is None else before
        self._limit = limit
        counted = sorted((self._count(ref), ref) for ref in map(ref_digest, dict.fromkeys(refs)))
        self._refs = [ref for _, ref in counted]
        self._rarest = counted[0][0] if counted else FAR

    def run(self) -> list[int]:
        """The numbers."""
        tier = self._tier
        if self._rarest == 0:
            return []
        if tier.level == 0:
            return self._ask("lines l", ["l.name = ?"], [tier.name])
        if not tier.words:
            return self._everything()
        known = [self._terms(word) for word in tier.words]
        n_least = min(n for _, n in known)
        if n_least == 0:
            return []
        if n_least > _WINDOW or self._rarest <= _WINDOW:
            found = self._newest()
            if len(found) == self._limit or self._rarest <= _WINDOW:
                return found
        return self._ask(
            "terms t CROSS JOIN lines l ON l.doc = t.rowid",
            ["terms MATCH ?", "t.rowid < ?", "l.name <> ?"],
            [self._query([terms for terms, _ in known]), self._before, tier.name],
        )

    def _count(self, ref: bytes) -> int:
        """How many rows have a ref, if they are few."""
        sql = "SELECT count(*) FROM (SELECT 1 FROM refs WHERE ref = ? LIMIT ?)"
        return int(self._run(sql, (ref, _WINDOW + 1)).fetchone()[0])

    def _terms(self, word: str) -> tuple[list[str], int]:
        """Queries of the index for a word, and how many rows it is in, or more."""
        queries: list[str] = []
        total = 0
        sql = "SELECT term, n FROM words WHERE term >= ? AND term < ? LIMIT ?"
        for start in self._tier.starts(word):
            found = self._run(sql, (start, start + _LAST, _MOST_TERMS + 1)).fetchall()
            if len(found) > _MOST_TERMS:
                queries.append(f'"{start}" *')
                total += FAR
            else:
                # Whole terms are read as far as wanted, beginnings from end to end.
                queries += [f'"{term}"' for term, _ in found]
                total += sum(n for _, n in found)
        return queries, total

    def _query(self, known: list[list[str]]) -> str:
        """What `Tier.accepts` says, as a query of the index."""
        query = " AND ".join(f"({' OR '.join(queries)})" for queries in known)
        worse = f'"{self._tier.level}'
        better = [[one for one in queries if not one.startswith(worse)] for queries in known]
        if not all(better):
            return query
        return f"({query}) NOT ({' AND '.join(f'({" OR ".join(some)})' for some in better)})"

    def _everything(self) -> list[int]:
        if not self._refs:
            return self._ask("lines l", [], [])
        source = "refs g CROSS JOIN lines l ON l.doc = g.doc"
        return self._ask(
            source, ["g.ref = ?", "g.doc < ?"], [self._refs[0], self._before], "g.doc"
        )

    def _newest(self) -> list[int]:
        """Those among the newest rows, or the newest with the rarest ref."""
        if self._refs:
            newest = (
                "SELECT l.doc, l.name, l.line FROM refs f CROSS JOIN lines l ON l.doc = f.doc "
                "WHERE f.ref = ? AND f.doc < ? ORDER BY f.doc DESC LIMIT ?"
            )
            given: list[Any] = [self._refs[0], self._before, _WINDOW]
        else:
            newest = "SELECT doc, name, line FROM lines WHERE doc < ? ORDER BY doc DESC LIMIT ?"
            given = [self._before, _WINDOW]
        tests = ["l.name <> ?"]
        given.append(self._tier.name)
        held, starts = self._held(self._tier.level)
        tests.append(held)
        given += starts
        if self._tier.level > 1:
            held, starts = self._held(self._tier.level - 1)
            tests.append(f"NOT ({held})")
            given += starts
        return self._ask(f"({newest}) l", tests, given)

    def _held(self, level: int) -> tuple[str, list[str]]:
        """That a row's line has all words at a level or better."""
        starts = [self._tier.starts(word, level) for word in self._tier.words]
        each = [" OR ".join(["instr(l.line, ?)"] * len(some)) for some in starts]
        held = " AND ".join(f"({one})" for one in each)
        return held, [f" {start}" for some in starts for start in some]

    def _ask(
        self, source: str, tests: list[str], given: list[Any], order: str = "l.doc"
    ) -> list[int]:
        tests = [*tests, "l.doc < ?"]
        given = [*given, self._before]
        for ref in self._refs:
            tests.append("EXISTS (SELECT 1 FROM refs f WHERE f.ref = ? AND f.doc = l.doc)")
            given.append(ref)
        if source.startswith("terms"):
            order = "t.rowid"
        sql = (
            f"SELECT l.doc FROM {source} WHERE {' AND '.join(tests)} "  # noqa: S608
            f"ORDER BY {order} DESC LIMIT ?"
        )
        return [found[0] for found in self._run(sql, [*given, self._limit])]
