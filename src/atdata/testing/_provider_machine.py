"""The same done to a provider and to a simple model, and compared."""

from collections.abc import Sequence

import pytest
from hypothesis import strategies as st
from hypothesis.stateful import RuleBasedStateMachine, rule

from atdata._exceptions import ConflictError
from atdata.model.record import (
    KINDS,
    Change,
    Check,
    Delete,
    Put,
    Row,
    SearchText,
)
from atdata.providers import IndexProvider, MemoryProvider
from atdata.testing._provider_processes import ProviderFactory
from atdata.testing._provider_rows import ODD_NAMES

_NAMES = st.sampled_from([*ODD_NAMES[:15], "*", "\uffff", "\U0001f600"])
_TAGS = st.sampled_from(["", "1.0.0", "é"])
_REFS = st.lists(st.sampled_from(["r", "s", "t" * 600, "é"]), max_size=3, unique=True)
_WORDS = st.lists(st.sampled_from(["a", "ab", "abc", "b", "é", "1", "12"]), max_size=3)
_TEXTS = st.none() | st.builds(SearchText, *[_WORDS.map(" ".join)] * 4)
_ROWS = st.builds(
    Row,
    st.sampled_from(KINDS[:2]),
    _NAMES,
    _TAGS,
    st.sampled_from(["{}", "[]"]),
    _REFS.map(tuple),
    _TEXTS,
)
_WANTED = st.sampled_from(["any", "right", "wrong", "none"])


class Machine(RuleBasedStateMachine):
    """Does the same to a provider and to a model, and compares."""

    def __init__(self, factory: ProviderFactory) -> None:
        super().__init__()
        self.provider = factory()
        for kind in KINDS:
            rows = list(self.provider.rows(kind))
            self.provider.commit([Delete(row.key) for row in rows])
        self.model = MemoryProvider()
        self.behind = self.provider.commit([]) - self.model.commit([])

    def teardown(self) -> None:
        self.provider.close()

    def _expected(self, key: tuple[str, str, str], wanted: str) -> tuple[int | None, int | None]:
        if wanted == "any":
            return None, None
        row = self.model.get(*key)
        seq = 0 if row is None or wanted == "none" else row.seq
        seq += 1 if wanted == "wrong" else 0
        return seq, seq + self.behind if seq else 0

    @rule(steps=st.lists(st.tuples(st.sampled_from("ppppdc"), _ROWS, _WANTED), max_size=6))
    def commit(self, steps: list[tuple[str, Row, str]]) -> None:
        """Commit the steps, those of a key but once."""
        ours: list[Change] = []
        models: list[Change] = []
        for action, row, wanted in {step[1].key: step for step in steps}.values():
            for there, expect in zip((models, ours), self._expected(row.key, wanted), strict=True):
                match action:
                    case "p":
                        there.append(Put(row, expect))
                    case "d":
                        there.append(Delete(row.key, expect))
                    case _:
                        there.append(Check(row.key, expect or 0))
        try:
            seq = self.model.commit(models)
        except ConflictError as error:
            key = error.key
        else:
            assert self.provider.commit(ours) == seq + self.behind
            return
        with pytest.raises(ConflictError) as caught:
            self.provider.commit(ours)
        assert caught.value.key == key

    @rule()
    def reopen(self) -> None:
        """Close the provider."""
        self.provider.close()

    @rule(row=_ROWS)
    def get(self, row: Row) -> None:
        """Look a key up."""
        found, wanted = self.provider.get(*row.key), self.model.get(*row.key)
        assert found == (None if wanted is None else wanted.at(wanted.seq + self.behind))

    @rule(
        row=_ROWS,
        by_name=st.booleans(),
        ref=st.none() | st.sampled_from(["r", "é"]),
        after=st.none() | st.tuples(_NAMES, _TAGS),
        limit=st.integers(1, 8),
    )
    def page(
        self,
        row: Row,
        by_name: bool,
        ref: str | None,
        after: tuple[str, str] | None,
        limit: int,
    ) -> None:
        """List some."""
        name = row.name if by_name else None
        found, wanted = (
            one.page(row.kind, name=name, ref=ref, after=after, limit=limit)
            for one in (self.provider, self.model)
        )
        assert found == [row.at(row.seq + self.behind) for row in wanted]

    @rule(text=_WORDS | _NAMES.map(lambda name: [name]), refs=_REFS, limit=st.integers(1, 5))
    def search(self, text: list[str], refs: Sequence[str], limit: int) -> None:
        """Search, page by page."""
        found, wanted = (
            _all_pages(one, " ".join(text), refs, limit) for one in (self.provider, self.model)
        )
        assert found == wanted


def _all_pages(
    provider: IndexProvider, text: str, refs: Sequence[str], limit: int
) -> list[tuple[tuple[str, str, str], float]]:
    found: list[tuple[tuple[str, str, str], float]] = []
    cursor: str | None = None
    while True:
        page = provider.search(text, refs=refs, limit=limit, cursor=cursor)
        found += [(hit.row.key, hit.score) for hit in page.hits]
        cursor = page.cursor
        if cursor is None:
            return found
