"""Finding datasets: by name, version, repository and CID; lists page by page."""

import json
from dataclasses import replace
from itertools import pairwise
from pathlib import Path
from typing import Any

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from tests.index.kinds import Point, numbers, points

import atdata
from atdata import Index, LensNotFoundError, RecordNotFoundError, StorageError, load_dataset
from atdata.index import DatasetEntry
from atdata.index._journal import Maker, Pending
from atdata.index._writing import latest_label
from atdata.lens import mapping
from atdata.model.entry import now
from atdata.model.record import ENTRY, KINDS, LABEL, Put, Row
from atdata.model.rows import entry_row
from atdata.providers import RedisProvider, SqliteProvider
from atdata.stores import LocalDiskStore

DEAD = replace(Maker.this(), pid=2**22 + 1, born=1)


@atdata.packable
class Named:
    """What a point is called."""

    name: str


def test_every_form_of_a_reference(index: Index) -> None:
    """A name alone, with a version, and with the repository in front."""
    one = index.write(points(1), name="a/b", version="1.0.0")
    two = index.write(points(2), name="a/b")

    for ref in ("a/b", "local/a/b", "@local/a/b", "atdata://local/dataset/a/b"):
        assert index.get_dataset(ref) == two
        assert index.get_dataset(f"{ref}@1.0.0") == one
    assert index.get_label("a/b", "1.0.0") == one
    assert index.get_entry(one.cid) == one
    assert index.get_entry_by_name("a/b") == two
    assert [entry.cid for entry in index.list_entries()] == sorted([one.cid, two.cid])


def test_what_is_not_there_is_not_found(index: Index) -> None:
    """Never something else instead; the error says what there is."""
    index.write(points(1), name="mnist", version="1.0.0")

    with pytest.raises(RecordNotFoundError) as name:
        index.get_dataset("mnst")
    with pytest.raises(RecordNotFoundError) as version:
        index.get_dataset("mnist@1.0.1")
    with pytest.raises(KeyError):
        index.get_entry("bafynothing")

    assert name.value.closest == ["mnist"]
    assert version.value.closest == ["mnist@1.0.0"]
    for ref in ("Mnist", "mnist/", "mnis", "*", "mnis?", "m[n]ist"):
        with pytest.raises((KeyError, ValueError)):
            index.get_dataset(ref)


def test_what_is_no_reference_is_refused(local: Index) -> None:
    """Texts that name nothing, and what is no text."""
    refs: list[Any] = [
        "",
        "@",
        "a@",
        "@local",
        "@local/",
        "atdata://local/schema/A@1.0.0",
        7,
        None,
    ]
    for ref in refs:
        with pytest.raises((TypeError, ValueError)):
            local.get_dataset(ref)
    with pytest.raises(ValueError, match="no repository 'alice.example.org' is mounted"):
        local.get_dataset("@alice.example.org/mnist")


def test_pages_of_a_list(index: Index) -> None:
    """In the order of names, none twice, none left out, whatever the size of a page."""
    names = sorted(["b", "a", "B", "a-b", "a/b", "z9", "z10", "_x"])
    for name in reversed(names):
        index.write(points(1), name=name)

    assert [entry.name for entry in index.list_datasets()] == names
    for limit in (1, 3, len(names), 100):
        found: list[str] = []
        page = index.list_datasets(limit=limit)
        while True:
            found += [entry.name for entry in page]
            if page.cursor is None:
                break
            assert len(page) == limit
            page = index.list_datasets(limit=limit, cursor=page.cursor)
        assert found == names


def test_bad_limits_and_cursors_are_refused(local: Index) -> None:
    """And none of them is taken for another."""
    for limit in (0, -1):
        with pytest.raises(ValueError, match="limit"):
            local.list_datasets(limit=limit)
    for cursor in ("x", "", "bnVsbA==", "é", "W10=", "eyJhIjoxfQ=="):
        with pytest.raises(ValueError, match="cursor"):
            local.list_datasets(cursor=cursor)
    with pytest.raises(KeyError, match="Unknown repository 'lab'"):
        local.list_datasets("lab")


def test_writing_while_iterating_ends(index: Index) -> None:
    """Each dataset that was there comes once, though the loop writes it and others anew."""
    for name in "abc":
        index.write(points(1), name=name)

    seen: list[str] = []
    for entry in index.datasets:
        seen.append(entry.name)
        index.append(points(1, 1), name=entry.name)
        index.write(points(1), name=f"{entry.name}z")
        assert len(seen) < 10

    assert seen == ["a", "b", "c"]
    for n, entry in enumerate(index.entries):
        index.insert_dataset(index.open("a"), name=f"again{n}")
        assert n < 10, entry


