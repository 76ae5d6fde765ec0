"""Opening a dataset as a type: the stored one, one like it, or a view through a lens."""

from pathlib import Path

import pytest

import atdata
from atdata import Index, LensNotFoundError, load_dataset


@atdata.packable
class Percent:
    """How much, of a hundred."""

    x: float


@atdata.packable
class Share:
    """How much, of one; its field has the same name and another meaning."""

    x: float


@atdata.packable
class Named:
    """Something with other fields."""

    title: str


@atdata.packable
class Unrelated:
    """What no lens leads to."""

    other: int


@atdata.lens
def share(percent: Percent) -> Share:
    """A hundred is one."""
    return Share(percent.x / 100)


@atdata.lens
def named(percent: Percent) -> Named:
    """Say it."""
    return Named(f"{percent.x:g} %")


@pytest.fixture
def stored(tmp_path: Path) -> Index:
    """A catalogue with one dataset of percentages."""
    index = Index(path=tmp_path / "index.db")
    index.write([Percent(50.0), Percent(25.0)], name="d", version="1.0.0")
    return index


def test_a_registered_lens_is_used_even_where_the_fields_have_the_same_names(
    stored: Index,
) -> None:
    """What is stored is never taken for another type only because it could be decoded as it."""
    assert list(stored.open("d", Share)) == [Share(0.5), Share(0.25)]
    assert load_dataset("@local/d", Share, split="train", index=stored)[0] == Share(0.5)
    assert list(stored.open("d", Named)) == [Named("50 %"), Named("25 %")]
    assert list(stored.open("d", Percent)) == [Percent(50.0), Percent(25.0)]


def test_a_type_that_nothing_leads_to_is_told_at_once(stored: Index) -> None:
    """The error comes when the dataset is opened, and not with its first sample."""
    with pytest.raises(LensNotFoundError):
        stored.open("d", Unrelated)


def test_a_later_form_of_the_class_reads_what_an_earlier_one_wrote(stored: Index) -> None:
    """A field with a default, and another docstring, need no lens."""

    @atdata.packable
    class Later:
        """Another word."""

        x: float
        unit: str = "%"

    assert stored.open("d", Later)[0] == Later(50.0, "%")


def test_an_entry_stands_for_itself(stored: Index) -> None:
    """What a list or a search gives is opened as it is, whatever repository it is in."""
    lab = Index(
        path=stored.provider.path.with_name("mine.db"), repos={"lab": stored.repos["local"]}
    )  # type: ignore[attr-defined]
    lab.write([Percent(1.0)], name="d")

    found = {entry.repo: entry for entry in lab.list_datasets()}

    assert [len(lab.open(found[repo])) for repo in ("local", "lab")] == [1, 2]
    assert found["lab"].ref == "@lab/d@1.0.0"
    assert lab.get_dataset(found["lab"].ref).cid == found["lab"].cid
    assert lab.get_dataset(f"d@{found['local'].cid}").cid == found["local"].cid
    assert bool(lab.verify(found["lab"]))


def test_an_entry_without_a_name_is_found_and_removed_by_its_cid(stored: Index) -> None:
    """What a later write left without a name is not lost, and can be cleaned up."""
    old = stored.write([Percent(1.0)], name="n")
    new = stored.write([Percent(2.0)], name="n")

    assert stored.open(f"n@{old.cid}")[0].x == 1.0
    removed = stored.delete_dataset(f"n@{old.cid}")

    assert len(removed.keys) == 1
    assert [version.cid for version in stored.versions("n")] == [new.cid]
    assert stored.open("n")[0].x == 2.0


def test_a_store_that_was_given_for_a_write_is_given_for_reading(tmp_path: Path) -> None:
    """An entry in another store is opened with it."""
    other = atdata.LocalDiskStore(tmp_path / "other")
    with Index(path=tmp_path / "index.db") as index:
        index.write([Percent(3.0)], name="d", data_store=other)

        assert index.open("d", Percent, data_store=other)[0] == Percent(3.0)
