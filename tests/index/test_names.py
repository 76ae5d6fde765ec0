"""Names: what is taken, and what is refused before anything is written."""

from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import pytest
from hypothesis import example, given, settings
from hypothesis import strategies as st
from tests.index.kinds import contents, files, numbers, points
from tests.index.shapes import Nick, Person

import atdata
from atdata import Index
from atdata.lens import mapping
from atdata.providers import MemoryProvider
from atdata.stores import LocalDiskStore

HOSTILE = [
    "../x", "..", ".", "a/../b", "/absolute", "a/", "/", "a//b", "C:\\x", "a\\b", "~", "~root",
    "%", "%06d", "100%", "{a,b}", "{1..3}", "a{", "*", "a?", "[ab]", "a@b", "@", "@local/a@b",
    "", " ", "a b", " a", "nul\0", "line\n", "\r", "\t", "\x1b[31m", "x" * 300, "é", "ａ", "🙂",
    "\u202e", "a:b", "pipe:touch x", "a|b", "a;b", "$HOME", "`id`", "a'b", 'a"b', "<a>", "a&b",
    "a#b", ".hidden", "a/.b", "-x", "a.", "a/b.", "s3://bucket/x", "at://did:plc:x/y/z", "\ud800",
]  # fmt: skip


def calls(index: Index, ds: Any) -> dict[str, Callable[[str], object]]:
    """Everything that gives something a name."""
    cid = index.get_dataset("there").cid
    lens = mapping(Person, Nick, {"name": "name"})
    return {
        "write": lambda name: index.write(points(1), name=name),
        "insert": lambda name: index.insert_dataset(ds, name=name),
        "copy": lambda name: index.insert_dataset(ds, name=name, copy=True),
        "append": lambda name: index.append(points(1), name=name),
        "label": lambda name: index.label(name, cid),
        "rename": lambda name: index.rename("there", name),
        "lens": lambda name: index.store_lens(lens, name=name),
    }


def test_hostile_names_are_refused_by_everything(local: Index, tmp_path: Path) -> None:
    """Nothing is written: no row, no file, and nothing outside of the store."""
    local.write(points(1), name="there")
    ds = atdata.write_samples(points(1), tmp_path / "mine/p.tar")
    held, before = contents(local.provider), files(tmp_path)

    for what, call in calls(local, ds).items():
        for name in HOSTILE:
            with pytest.raises((ValueError, KeyError)) as caught:
                call(name)
            shown = str(caught.value)
            assert shown.replace("\n", "").isprintable(), (what, name)
            assert len(shown) < 2000, (what, name)
        for name in (None, 7, b"a", ["a"]):
            with pytest.raises(TypeError):
                call(name)  # type: ignore[arg-type]

    assert contents(local.provider) == held
    assert files(tmp_path) == before


@pytest.mark.parametrize(
    "name",
    ["a", "A-b_c.d", "vision/mnist", "9", "_", "x" * 100, "a/b/c/d", "a.tar", "con", "--x"[2:]],
)
def test_common_names_are_taken(local: Index, name: str) -> None:
    """And lead to the same dataset in every form."""
    local.write(points(1), name=name)

    assert numbers(local.open(name)) == numbers(local.open(f"@local/{name}")) == [0]
    assert [entry.name for entry in local.datasets] == [name]


@pytest.fixture(scope="module")
def shared(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Index]:
    """One index for many examples."""
    with Index(
        MemoryProvider(), data_store=LocalDiskStore(tmp_path_factory.mktemp("s") / "in/store")
    ) as index:
        yield index


@given(name=st.text(max_size=12) | st.from_regex(r"[a-c./%{}@~\\-]{1,8}", fullmatch=True))
@example("a/..")
@settings(max_examples=80)
def test_any_name_is_refused_or_stays_inside(shared: Index, name: str) -> None:
    """A name that is taken is found again by itself, and its shards lie in the store."""
    store = shared.repos["local"].store
    assert isinstance(store, LocalDiskStore)
    try:
        entry = shared.write(points(1), name=name)
    except (ValueError, KeyError):
        return

    root = store.root
    assert shared.get_dataset(name) == entry
    assert all(Path(url).resolve().is_relative_to(root) for url in entry.data_urls)
    assert list(root.parent.iterdir()) == [root]
    shared.delete_dataset(name)
