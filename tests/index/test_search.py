"""Searching: what fits, the best first, page by page, and what a plain filter says."""

import base64
from collections.abc import Iterator
from pathlib import Path

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from tests.index.kinds import Point, Scan, points

from atdata import Index, LocalSearchBackend, Repository, SearchAggregator, SearchResults
from atdata.index import DatasetEntry
from atdata.index._writing import latest_label
from atdata.model.record import Put, words
from atdata.model.rows import entry_row
from atdata.providers import SqliteProvider
from atdata.stores import LocalDiskStore


def names(found: SearchResults) -> list[str]:
    """What was found, in order."""
    return [hit.name for hit in found.items]


def test_names_come_before_tags_before_descriptions(index: Index) -> None:
    """And the very name first of all; words may be begun, in any case."""
    index.write(points(1), name="a", description="Digits, like MNIST.")
    index.write(points(1), name="b", tags=["mnist"])
    index.write(points(1), name="mnist-fashion")
    index.write(points(1), name="mnist")
    index.write(points(1), name="c", description="nothing of it")

    for text in ("mnist", "MNIST"):
        found = index.search(text)
        if text == "mnist":
            assert names(found) == ["mnist", "mnist-fashion", "b", "a"]
        assert set(names(found)) == {"mnist", "mnist-fashion", "b", "a"}
        scores = [hit.score or 0 for hit in found.items]
        assert scores == sorted(scores, reverse=True)
    assert names(index.search("mni dig")) == ["a"]
    assert names(index.search("point")) == names(index.search(""))
    assert names(index.search("nowhere")) == []
    assert len(names(index.search(None))) == 5
    assert names(index.search("*")) == []


def test_case_is_kept_and_names_are_not_mixed_up(local: Index) -> None:
    """`MNIST` and `mnist` are two datasets, and both are found."""
    for name in ("MNIST", "mnist", "Mnist"):
        local.write(points(1), name=name)

    assert set(names(local.search("mnist"))) == {"MNIST", "mnist", "Mnist"}
    assert names(local.search("Mnist"))[0] == "Mnist"


def test_the_newest_is_what_is_found(index: Index) -> None:
    """Once for each name, with what was said last, whatever was said before."""
    index.write(points(1), name="ds", version="1.0.0", description="about cats", tags=["old"])
    new = index.write(points(2), name="ds", version="2.0.0", description="dogs", tags=["new"])

    assert [hit.record for hit in index.search("dogs").items] == [new]
    assert [hit.uri for hit in index.search("ds", tags=["new"]).items] == [new.cid]
    assert index.search("cats").items == index.search(tags=["old"]).items == []


def test_tags_all_and_exactly(index: Index) -> None:
    """A tag is not a word: it is meant as it stands."""
    index.write(points(1), name="a", tags=["vision", "Small Data"])
    index.write(points(1), name="b", tags=["vision"])

    assert set(names(index.search(tags=["vision"]))) == {"a", "b"}
    assert names(index.search(tags=["vision", "Small Data"])) == ["a"]
    assert names(index.search(tags="vision", text="b")) == ["b"]
    for tag in ("Vision", "vis", "small data", "*", ""):
        assert names(index.search(tags=[tag])) == []


def test_the_schema(local: Index) -> None:
    """Its reference finds the datasets that have it, its fields are words."""
    local.write(points(1), name="p")
    local.write([Scan("x", np.zeros((2, 2), np.uint8))], name="s")

    assert names(local.search(schema_ref=local.publish_schema(Scan))) == ["s"]
    assert names(local.search(schema_ref=local.publish_schema(Point))) == ["p"]
    assert names(local.search("image")) == ["s"]
    assert names(local.search(schema_ref="atdata://local/schema/Point@9.9.9")) == []
    assert names(local.search(schema_ref="Point")) == []


def test_pages_are_in_order_and_apart(index: Index) -> None:
    """The limit bounds what comes, not what is looked at."""
    for i in reversed(range(12)):
        index.write(points(1), name=f"z{i:03}", tags=["z"])

    found: list[str] = []
    page = index.search("z", limit=5)
    while True:
        found += names(page)
        if page.cursor is None:
            break
        page = index.search("z", limit=5, cursor=page.cursor)

    assert found == [f"z{i:03}" for i in range(12)]
    assert names(index.search("z", limit=12)) == found
    for limit in (0, -1):
        with pytest.raises(ValueError, match="limit"):
            index.search("z", limit=limit)
    for cursor in ("x", "", "W10=", "W1sibG9jYWwiXSxbIngiXV0="):
        with pytest.raises(ValueError):
            index.search("z", cursor=cursor)


