"""Comparing shards with what the catalogue holds of them."""

from collections.abc import Callable
from pathlib import Path

import pytest
from tests.index.kinds import points

from atdata import Index, RecordNotFoundError, verify_checksums

DAMAGES: dict[str, Callable[[Path], object]] = {
    "one bit": lambda p: p.write_bytes(p.read_bytes()[:700] + b"\xff" + p.read_bytes()[701:]),
    "cut": lambda p: p.write_bytes(p.read_bytes()[:-512]),
    "longer": lambda p: p.write_bytes(p.read_bytes() + b"\0" * 512),
    "empty": lambda p: p.write_bytes(b""),
}


@pytest.mark.parametrize("damage", DAMAGES)
def test_any_change_is_a_mismatch(local: Index, damage: str) -> None:
    """Of the shard that was changed, and of no other."""
    entry = local.write(points(6), name="ds", maxcount=2)
    assert local.verify("ds").ok
    assert set(verify_checksums(entry).values()) == {"ok"}

    DAMAGES[damage](Path(entry.data_urls[1]))
    report = local.verify("ds")

    assert not report.ok
    assert not report
    assert list(report.statuses.values()) == ["ok", "mismatch", "ok"]
    assert list(verify_checksums(entry).values()) == ["ok", "mismatch", "ok"]
    assert str(report) == "ds: 2 ok, 1 mismatch; beside them 6 ok"


def test_a_missing_shard_is_an_error_of_its_own(local: Index) -> None:
    """The others are looked at all the same."""
    entry = local.write(points(6), name="ds", version="1.0.0", maxcount=2)
    Path(entry.data_urls[0]).unlink()

    report = local.verify("ds@1.0.0")

    first, *others = report.statuses.values()
    assert first.startswith("error:")
    assert "\n" not in first
    assert others == ["ok", "ok"]
    assert verify_checksums(entry)[entry.data_urls[0]].startswith("error:")


def test_without_a_digest_nothing_is_said(local: Index, tmp_path: Path) -> None:
    """A shard that was not digested is skipped, which is no failure."""
    local.write(points(2), name="a")
    local.insert_dataset(local.open("a"), name="b")

    assert list(local.verify("b").statuses.values()) == ["skipped"]
    assert local.verify("b").ok


def test_what_is_not_there_cannot_be_verified(local: Index) -> None:
    """And is not said to be all right."""
    with pytest.raises(RecordNotFoundError):
        local.verify("nothing")
