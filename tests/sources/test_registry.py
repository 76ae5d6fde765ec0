"""From what people write to the source that reads it."""

import sys
from io import BytesIO
from pathlib import Path
from typing import BinaryIO

import pytest

from atdata._exceptions import UnsafeURLError
from atdata.sources import source_of
from atdata.sources.url import URLSource


class Memory:
    """A source of one's own."""

    def list_shards(self) -> list[str]:
        return ["one"]

    def open_shard(self, shard_id: str) -> BinaryIO:
        return BytesIO(shard_id.encode())


@pytest.mark.parametrize(
    "spec",
    ["a.tar", "a-{0..9}.tar", Path("a{b}.tar"), "file:///a.tar", "https://h.org/a.tar", "{a..c}"],
)
def test_paths_and_urls_become_a_source(spec: str | Path) -> None:
    """Text and paths are read by `URLSource`."""
    assert source_of(spec) == URLSource(spec)


def test_lists_become_one_source() -> None:
    """A list of paths and URLs is one source, in its order."""
    assert source_of(["a.tar", Path("b.tar")]) == URLSource(["a.tar", Path("b.tar")])
    assert source_of(("http://h.org/a", "file:b")) == URLSource(["http://h.org/a", "file:b"])


def test_a_source_is_itself() -> None:
    """An object that lists and opens shards is taken as it is."""
    source = Memory()

    assert source_of(source) is source


@pytest.mark.parametrize("spec", [None, 3, b"a.tar", {"a": "b"}, {"a.tar"}, iter(["a"]), Memory])
def test_anything_else_is_refused_with_a_hint(spec: object) -> None:
    """What is no source is a `TypeError` that says what would be."""
    with pytest.raises(TypeError, match=r"list_shards\(\) and open_shard\(\)"):
        source_of(spec)


def test_a_list_of_something_else_is_refused() -> None:
    """The element at fault is named, and an empty list is an error."""
    with pytest.raises(TypeError, match=r"url\[1\] must be a str or Path, not int"):
        source_of(["a.tar", 3])
    with pytest.raises(ValueError, match="empty"):
        source_of([])


@pytest.mark.parametrize(
    "spec", ["pipe:id", "-", "", "gs://b/k", "ftp://h/a", "pipe:{a,b}", ["pipe:id"]]
)
def test_an_address_of_another_kind_is_refused_at_once(spec: str | list[str]) -> None:
    """What could not be opened later is refused when the source is made."""
    with pytest.raises(UnsafeURLError):
        source_of(spec)


def test_kinds_of_places_do_not_mix() -> None:
    """One source reads from one kind of place."""
    with pytest.raises(ValueError, match="several kinds of places: paths, zz:"):
        source_of(["a.tar", "zz://a"])


def test_an_entry_point_reads_its_scheme(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """A package that is installed can teach a scheme, and gets what was written."""
    info = tmp_path / "zz-1.0.dist-info"
    info.mkdir()
    (info / "METADATA").write_text("Metadata-Version: 2.1\nName: zz\nVersion: 1.0\n")
    (info / "entry_points.txt").write_text("[atdata.sources]\nzz = zz_source:Source\n")
    (tmp_path / "zz_source.py").write_text(
        "class Source:\n"
        "    def __init__(self, url): self.url = url\n"
        "    def list_shards(self): return [self.url]\n"
        "    def open_shard(self, shard_id): raise KeyError(shard_id)\n"
    )
    monkeypatch.syspath_prepend(tmp_path)

    one, many = source_of("zz://a"), source_of(["zz://a", "zz://b"])

    assert one.list_shards() == ["zz://a"]
    assert many.list_shards() == [["zz://a", "zz://b"]]
    sys.modules.pop("zz_source")
