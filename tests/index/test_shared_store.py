"""Catalogues that share a store: neither removes what the other wrote."""

from pathlib import Path

import pytest
from tests.index.kinds import FILES

import atdata
from atdata import Index, LocalDiskStore, RecordExistsError


@pytest.fixture
def store(tmp_path: Path) -> LocalDiskStore:
    """A store of two catalogues."""
    return LocalDiskStore(tmp_path / "store")


def numbers(n: int) -> list[atdata.DictSample]:
    return [atdata.DictSample(n=i) for i in range(n)]


def test_removing_what_was_borrowed_leaves_it_to_its_owner(
    tmp_path: Path, store: LocalDiskStore
) -> None:
    """A dataset of another catalogue is catalogued where it lies, and is not this one's."""
    with (
        Index(path=tmp_path / "a.db", data_store=store) as a,
        Index(path=tmp_path / "b.db", data_store=store) as b,
    ):
        a.write(numbers(3), name="d")
        b.insert_dataset(a.open("d"), name="d2")

        removed = b.delete_dataset("d2")

        assert removed.keys == ()
        assert len(a.open("d")) == 3


def test_what_two_names_share_stays_until_both_are_gone(
    tmp_path: Path, store: LocalDiskStore
) -> None:
    """Within one catalogue the last name takes the shards along."""
    with Index(path=tmp_path / "a.db", data_store=store) as a:
        a.write(numbers(3), name="d")
        a.insert_dataset(a.open("d"), name="e")

        assert a.delete_dataset("d").keys == ()
        assert len(a.open("e")) == 3
        assert len(a.delete_dataset("e").keys) == 1


def test_a_word_is_taken_away_without_the_data(tmp_path: Path) -> None:
    """Only a version that never changes takes its entry along; a word is a label."""
    with Index(path=tmp_path / "a.db") as index:
        entry = index.write(numbers(2), name="d")
        index.label("d", entry.cid, version="candidate")

        removed = index.delete_dataset("d@candidate")

        assert (removed.entries, removed.keys) == ((), ())
        assert len(index.open("d")) == 2


def test_an_address_with_a_secret_is_not_catalogued(tmp_path: Path) -> None:
    """Everyone who reads the catalogue would see the password or the signature."""
    atdata.write_samples(numbers(1), tmp_path / "one.tar")

    class Signed:
        """A source whose shard has a signed address."""

        def __init__(self, url: str) -> None:
            self.url = url

        def list_shards(self) -> list[str]:
            return [self.url]

        def open_shard(self, shard_id: str):  # noqa: ARG002 - there is one
            return (tmp_path / "one.tar").open("rb")

    with Index(path=tmp_path / "a.db") as index:
        for url in (
            "https://me:hunter2@data.example.org/one.tar",
            "https://data.example.org/one.tar?X-Amz-Signature=abc",
        ):
            ds = atdata.Dataset[atdata.DictSample](Signed(url))
            with pytest.raises(ValueError, match="password or a signature") as caught:
                index.insert_dataset(ds, name="d")
            assert "hunter2" not in str(caught.value)
            assert "abc" not in str(caught.value)


def test_shards_of_another_type_are_not_catalogued(tmp_path: Path) -> None:
    """The first sample is read as what the catalogue is to say."""

    @atdata.packable
    class Word:
        text: str

    atdata.write_samples(numbers(1), tmp_path / "one.tar")
    with Index(path=tmp_path / "a.db") as index:
        for copies in (False, True):
            with pytest.raises(atdata.SchemaError):
                index.insert_dataset(
                    atdata.Dataset[Word](tmp_path / "one.tar"), name="d", copy=copies
                )
        assert index.list_datasets() == []


def test_a_link_to_a_database_leads_to_its_shards(tmp_path: Path) -> None:
    """Databases of one stem and other endings have folders of their own, too."""
    (tmp_path / "real").mkdir()
    with Index(path=tmp_path / "real/lab.db") as index:
        index.write(numbers(2), name="d")
    (tmp_path / "link.db").symlink_to(tmp_path / "real/lab.db")

    with Index(path=tmp_path / "link.db") as index:
        assert len(index.open("d")) == 2
    with Index(path=tmp_path / "real/lab.sqlite") as index:
        assert index.repos["local"].store.root.name == "lab.sqlite-data"  # type: ignore[union-attr]


def test_records_in_memory_leave_no_shards_behind() -> None:
    """The folder of such a catalogue goes with it, and delete works in it."""
    index = Index("memory")
    entry = index.write(numbers(2), name="d")
    other = index.write(numbers(3), name="e")
    folder = Path(entry.data_urls[0]).parents[1]

    assert len(index.delete_dataset("d").keys) == 1
    assert Path(other.data_urls[0]).exists()
    del index

    assert not folder.exists()


@pytest.mark.parametrize(
    ("given", "hint"),
    [
        ([{"a": 1}], "DictSample"),
        ({"train": []}, "splits"),
        ("u.tar", "atdata.Dataset"),
        (Path("u.tar"), "atdata.Dataset"),
        (7, r"\[sample\]"),
    ],
)
def test_what_is_no_list_of_samples_is_told_with_what_was_meant(
    given: object, hint: str, tmp_path: Path
) -> None:
    """The usual first mistakes are answered with the right call."""
    with Index(path=tmp_path / "a.db") as index, pytest.raises(TypeError, match=hint):
        index.write(given, name="d")  # type: ignore[type-var]
    with pytest.raises(TypeError, match=hint):
        atdata.write_samples(given, tmp_path / "x.tar")  # type: ignore[type-var]


def test_batches_are_no_samples(tmp_path: Path) -> None:
    """They are told apart before anything is written."""
    ds = atdata.write_samples(numbers(4), tmp_path / "x.tar")

    with Index(path=tmp_path / "a.db") as index, pytest.raises(TypeError, match="batch_size"):
        index.write(ds.ordered(batch_size=2), name="d")


def test_a_removal_that_the_store_refused_is_finished_later(tmp_path: Path) -> None:
    """The name is gone, the error says how the shards go, and gc removes them."""

    class Stubborn(LocalDiskStore):
        """A store that refuses for a while."""

        refuses = True

        def remove(self, key: str) -> None:
            if self.refuses:
                raise atdata.StorageError("the store", "not now")
            super().remove(key)

    store = Stubborn(tmp_path / "store")
    with Index(path=tmp_path / "a.db", data_store=store) as index:
        entry = index.write(numbers(2), name="d")
        with pytest.raises(atdata.StorageError, match=r"gc\(dry_run=False\)"):
            index.delete_dataset("d")
        assert index.list_datasets() == []
        store.refuses = False

        report = index.gc(dry_run=False)

        assert len(report.orphans) == FILES * len(entry.shards)
        assert not any(store.list_keys(""))


def test_a_taken_name_is_told(tmp_path: Path) -> None:
    """A version is written once."""
    with Index(path=tmp_path / "a.db") as index:
        index.write(numbers(1), name="d", version="1.0.0")
        with pytest.raises(RecordExistsError):
            index.write(numbers(1), name="d", version="1.0.0")
