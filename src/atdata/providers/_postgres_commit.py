"""One commit in PostgreSQL, as one transaction.

The first statement locks the counters. So commits come one after another, their numbers in their
order, and what a commit reads stays as it is until its end.
"""

from collections import Counter
from collections.abc import Sequence
from typing import Any

from atdata.model.record import Change, Delete, Put, Row
from atdata.providers._changes import (
    Key,
    check_expected,
    read_row,
    ref_digests,
    with_nul,
    without_nul,
    write_refs,
    write_text,
)
from atdata.providers._postgres_session import limit_transaction
from atdata.providers._terms import terms

_SQL = {
    "begin": "UPDATE {s}.counters SET seq = seq + 1 RETURNING seq, doc, txid_current()",
    "count": "UPDATE {s}.counters SET doc = %s",
    "find": """SELECT r.kind, r.name, r.tag, r.seq, r.doc, r.refs
        FROM unnest(%s::text[], %s::text[], %s::text[]) AS k (kind, name, tag)
        JOIN {s}.rows r ON r.kind = k.kind AND r.name = k.name AND r.tag = k.tag""",
    "put": """INSERT INTO {s}.rows VALUES (%s, %s, %s, %s, %s, %s, %s, %s)
        ON CONFLICT (doc) DO UPDATE SET seq = excluded.seq, refs = excluded.refs,
        text = excluded.text, body = excluded.body""",
    "delete": "DELETE FROM {s}.rows WHERE doc = ANY (%s)",
    "remove_refs": """DELETE FROM {s}.refs f
        USING unnest(%s::bytea[], %s::text[], %s::text[], %s::text[]) AS k (ref, kind, name, tag)
        WHERE f.ref = k.ref AND f.kind = k.kind AND f.name = k.name AND f.tag = k.tag""",
    "add_refs": """INSERT INTO {s}.refs
        SELECT * FROM unnest(%s::bytea[], %s::text[], %s::text[], %s::text[], %s::bigint[])""",
    "remove_lines": """DELETE FROM {s}.lines WHERE doc = ANY (%s)
        RETURNING tsvector_to_array(terms)""",
    "add_line": "INSERT INTO {s}.lines VALUES (%s, %s, array_to_tsvector(%s::text[]))",
    "count_words": """INSERT INTO {s}.words SELECT * FROM unnest(%s::text[], %s::bigint[])
        ON CONFLICT (term) DO UPDATE SET n = words.n + excluded.n""",
    "remove_words": "DELETE FROM {s}.words WHERE term = ANY (%s) AND n < 1",
}


class Commit:
    """A commit under way, and how far it has come.

    Args:
        schema: The schema's name, quoted.
        steps: The steps, checked.

    Attributes:
        seq: The commit's number.
        transaction: The number of the transaction, by which the server knows its outcome.
        is_ending: Whether the server was asked to make it last.
    """

    def __init__(self, schema: str, steps: Sequence[Change]) -> None:
        self._schema = schema
        self._steps = steps
        self.seq = 0
        self.transaction = 0
        self.is_ending = False

    def run(self, connection: Any) -> int:
        """Take the steps in a transaction of their own, and give the commit's number."""
        with connection.transaction():
            limit_transaction(connection)
            self._take(connection.cursor())
            self.is_ending = True
        return self.seq

    def _sql(self, name: str) -> str:
        return _SQL[name].format(s=self._schema)

    def _take(self, cursor: Any) -> None:
        cursor.execute(self._sql("begin"))
        self.seq, doc, self.transaction = cursor.fetchone()
        there = self._find(cursor)
        check_expected(self._steps, {key: found[0] for key, found in there.items()})
        puts: list[tuple[int, Row]] = []
        for step in self._steps:
            if isinstance(step, Put):
                was = there.get(step.key)
                if was is None:
                    doc += 1
                puts.append((doc if was is None else was[1], step.row))
        cursor.execute(self._sql("count"), (doc,))
        gone = [step.key for step in self._steps if isinstance(step, Put | Delete)]
        self._forget(cursor, {key: there[key] for key in gone if key in there})
        deleted = [step.key for step in self._steps if isinstance(step, Delete)]
        if docs := [there[key][1] for key in deleted if key in there]:
            cursor.execute(self._sql("delete"), (docs,))
        if puts:
            self._put(cursor, puts)

    def _find(self, cursor: Any) -> dict[Key, tuple[int, int, str]]:
        if not self._steps:
            return {}
        parts = [list(part) for part in zip(*map(_safe, self._steps), strict=True)]
        cursor.execute(self._sql("find"), parts)
        return {
            (kind, with_nul(name), with_nul(tag)): (seq, doc, refs)
            for kind, name, tag, seq, doc, refs in cursor.fetchall()
        }

    def _forget(self, cursor: Any, there: dict[Key, tuple[int, int, str]]) -> None:
        """Remove what rows that are there are found by."""
        if not there:
            return
        refs = [
            (digest, *_safe_key(key))
            for key, (_, _, refs) in there.items()
            for digest in ref_digests(read_row(key, 0, "", refs, None))
        ]
        if refs:
            cursor.execute(
                self._sql("remove_refs"), [list(part) for part in zip(*refs, strict=True)]
            )
        cursor.execute(self._sql("remove_lines"), ([doc for _, doc, _ in there.values()],))
        counted = Counter(term for (found,) in cursor.fetchall() for term in found)
        if counted:
            self._count(cursor, {term: -n for term, n in counted.items()})
            cursor.execute(self._sql("remove_words"), (list(counted),))

    def _put(self, cursor: Any, puts: list[tuple[int, Row]]) -> None:
        cursor.executemany(
            self._sql("put"),
            [
                (doc, *_safe_key(row.key), self.seq, write_refs(row), write_text(row), row.body)
                for doc, row in puts
            ],
        )
        refs = [(ref, *_safe_key(row.key), doc) for doc, row in puts for ref in ref_digests(row)]
        if refs:
            cursor.execute(self._sql("add_refs"), [list(part) for part in zip(*refs, strict=True)])
        lines = [
            (doc, without_nul(row.name), list(terms(row.text)))
            for doc, row in puts
            if row.text is not None
        ]
        if lines:
            cursor.executemany(self._sql("add_line"), lines)
            self._count(cursor, Counter(term for _, _, found in lines for term in found))

    def _count(self, cursor: Any, counted: dict[str, int]) -> None:
        if counted:
            cursor.execute(self._sql("count_words"), (list(counted), list(counted.values())))


def _safe(step: Change) -> Key:
    return _safe_key(step.key)


def _safe_key(key: Key) -> Key:
    kind, name, tag = key
    return kind, without_nul(name), without_nul(tag)