@pytest.fixture
def two(tmp_path: Path) -> Iterator[Index]:
    """Two repositories that have datasets of the same names."""
    lab = Repository(SqliteProvider(tmp_path / "lab.db"), LocalDiskStore(tmp_path / "lab"))
    with Index(path=tmp_path / "index.db", repos={"lab": lab}) as index:
        for i in range(7):
            index.write(points(1), name=f"x{i}")
            index.write(points(2), name=f"lab/x{i}")
        yield index


def test_several_repositories_page_by_page(two: Index) -> None:
    """None twice and none left out; one repository alone where one is named."""
    found: list[tuple[str | None, str]] = []
    page = two.search("x", limit=4)
    while True:
        found += [(hit.repo, hit.name) for hit in page.items]
        if page.cursor is None:
            break
        page = two.search("x", limit=4, cursor=page.cursor)

    assert len(found) == 14
    assert set(found) == {(repo, f"x{i}") for repo in ("local", "lab") for i in range(7)}
    assert {hit.repo for hit in two.search("x", repo="lab").items} == {"lab"}
    with pytest.raises(KeyError, match="Unknown repository"):
        two.search("x", repo="nowhere")


class Broken:
    """A place that does not answer."""

    name = "broken"

    def search(self, *_: object, **__: object) -> SearchResults:
        raise ConnectionError("no answer")

    def health_check(self) -> bool:
        return True


def test_several_places_as_one(local: Index, two: Index, tmp_path: Path) -> None:
    """What one lacks the others give; who fails is named, and the case of names is kept."""
    local.write(points(1), name="X3")
    aggregator = SearchAggregator([LocalSearchBackend(two), Broken()])  # type: ignore[list-item]

    found = aggregator.search("x3")

    assert sorted(names(found)) == ["X3", "x3", "x3"]
    assert aggregator.failed == ["broken"]
    assert len(aggregator.search("x", limit=3).items) == 3


WORDS = st.sampled_from(["cat", "cats", "dog", "Do", "big-cat", "x1", "x2", "ümlaut"])
TEXTS = st.lists(WORDS, max_size=3).map(" ".join)
NAMES = st.lists(
    st.sampled_from(["cat", "dog", "x1", "x2", "cats", "DOG"]), min_size=1, max_size=2
)


@given(
    said=st.dictionaries(
        NAMES.map("-".join),
        st.tuples(TEXTS, st.lists(st.sampled_from(["a", "b", "cat"]), max_size=2)),
        max_size=8,
    ),
    text=TEXTS,
    tags=st.lists(st.sampled_from(["a", "b"]), max_size=2),
    limit=st.integers(1, 4),
)
@settings(max_examples=25)
def test_a_search_finds_what_a_filter_finds(
    said: dict[str, tuple[str, list[str]]], text: str, tags: list[str], limit: int
) -> None:
    """Every dataset whose words begin with every word that is looked for, and no other."""
    with Index("memory") as index:
        ref = index.publish_schema(Point)
        for i, (name, (description, own)) in enumerate(said.items()):
            entry = DatasetEntry(
                name, ref, [f"/nowhere/{i}.tar"], description=description, tags=tuple(own)
            )
            schema = index.get_schema_record(ref)
            index.provider.commit([Put(entry_row(entry)), latest_label(entry, schema)])

        found: list[str] = []
        page = index.search(text, tags, limit=limit)
        while True:
            found += names(page)
            if page.cursor is None:
                break
            page = index.search(text, tags, limit=limit, cursor=page.cursor)

    wanted = {
        name
        for name, (description, own) in said.items()
        if set(tags) <= set(own)
        and all(
            any(
                have.startswith(word)
                for have in words(f"{name} {' '.join(own)} {description} Point name n")
            )
            for word in words(text)
        )
    }
    assert sorted(found) == sorted(wanted)


@pytest.mark.parametrize("facts", ["[" * 100_000, "[]", '["local", 7]', "7", '[["local"], 7]', ""])
def test_a_cursor_of_another_kind_is_refused(facts: str, tmp_path: Path) -> None:
    """Whatever it holds, it is no page of ours, and says so."""
    cursor = base64.urlsafe_b64encode(facts.encode()).decode()
    with Index(path=tmp_path / "index.db") as index:
        with pytest.raises(ValueError, match="cursor"):
            index.search("a", cursor=cursor)
        with pytest.raises(ValueError, match="cursor"):
            index.list_datasets(cursor=cursor)
