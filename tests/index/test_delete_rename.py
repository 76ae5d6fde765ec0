"""Removing datasets and versions, and giving them other names."""

from pathlib import Path

import pytest
from tests.index.kinds import FILES, contents, files, is_empty, numbers, pending, points, shards

import atdata
from atdata import Index, RecordExistsError, RecordNotFoundError


def test_a_dataset_goes_with_its_versions_and_shards(index: Index) -> None:
    """What is said to be removed is, and another dataset stays."""
    index.write(points(4), name="ds", version="1.0.0", maxcount=2)
    index.append(points(2, 4), name="ds", version="1.1.0")
    index.write(points(1), name="other")

    removed = index.delete_dataset("ds")

    assert len(removed.entries) == 2
    assert removed.labels == (("ds", None), ("ds", "1.0.0"), ("ds", "1.1.0"))
    assert len(removed.keys) == 3
    assert len(shards(index)) == FILES
    assert [entry.name for entry in index.list_datasets()] == ["other"]
    assert index.search("ds").items == []
    assert pending(index) == []
    with pytest.raises(RecordNotFoundError):
        index.get_dataset("ds@1.0.0")


def test_one_version_goes(index: Index) -> None:
    """With the shards that no other version needs; the name stands for the newest that is left."""
    index.write(points(2), name="ds", version="1.0.0")
    index.append(points(2, 2), name="ds", version="1.1.0")
    index.append(points(2, 4), name="ds", version="1.2.0")

    assert len(index.delete_dataset("ds@1.2.0").keys) == 1
    assert numbers(index.open("ds")) == [0, 1, 2, 3]
    assert index.delete_dataset("ds@1.0.0").keys == ()

    assert [version.version for version in index.versions("ds")] == ["1.1.0"]
    assert numbers(index.open("ds")) == numbers(index.open("ds@1.1.0")) == [0, 1, 2, 3]
    assert len(index.delete_dataset("ds@1.1.0").keys) == 2
    assert is_empty(index)


def test_shards_may_stay(local: Index) -> None:
    """If that is asked for."""
    local.write(points(4), name="ds")

    assert local.delete_dataset("ds", keep_shards=True).keys == ()
    assert len(shards(local)) == FILES


def test_shards_that_others_wrote_are_never_removed(local: Index, tmp_path: Path) -> None:
    """Neither elsewhere nor within the store's own folder."""
    atdata.write_samples(points(1), tmp_path / "mine/p.tar")
    atdata.write_samples(points(1), tmp_path / "index-data/ds/theirs.tar")
    local.insert_dataset(atdata.Dataset(tmp_path / "mine/p.tar"), name="ds")
    local.insert_dataset(atdata.Dataset(tmp_path / "index-data/ds/theirs.tar"), name="ds")

    local.delete_dataset("ds")

    assert files(tmp_path / "mine") == ["p.tar"]
    assert shards(local) == ["ds/theirs.tar"]


def test_another_name_keeps_a_dataset(local: Index) -> None:
    """Unless force is used: then the other name goes as well."""
    entry = local.write(points(2), name="ds")
    local.label("alias", entry.cid, version="1.0.0")
    before = contents(local.provider)

    with pytest.raises(RecordExistsError, match="alias"):
        local.delete_dataset("ds")
    assert contents(local.provider) == before
    assert numbers(local.open("alias")) == [0, 1]

    local.delete_dataset("ds", force=True)
    assert is_empty(local)


def test_an_alias_goes_alone(local: Index) -> None:
    """What it stood for stays."""
    entry = local.write(points(2), name="ds")
    local.label("alias", entry.cid)

    local.delete_dataset("alias")

    assert numbers(local.open("ds")) == [0, 1]
    assert [found.name for found in local.datasets] == ["ds"]


def test_shards_that_an_alias_was_added_to_stay(local: Index) -> None:
    """Two datasets may share shards, and the last of them removes these."""
    entry = local.write(points(2), name="ds")
    local.label("fork", entry.cid)
    local.append(points(2, 2), name="fork")

    local.delete_dataset("ds")

    assert numbers(local.open("fork")) == [0, 1, 2, 3]
    local.delete_dataset("fork")
    assert is_empty(local)


def test_what_is_not_there_cannot_go(local: Index) -> None:
    """And nothing else goes instead."""
    local.write(points(1), name="a", version="1.0.0")
    before = contents(local.provider)

    for ref in ("b", "a@2.0.0", "A"):
        with pytest.raises(RecordNotFoundError):
            local.delete_dataset(ref)
    with pytest.raises(ValueError, match="name"):
        local.delete_dataset("*")

    assert contents(local.provider) == before


def test_a_renamed_dataset_has_everything_it_had(index: Index) -> None:
    """Versions, CIDs, samples and their order in time; its shards stay where they are."""
    index.write(points(2), name="old", version="1.0.0", tags=["t"], description="Some words.")
    index.append(points(2, 2), name="old")
    last = index.append(points(2, 4), name="old", version="1.1.0")
    index.label("alias", last.cid)
    before = [(one.version, one.cid) for one in index.versions("old")]
    held = shards(index)

    index.rename("old", "new/er")

    assert [(one.version, one.cid) for one in index.versions("new/er")] == before
    assert numbers(index.open("new/er@1.0.0")) == [0, 1]
    assert numbers(index.open("alias")) == numbers(index.open("new/er")) == list(range(6))
    assert shards(index) == held
    assert [entry.name for entry in index.datasets] == ["new/er", "new/er"]
    assert {hit.name for hit in index.search("some words", tags=["t"]).items} == {
        "new/er", "alias",
    }  # fmt: skip
    with pytest.raises(RecordNotFoundError):
        index.get_dataset("old")

    index.delete_dataset("alias")
    index.delete_dataset("new/er@1.1.0")
    assert numbers(index.open("new/er")) == [0, 1, 2, 3]
    index.write(points(1), name="old")
    index.delete_dataset("new/er")
    assert numbers(index.open("old")) == [0]
    index.delete_dataset("old")
    assert is_empty(index)


def test_a_name_that_is_taken_or_none_is_refused(local: Index) -> None:
    """Before anything is changed."""
    local.write(points(1), name="a")
    entry = local.write(points(2), name="b")
    local.label("c", entry.cid, version="1.0.0")
    before = contents(local.provider)

    for new in ("b", "c", "a"):
        with pytest.raises(RecordExistsError, match=new):
            local.rename("a", new)
    for new in ("", "../a", "a b", "x@1.0.0", "*"):
        with pytest.raises(ValueError):
            local.rename("a", new)
    with pytest.raises(ValueError, match="versions"):
        local.rename("b@1.0.0", "d")
    with pytest.raises(RecordNotFoundError):
        local.rename("nothing", "d")

    assert contents(local.provider) == before


def test_names_in_a_named_repository(tmp_path: Path) -> None:
    """A new name is one of the same repository, with or without saying so."""
    lab = atdata.create_repository(path=tmp_path / "lab.db")
    with Index(path=tmp_path / "i.db", repos={"lab": lab}) as index:
        index.write(points(1), name="lab/a")
        for new in ("b", "lab/c", "deep/d", "@lab/e"):
            (old,) = index.list_datasets("lab")
            index.rename(f"lab/{old.name}", new)
            assert [entry.name for entry in index.list_datasets("lab")] == [
                new.removeprefix("@").removeprefix("lab/")
            ]
        with pytest.raises(ValueError, match="keeps its repository"):
            index.rename("lab/e", "local/e")
