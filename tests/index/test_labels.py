"""Labels: which entry a name, or a name with a version, stands for."""

import pytest
from tests.index.kinds import numbers, points

from atdata import Index, RecordExistsError, RecordNotFoundError


def test_a_version_for_an_old_entry_does_not_make_it_the_latest(index: Index) -> None:
    """The bare name stands for what was written last, whatever is labelled afterwards."""
    old = index.write(points(1), name="ds")
    index.label("ds", old.cid, version="1.0.0", description="The first.")
    new = index.write(points(2), name="ds")

    index.label("ds", old.cid, version="9.0.0")

    assert index.get_dataset("ds").cid == new.cid
    assert index.get_dataset("ds@1.0.0").cid == index.get_dataset("ds@9.0.0").cid == old.cid
    assert [one.description for one in index.versions("ds")] == ["The first.", None, None]


def test_the_bare_name_can_be_moved_back(index: Index) -> None:
    """Saying so moves it, also to an older entry, and the next write moves it on."""
    old = index.write(points(1), name="ds")
    new = index.write(points(2), name="ds")

    index.label("ds", old.cid)
    assert index.get_dataset("ds").cid == old.cid
    index.label("ds", new.cid, version="2.0.0")
    assert index.get_dataset("ds").cid == new.cid
    last = index.write(points(3), name="ds")
    assert index.get_dataset("ds").cid == last.cid


def test_a_label_stands_for_what_is_there(local: Index) -> None:
    """A CID that no entry has is refused, and nothing changes."""
    local.write(points(1), name="ds")

    with pytest.raises(RecordNotFoundError, match="bafynothing"):
        local.label("ds", "bafynothing", version="1.0.0")

    assert [label[2] for label in local.list_labels()] == [None]


def test_versions_never_change_and_words_may_move(index: Index) -> None:
    """Only `force` moves a version; the same again is no error."""
    old = index.write(points(1), name="ds")
    new = index.write(points(2), name="ds")
    index.label("ds", old.cid, version="1.0.0")
    index.label("ds", old.cid, version="stable")

    index.label("ds", old.cid, version="1.0.0")
    with pytest.raises(RecordExistsError, match="ds@1.0.0"):
        index.label("ds", new.cid, version="1.0.0")
    assert index.get_dataset("ds@1.0.0").cid == old.cid
    index.label("ds", new.cid, version="stable")
    assert index.get_dataset("ds@stable").cid == new.cid
    index.label("ds", new.cid, version="1.0.0", force=True)
    assert index.get_dataset("ds@1.0.0").cid == new.cid


def test_another_name_for_a_dataset(index: Index) -> None:
    """An alias reads the same samples, is found, and can be added to on its own."""
    entry = index.write(points(2), name="long/name", tags=["t"])

    index.label("short", entry.cid)

    assert index.get_dataset("short").cid == entry.cid
    assert numbers(index.open("short")) == [0, 1]
    assert {hit.name for hit in index.search(tags=["t"]).items} == {"long/name", "short"}
    index.append(points(1, 2), name="short")
    assert numbers(index.open("short")) == [0, 1, 2]
    assert numbers(index.open("long/name")) == [0, 1]


def test_all_labels_are_listed(local: Index) -> None:
    """Each once, with None for the latest."""
    a = local.write(points(1), name="a", version="1.0.0")
    b = local.write(points(1), name="b")

    wanted = [("a", a.cid, None), ("a", a.cid, "1.0.0"), ("b", b.cid, None)]
    assert local.list_labels() == list(local.labels) == wanted
    with pytest.raises(KeyError, match="Unknown repository"):
        local.list_labels("lab")


def test_many_versions_and_the_latest_stays_the_latest(index: Index) -> None:
    """However versions are spelt and in whatever order they were written."""
    order = ["1.0.0", "1.10.0", "1.2.0", "weird", "1.2.0-rc.1"]
    for i, version in enumerate(order):
        for name in ("a", "b"):
            index.write(points(i + 1), name=name, version=version)

    for name in ("a", "b"):
        assert index.get_dataset(name).version == "1.2.0-rc.1"
        for i, version in enumerate(order):
            assert numbers(index.open(f"{name}@{version}")) == list(range(i + 1))


def test_a_name_with_an_at_sign_is_no_name_of_a_label(local: Index) -> None:
    """The version is said as such, and never passed over."""
    entry = local.write(points(1), name="a")

    with pytest.raises(ValueError, match="version="):
        local.label("a@1.0.0", entry.cid)
    for version in ("", "1 0", "a@b", "x" * 101, "-1", "*"):
        with pytest.raises(ValueError, match="no version"):
            local.label("a", entry.cid, version=version)
    assert len(local.list_labels()) == 1


def test_a_description_belongs_to_a_version(index: Index) -> None:
    """What is said of the bare name would be lost with its next move, and is refused."""
    entry = index.write(points(1), name="points")

    with pytest.raises(ValueError, match="version="):
        index.label("points", entry.cid, description="the best")
