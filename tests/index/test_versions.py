"""Versions of a dataset: written once, kept as they are, listed in their order."""

import pytest
from tests.index.kinds import numbers, points

from atdata import Index, RecordNotFoundError


def test_versions_come_by_precedence(index: Index) -> None:
    """Not by text, not by time; what has no version comes after, in the order of writing."""
    for version in ["1.10.0", None, "1.9.0", "1.10.0-beta", "2026-11", None]:
        index.write(points(1), name="ds", version=version)

    found = index.versions("ds")

    assert [one.version for one in found] == [
        "2026-11", "1.9.0", "1.10.0-beta", "1.10.0", None, None,
    ]  # fmt: skip
    assert [one.is_latest for one in found] == [False] * 5 + [True]
    assert all(one.n_samples == 1 and one.n_bytes and one.created_at for one in found)


def test_a_version_keeps_what_it_is(index: Index) -> None:
    """Whatever is written, added and labelled afterwards."""
    first = index.write(points(2), name="ds", version="1.0.0", metadata={"a": 1})
    index.append(points(2, 2), name="ds", version="1.1.0")
    index.append(points(2, 4), name="ds", metadata={"a": 2})

    assert index.get_dataset("ds@1.0.0") == first
    assert numbers(index.open("ds@1.0.0")) == [0, 1]
    assert numbers(index.open("ds@1.1.0")) == [0, 1, 2, 3]
    assert numbers(index.open("ds")) == [0, 1, 2, 3, 4, 5]


def test_versions_of_a_dataset_that_is_not_there(local: Index) -> None:
    """There are none, and that is said."""
    with pytest.raises(RecordNotFoundError, match="nothing"):
        local.versions("nothing")


def test_no_label_of_the_latest(local: Index) -> None:
    """Where nobody made one, the bare name stands for the highest version."""
    first = local.write(points(1), name="a")
    second = local.write(points(2), name="b")
    local.provider.store_label("c", first.cid, "1.9.0")
    local.provider.store_entry(first.__class__("c", first.schema_ref, first.data_urls))
    local.label("d", second.cid, version="1.0.0")

    assert [one.version for one in local.versions("d")] == ["1.0.0"]
    assert local.get_dataset("d").cid == second.cid
