"""What a provider does with rows: commits, look-ups, listings."""

import json
from itertools import pairwise
from typing import cast

import pytest

from atdata._exceptions import ConflictError
from atdata.model.record import (
    ENTRY,
    LABEL,
    SCHEMA,
    Change,
    Check,
    Delete,
    Put,
    Row,
    SearchText,
)
from atdata.providers import IndexProvider

# What people have called datasets, or might: order by code point, characters that mean something
# to SQL, Redis, shells and file systems, and what no database likes.
ODD_NAMES = (
    *(
        "",
        " ",
        "a",
        "A",
        "a.b",
        "a/b",
        "a@b",
        "a-b",
        "ab",
        "a\0b",
        "a\1b",
        "a\1",
        "b",
        "é",
        "e\u0301",
    ),
    *("*", "?", "[a]", "%", "_", "'", '"', "\\", "{0}", "{1..3}", "../x", "~", "a\nb", "\x1b[31m"),
    *("\uffff", "\U0001f600", "名前", "-", "+inf", "NULL", "null", "a" * 200, "\U0001f600" * 200),
)


class RowTests:
    """Rows are kept as they are, changed all or none, and listed in one order."""

    def test_a_row_comes_back_as_it_was_put(self, provider: IndexProvider) -> None:
        """Every part of a row is kept, and the commit's number is put to it."""
        row = Row(LABEL, "a", "1.0.0", '{"x":"é\\u0000"}', ("r:1", "r:2"), SearchText("a", "b c"))

        seq = provider.commit([Put(row)])

        assert provider.get(*row.key) == row.at(seq)
        assert provider.get(LABEL, "a") is None
        assert provider.get(SCHEMA, "a", "1.0.0") is None

    def test_a_second_row_of_a_key_replaces_the_first(self, provider: IndexProvider) -> None:
        """Nothing of the first is left, neither refs nor words."""
        provider.commit([Put(Row(LABEL, "a", "", "{}", ("old",), SearchText("old")))])

        seq = provider.commit([Put(Row(LABEL, "a", "", "[]", ("new",), SearchText("new")))])

        assert provider.page(LABEL, ref="old") == []
        assert [row.seq for row in provider.page(LABEL, ref="new")] == [seq]
        assert provider.search("old").hits == []
        assert [hit.row.body for hit in provider.search("new").hits] == ["[]"]

    def test_commits_count_up(self, provider: IndexProvider) -> None:
        """Each commit has a higher number, whatever it does; its rows have the same."""
        numbers = [
            provider.commit([Put(Row(LABEL, "a", "1", "{}")), Put(Row(LABEL, "a", "2", "{}"))]),
            provider.commit([]),
            provider.commit([Delete((LABEL, "a", "1"))]),
            provider.commit([Check((LABEL, "a", "1"), 0)]),
        ]

        assert all(a < b for a, b in pairwise([0, *numbers]))
        assert [row.seq for row in provider.page(LABEL)] == [numbers[0]]

    def test_a_commit_that_does_not_hold_changes_nothing(self, provider: IndexProvider) -> None:
        """Steps before and after the one that fails are not taken; the error says what is."""
        first = provider.commit([Put(Row(LABEL, "a", "", "{}"))])
        failing: list[tuple[Change, int, int]] = [
            (Put(Row(LABEL, "a", "", "[]"), 0), 0, first),
            (Put(Row(LABEL, "a", "", "[]"), first + 1), first + 1, first),
            (Put(Row(LABEL, "b", "", "[]"), first), first, 0),
            (Delete((LABEL, "a", ""), first + 1), first + 1, first),
            (Delete((LABEL, "b", ""), 7), 7, 0),
            (Check((LABEL, "a", ""), 0), 0, first),
            (Check((LABEL, "b", ""), first), first, 0),
        ]

        for step, expected, found in failing:
            others = Put(Row(LABEL, "x", "", "{}")), Put(Row(LABEL, "y", "", "{}"))
            with pytest.raises(ConflictError) as caught:
                provider.commit([others[0], step, others[1]])
            assert (caught.value.key, caught.value.expected, caught.value.found) == (
                step.key,
                expected,
                found,
            )

        assert provider.page(LABEL) == [Row(LABEL, "a", "", "{}", seq=first)]

    def test_steps_that_hold_are_taken(self, provider: IndexProvider) -> None:
        """A row is replaced and removed over the commit that wrote it."""
        first = provider.commit([Put(Row(LABEL, "a", "", "1"), 0), Put(Row(LABEL, "b", "", "1"))])
        second = provider.commit(
            [Put(Row(LABEL, "a", "", "2"), first), Check((LABEL, "b", ""), first)]
        )

        provider.commit([Delete((LABEL, "a", ""), second), Delete((LABEL, "c", ""), 0)])

        assert [row.name for row in provider.page(LABEL)] == ["b"]

    def test_a_commit_that_makes_no_sense_is_refused(self, provider: IndexProvider) -> None:
        """A key twice, text that is none, or what is too long: an error, and nothing is done."""
        row = Row(LABEL, "a", "", "{}")
        refused: list[list[Change]] = [
            [Put(row), Delete(row.key)],
            [Put(row, -1)],
            [Put(Row(LABEL, "\ud800", "", "{}"))],
            [Put(Row(LABEL, "a", "", "\ud800"))],
            [Put(Row(LABEL, "a", "", "\0"))],
            [Put(Row(LABEL, "a" * 10_000, "", "{}"))],
            [Put(Row(LABEL, "a", "b" * 10_000, "{}"))],
            [Put(Row(LABEL, "a", "", "{}", ("r" * 10_000,)))],
            [Put(Row("", "a", "", "{}"))],
        ]
        for steps in refused:
            with pytest.raises(ValueError, match=r"\w"):
                provider.commit(steps)
        with pytest.raises(TypeError):
            provider.commit(cast("list[Change]", [row]))

        assert provider.page(LABEL) == []

    def test_rows_come_in_the_order_of_code_points(self, provider: IndexProvider) -> None:
        """Name by name, then tag by tag, whatever characters they have; in pages of any size."""
        keys = [(name, tag) for name in ODD_NAMES for tag in ("", "1.0.0", "é")]
        provider.commit([Put(Row(ENTRY, name, tag, "{}", ("all",))) for name, tag in keys])
        provider.commit([Put(Row(SCHEMA, "of another kind", "", "{}", ("all",)))])

        for ref in (None, "all"):
            for limit in (7, 1000):
                found: list[tuple[str, str]] = []
                while page := provider.page(
                    ENTRY, ref=ref, after=found[-1] if found else None, limit=limit
                ):
                    assert len(page) == min(limit, len(keys) - len(found))
                    found += [(row.name, row.tag) for row in page]
                assert found == sorted(keys)

    def test_rows_of_many_keys_come_in_their_order(self, provider: IndexProvider) -> None:
        """Each key gives what it gives by itself, also one that is not there or comes twice."""
        provider.commit([Put(Row(LABEL, name, "1", json.dumps(name))) for name in ODD_NAMES])
        keys = [(LABEL, name, tag) for name in reversed(ODD_NAMES) for tag in ("1", "2", "1")]

        found = provider.get_many(keys)

        assert found == [provider.get(*key) for key in keys]
        assert sum(row is not None for row in found) == 2 * len(ODD_NAMES)
        assert provider.get_many([]) == []

    def test_a_name_means_itself(self, provider: IndexProvider) -> None:
        """Each odd name is found under itself and nothing else; none is a pattern."""
        provider.commit([Put(Row(LABEL, name, "", json.dumps(name))) for name in ODD_NAMES])

        for name in ODD_NAMES:
            row = provider.get(LABEL, name)
            assert row is not None
            assert (row.name, json.loads(row.body)) == (name, name)
            assert [row.name for row in provider.page(LABEL, name=name)] == [name]
            assert provider.page(LABEL, name=name, after=(name, "")) == []
            assert provider.page(LABEL, ref=name) == []
            if name.strip():
                assert provider.search(name).hits == []

    def test_rows_of_a_name_or_ref_come_after_any_key(self, provider: IndexProvider) -> None:
        """`after` may lie before, within and behind the rows that are asked for."""
        tags = ("1", "2", "3")
        provider.commit([Put(Row(LABEL, n, t, "{}", ("r",))) for n in "abc" for t in tags])

        def tags_of_b(after: tuple[str, str] | None) -> list[str]:
            return [row.tag for row in provider.page(LABEL, name="b", ref="r", after=after)]

        assert tags_of_b(None) == tags_of_b(("a", "9")) == tags_of_b(("b", "")) == ["1", "2", "3"]
        assert tags_of_b(("b", "1")) == tags_of_b(("b", "10")) == ["2", "3"]
        assert tags_of_b(("b", "3")) == tags_of_b(("c", "1")) == []
        with pytest.raises(ValueError, match="limit"):
            provider.page(LABEL, limit=0)

    def test_changing_rows_while_walking_them_ends(self, provider: IndexProvider) -> None:
        """Rows that were there come once each; rows added on the way do not."""
        provider.commit([Put(Row(LABEL, f"{i:02}", "", "{}", ("r",))) for i in range(40)])

        there = [row.name for row in provider.rows(LABEL)]
        for ref in (None, "r"):
            seen: list[str] = []
            for row in provider.rows(LABEL, ref=ref):
                seen.append(row.name)
                assert len(seen) <= len(there)
                copy = Row(LABEL, f"{row.name}+{ref}", "", "{}", ("r",))
                provider.commit([Put(Row(*row.key, "[]", ("r",))), Put(copy)])
            assert seen == there
            there = [row.name for row in provider.rows(LABEL)]
            assert len(there) == 2 * len(seen)

    def test_large_and_deep_bodies_are_kept(self, provider: IndexProvider) -> None:
        """A body of megabytes and one of a thousand brackets come back, alone and in a listing."""
        bodies = ['"' + "é" * 3_000_000 + '"', "[" * 100_000 + "]" * 100_000, "no JSON"]
        provider.commit([Put(Row(ENTRY, str(i), "", body)) for i, body in enumerate(bodies)])

        assert [row.body for row in provider.rows(ENTRY)] == bodies
        found = provider.get(ENTRY, "0")
        assert found is not None
        assert found.body == bodies[0]

    def test_many_and_long_refs_are_kept(self, provider: IndexProvider) -> None:
        """A row is found by each of its refs, also by long ones."""
        refs = tuple(f"tag:{'é' * 590}{i}" for i in range(60))
        provider.commit([Put(Row(LABEL, "a", "", "{}", refs, SearchText("a")))])

        assert all(len(provider.page(LABEL, ref=ref)) == 1 for ref in refs)
        assert len(provider.search("a", refs=refs).hits) == 1
        found = provider.get(LABEL, "a")
        assert found is not None
        assert found.refs == refs