def test_a_damaged_record_disables_nothing_else(index: Index) -> None:
    """Lists, searches and versions go on without it; asked for by name, it is an error."""
    good = [index.write(points(1), name="good", version=f"1.{i}.0") for i in range(2)]
    index.write(points(1), name="zbad", description="good too")
    (bad,) = index.provider.rows(ENTRY, name="zbad")
    for body in ("{}", "[]", "not json", '{"name":1,"schemaRef":2,"shards":3}', "[" * 90_000):
        broken = Row(bad.kind, bad.name, bad.tag, body, bad.refs)
        odd = Row(LABEL, "odd", "", body, ("latest",))
        strange = Row("schema", "Strange", "1.0.0", body)
        index.provider.commit([Put(broken), Put(odd), Put(strange)])

        assert [entry.name for entry in index.list_datasets()] == ["good"]
        assert [entry.name for entry in index.datasets] == ["good"]
        assert {entry.cid for entry in index.entries} == {entry.cid for entry in good}
        assert {label[0] for label in index.labels} == {"good", "zbad"}
        assert [hit.name for hit in index.search("good").items] == ["good"]
        assert [version.version for version in index.versions("good")] == ["1.0.0", "1.1.0"]
        assert [schema.name for schema in index.schemas] == ["Point"]
        assert index.versions("zbad") == []
        for name in ("zbad", "odd"):
            with pytest.raises(ValueError, match=f"'{name}|{name}@.* is damaged"):
                index.get_dataset(name)

    assert index.delete_dataset("zbad").entries == (("zbad", bad.tag),)
    index.delete_dataset("odd")
    index.write(points(2), name="zbad")
    assert [entry.name for entry in index.list_datasets()] == ["good", "zbad"]


def test_a_dataset_is_opened_with_its_stored_type(local: Index) -> None:
    """Which is built of its record, and with any type that a lens leads to."""
    local.write(points(3), name="p")

    built = local.open("p")
    named = local.open("p", Named)

    assert built.sample_type.__name__ == "Point"
    assert [(sample.name, sample.n) for sample in built] == [("p0", 0), ("p1", 1), ("p2", 2)]
    assert list(local.open("p", Point)) == points(3)
    assert [sample.name for sample in named] == ["p0", "p1", "p2"]


@atdata.packable
class Unrelated:
    """What no lens leads to."""

    weight: float


def test_a_type_that_no_lens_leads_to_is_refused(local: Index) -> None:
    """Rather than read as something else."""
    local.write(points(3), name="p")

    with pytest.raises((LensNotFoundError, TypeError)):
        list(local.open("p", Unrelated))


def test_load_dataset_reads_names(local: Index) -> None:
    """With and without a version, whole or as the split it is."""
    local.write(points(1), name="p", version="1.0.0")
    local.write(points(2), name="p")

    assert numbers(load_dataset("@local/p@1.0.0", index=local)["train"]) == [0]
    assert numbers(load_dataset("@local/p", Point, split="train", index=local)) == [0, 1]


def test_times_go_up(local: Index) -> None:
    """Each entry says when it was catalogued."""
    entries = [local.write(points(1), name="p", version=f"1.{i}.0") for i in range(4)]

    times = [local.get_entry(entry.cid).created_at for entry in entries]
    assert all(a is not None and b is not None and a < b for a, b in pairwise(times))


def test_shards_in_a_store_that_nobody_named(tmp_path: Path, redis_url: str) -> None:
    """Their keys are no paths: the store has to be given, as is said."""
    provider = SqliteProvider(tmp_path / "index.db")
    with Index(provider, data_store=LocalDiskStore(tmp_path / "shards")) as index:
        index.write(points(1), name="p")
        bare = RedisProvider(redis_url)
        bare.commit([Put(row) for kind in KINDS for row in provider.rows(kind)])

    with Index(bare) as index:
        with pytest.raises(StorageError, match="data_store="):
            index.open("p")
        (status,) = index.verify("p").statuses.values()
        assert status.startswith("error:")


JSON = st.recursive(
    st.none() | st.booleans() | st.integers(-2, 2**70) | st.floats() | st.text(max_size=3),
    lambda inner: st.lists(inner, max_size=2) | st.dictionaries(st.text(max_size=3), inner),
    max_leaves=4,
)


@given(kind=st.sampled_from(KINDS), data=st.data())
@settings(max_examples=120)
def test_any_part_of_any_record_may_be_anything(kind: str, data: st.DataObject) -> None:
    """Lists, searches and cleaning go on, whatever one record says in one place."""
    with Index("memory") as index:
        ref = index.publish_schema(Point)
        for name in ("bad", "good"):
            entry = DatasetEntry(
                name, ref, [f"/nowhere/{name}.tar"], {"a": 1}, description="d", tags=("t",),
                parents=("p",), license="l", version="1.0.0", created_at=now(),
            )  # fmt: skip
            index.provider.commit([Put(entry_row(entry)), latest_label(entry, None)])
            index.label(name, entry.cid, version="1.0.0", description="words")
        index.store_lens(mapping(Point, Named, {"name": "name"}), name="bad")
        index.provider.commit([Put(Pending("bad", "f" * 16, "s", True, DEAD, now()).row())])
        row = next(row for row in index.provider.rows(kind) if row.name in {"bad", "Point"})
        said = json.loads(row.body)
        key = data.draw(st.sampled_from(sorted(said)) | st.text(max_size=3))
        said[key] = data.draw(JSON)
        index.provider.commit([Put(replace(row, body=json.dumps(said)))])

        assert "good" in [entry.name for entry in index.list_datasets()]
        assert "good" in [entry.name for entry in index.datasets]
        assert "good" in [entry.name for entry in index.entries]
        assert "good" in [hit.name for hit in index.search("good").items]
        assert "good" in [label[0] for label in index.labels]
        assert {entry.name for entry in index.list_datasets()} <= {"bad", "good"}
        for entry in index.entries:
            assert entry.n_samples is None or entry.n_samples < 1 << 80
        list(index.lenses)
        list(index.schemas)
        index.versions("bad")
        index.gc()
        index.label("new", index.get_dataset("good").cid, version="1.0.0")
        index.rename("good", "other")
        index.delete_dataset("bad", force=True)
