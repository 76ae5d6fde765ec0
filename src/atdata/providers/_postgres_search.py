"""One tier of a search in PostgreSQL, by whichever way is short; as in a SQLite file."""

from collections.abc import Callable, Sequence
from typing import Any

from atdata.providers._changes import ref_digest, without_nul
from atdata.providers._terms import Tier

FAR = 2**62
"""A number that no row has."""

_WINDOW = 2000
_MOST_TERMS = 64
_LAST = "\U0010ffff"


class Search:
    """The numbers of the rows of one tier, the highest first.

    Args:
        run: Executes a statement.
        schema: The schema's name, quoted.
        tier: Which rows.
        refs: Refs that each has.
        before: Only numbers below this.
        limit: How many at most.
    """

    def __init__(
        self,
        run: Callable[..., Any],
        schema: str,
        tier: Tier,
        refs: Sequence[str],
        *,
        before: int | None,
        limit: int,
    ) -> None:
        self._run = run
        self._schema = schema
        self._tier = tier
        self._name = without_nul(tier.name or "")
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
            return self._ask("{s}.lines l", ["l.name = %s"], [self._name])
        if not tier.words:
            if not self._refs:
                return self._ask("{s}.lines l", [], [])
            newest, bounds = self._newest(FAR)
            return self._ask(newest, [], bounds)
        query, n_least = self._query()
        if n_least == 0:
            return []
        tests, given = ["l.name <> %s", "l.terms @@ %s::tsquery"], [self._name, query]
        if n_least > _WINDOW or self._rarest <= _WINDOW:
            newest, bounds = self._newest(_WINDOW)
            found = self._ask(newest, tests, [*bounds, *given])
            if len(found) == self._limit or self._rarest <= _WINDOW:
                return found
        # Without a limit inside, the index of terms is what there is to use.
        rare = (
            "(SELECT doc, name, terms FROM {s}.lines WHERE terms @@ %s::tsquery AND doc < %s "
            "OFFSET 0) l"
        )
        return self._ask(rare, tests[:1], [query, self._before, self._name])

    def _sql(self, sql: str) -> str:
        return sql.replace("{s}", self._schema)

    def _count(self, ref: bytes) -> int:
        """How many rows have a ref, if they are few."""
        sql = "SELECT count(*) FROM (SELECT 1 FROM {s}.refs WHERE ref = %s LIMIT %s) f"
        return int(self._run(self._sql(sql), (ref, _WINDOW + 1)).fetchone()[0])

    def _query(self) -> tuple[str, int]:
        """What `Tier.accepts` says, as a query of terms, and in how many rows it can be."""
        found = [self._terms(word) for word in self._tier.words]
        query = " & ".join(f"({' | '.join(queries)})" for queries, _ in found)
        worse = f"'{self._tier.level}"
        better = [[one for one in queries if not one.startswith(worse)] for queries, _ in found]
        if all(better):
            query = f"({query}) & !({' & '.join(f'({" | ".join(some)})' for some in better)})"
        return query, min(n for _, n in found)

    def _terms(self, word: str) -> tuple[list[str], int]:
        """Parts of the query for a word, and how many rows it is in, or more."""
        queries: list[str] = []
        total = 0
        sql = self._sql("SELECT term, n FROM {s}.words WHERE term >= %s AND term < %s LIMIT %s")
        for start in self._tier.starts(word):
            found = self._run(sql, (start, start + _LAST, _MOST_TERMS + 1)).fetchall()
            if len(found) > _MOST_TERMS:
                queries.append(f"'{start}':*")
                total += FAR
            else:
                queries += [f"'{term}'" for term, _ in found]
                total += sum(n for _, n in found)
        return queries, total

    def _newest(self, size: int) -> tuple[str, list[Any]]:
        """The newest rows, or the newest with the rarest ref, as a source."""
        if self._refs:
            newest = (
                "(SELECT doc FROM {s}.refs WHERE ref = %s AND doc < %s "
                "ORDER BY doc DESC LIMIT %s) k CROSS JOIN LATERAL "
                "(SELECT doc, name, terms FROM {s}.lines WHERE doc = k.doc OFFSET 0) l"
            )
            return newest, [self._refs[0], self._before, size]
        newest = (
            "(SELECT doc, name, terms FROM {s}.lines WHERE doc < %s ORDER BY doc DESC LIMIT %s) l"
        )
        return newest, [self._before, size]

    def _ask(self, source: str, tests: list[str], given: list[Any]) -> list[int]:
        by_ref = source.startswith("(SELECT doc FROM {s}.refs")
        tests = [*tests, "l.doc < %s"]
        given = [*given, self._before]
        if refs := self._refs[1 if by_ref else 0 :]:
            # One subquery: with one for each ref the planner takes longer than the search.
            has = "SELECT count(*) FROM {s}.refs f WHERE f.ref = ANY (%s) AND f.doc = l.doc"
            tests.append(f"({has}) = %s")
            given += [refs, len(refs)]
        sql = (
            f"SELECT l.doc FROM {source} WHERE {' AND '.join(tests)} "  # noqa: S608
            f"ORDER BY {'k' if by_ref else 'l'}.doc DESC LIMIT %s"
        )
        return [found[0] for found in self._run(self._sql(sql), [*given, self._limit])]
