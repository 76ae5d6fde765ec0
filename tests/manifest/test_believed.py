"""What manifests say of payloads, whatever classes make of them, and who believes it."""

import enum
import shutil
from dataclasses import dataclass, field, make_dataclass
from pathlib import Path
from typing import Any, Literal

import pytest

import atdata
from atdata import ManifestError, PartialFailureError, SchemaError, ShardError
from atdata.dataset._manifests import build_manifests
from atdata.manifest.fields import plan_fields
from atdata.manifest.manifest import Manifest
from atdata.manifest.query import QueryExecutor
from atdata.manifest.reader import open_manifest
from atdata.manifest.twin import plain_twin
from atdata.predicate import F
from atdata.sources.url import URLSource


def opened(path: Path) -> Manifest:
    return open_manifest(URLSource(path), str(path))


def made(name: str, *fields: Any) -> Any:
    return atdata.packable(make_dataclass(name, fields))


def counted(path: Path, kind: Any, predicate: Any) -> tuple[int, int]:
    """How many samples fit, as asked and as read."""
    ds: Any = atdata.Dataset(path, sample_type=kind)
    asked = ds.where(predicate, missing="scan").count()
    return asked, sum(predicate.test(sample) for sample in ds)


def _hooked() -> Any:
    @atdata.packable
    class Word:
        n: int
        text: str

        def __post_init__(self) -> None:
            self.n += 1
            self.text = self.text.strip()

    return Word


def _constructed() -> Any:
    @atdata.packable
    class Word:
        n: int
        text: str

        def __init__(self, n: int, text: str) -> None:
            self.n = n + 1
            self.text = text.strip()

    return Word


@pytest.mark.parametrize("make", [_hooked, _constructed])
@pytest.mark.parametrize("is_built", [False, True])
def test_columns_hold_what_payloads_hold(make: Any, is_built: bool, tmp_path: Path) -> None:
    """A class that changes what it is given does so when it reads, each time."""
    kind, plain = make(), made("Word", ("n", int), ("text", str))
    path = tmp_path / "a.tar"
    samples = [kind(n, f" {n} ") for n in range(5)]
    atdata.write_samples(samples, path, manifest=not is_built)
    if is_built:
        build_manifests(path, sample_type=kind)
    read = list(atdata.Dataset(path, sample_type=plain))

    assert opened(path).column("n").to_pylist() == [one.n for one in read]
    assert opened(path).column("text").to_pylist() == [one.text for one in read]
    for reader in (kind, plain, None):
        for n in range(8):
            asked, there = counted(path, reader, F.n == n)
            assert asked == there


def test_a_twin_lacks_what_its_class_may_lack() -> None:
    """It has the same name and fields, and none of the hooks."""
    kind: Any = _hooked()
    twin = plain_twin(kind)

    assert (twin.__name__, [*twin.__annotations__]) == ("Word", ["n", "text"])
    assert twin(n=1, text=" a ").text == " a "
    assert plain_twin(twin) is twin


def test_a_class_without_a_twin_has_no_columns(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """The manifest still says where samples lie, and why it says no more."""
    monkeypatch.setattr("atdata.manifest.sample_kind.plain_twin", lambda _: None)
    path = tmp_path / "a.tar"
    atdata.write_samples([_hooked()(1, "a")], path, manifest=True)

    assert dict(opened(path).columns) == {}
    assert set(opened(path).left_out) == {"n", "text"}
    assert len(opened(path).at) == 1


@dataclass
class Halved:
    size: int

    def __post_init__(self) -> None:
        self.size //= 2


@dataclass
class Around:
    inner: Halved


@dataclass
class Whole:
    size: int


@dataclass
class AroundWhole:
    inner: Whole


def test_fields_inside_a_class_that_changes_them_are_no_columns(tmp_path: Path) -> None:
    """However deep it lies, neither is one built nor one believed."""
    hooked, plain = made("Deep", ("box", Around)), made("Deep", ("box", AroundWhole))
    path = tmp_path / "a.tar"
    atdata.write_samples([plain(AroundWhole(Whole(n))) for n in range(6)], path, manifest=True)
    plan = plan_fields(hooked)
    asked, there = counted(path, hooked, F.box.inner.size == 1)

    assert (plan.columns, [*plan.left_out]) == ((), ["box.inner"])
    assert asked == there == 2


def _many() -> tuple[Any, Any, Any]:
    base: list[Any] = [(f"f{i}", int) for i in range(16)]
    first, second = (made("A", *base, ("x", int, field(default=n))) for n in (1, 2))
    return made("A", *base)(*range(16)), first, second


def _renamed() -> tuple[Any, Any, Any]:
    first, second = (made("A", ("a", int), ("x", int, field(default=n))) for n in (1, 2))
    return made("A", ("a", int))(1), first, second


def _nested() -> tuple[Any, Any, Any]:
    old: Any = make_dataclass("Box", [("a", int)])
    boxes = [make_dataclass("Box", [("a", int), ("x", int, field(default=n))]) for n in (1, 2)]
    first, second = (made("A", ("box", one)) for one in boxes)
    return made("A", ("box", old))(old(1)), first, second


@pytest.mark.parametrize("make", [_many, _renamed, _nested])
def test_defaults_are_in_no_column(make: Any, tmp_path: Path) -> None:
    """What stands for a field that payloads lack is up to whoever reads."""
    sample, first, second = make()
    asked = F.box.x if make is _nested else F.x
    path = tmp_path / "a.tar"
    atdata.write_samples([sample] * 5, path)
    build_manifests(path, sample_type=first)

    assert not [one for one in opened(path).columns if one.endswith("x")]
    for kind, n in ((first, 1), (second, 2)):
        assert counted(path, kind, asked == n) == (5, 5)
        assert counted(path, kind, asked == 3 - n) == (0, 0)


def test_a_field_with_a_default_that_payloads_have_is_a_column(tmp_path: Path) -> None:
    kind = made("A", ("a", list[int]), ("x", int, field(default=1)))
    path = tmp_path / "a.tar"
    atdata.write_samples([kind([1], 7), kind([], 8)], path)
    build_manifests(path, sample_type=kind)

    assert opened(path).column("x").to_pylist() == [7, 8]


class Colour(enum.Enum):
    RED = "red"
    BLUE = "blue"


class Lenient(enum.Enum):
    RED = "red"

    @classmethod
    def _missing_(cls, value: object) -> "Lenient":
        del value
        return cls.RED


class Flags(enum.IntFlag):
    A = 1
    B = 2


def test_enums_and_texts_do_not_believe_each_other(tmp_path: Path) -> None:
    text, colour, lenient = (made("A", ("c", one)) for one in (str, Colour, Lenient))
    path = tmp_path / "a.tar"
    atdata.write_samples([text("red"), text("other")], path, manifest=True)
    kinds = made("B", ("c", Lenient), ("f", Flags), ("l", Literal[Lenient.RED]))
    forms = {one.path: one.form for one in plan_fields(colour).columns}

    assert counted(path, lenient, F.c == "red") == (2, 2)
    assert forms == {"c": "enum"}
    assert plan_fields(kinds).columns == ()
    atdata.write_samples([colour(Colour.RED), colour(Colour.BLUE)], path, manifest=True)
    assert opened(path).forms == {"c": "enum"}
    assert counted(path, colour, F.c == "blue") == counted(path, text, F.c == "blue") == (1, 1)


def test_what_is_asked_in_memory_is_fresh_too(tmp_path: Path) -> None:
    """A shard that was replaced answers as little here as there."""
    for n in range(2):
        atdata.write_samples([atdata.DictSample(n=n)], tmp_path / f"{n}.tar", manifest=True)
    assert len(QueryExecutor.from_directory(tmp_path).query(F.n == 1)) == 1
    shutil.copy(tmp_path / "0.tar", tmp_path / "1.tar")

    for ask in (
        lambda: QueryExecutor.from_directory(tmp_path),
        lambda: QueryExecutor.from_shard_urls([str(tmp_path / "1.tar")]),
    ):
        with pytest.raises(ManifestError, match="stale"):
            ask()


def test_two_shards_do_not_share_a_manifest(tmp_path: Path) -> None:
    """Neither when they are built together nor one after the other."""
    for name in ("g", "g.tar"):
        source = tmp_path / "made.tar"
        atdata.write_samples([atdata.DictSample(name=name)], source)
        source.rename(tmp_path / name)
    with pytest.raises(ValueError, match="would have one manifest"):
        build_manifests([tmp_path / "g", tmp_path / "g.tar"])
    assert not [*tmp_path.glob("*.json")]
    build_manifests(tmp_path / "g")

    with pytest.raises(ShardError, match="take the place"):
        build_manifests(tmp_path / "g.tar", force=True)
    assert len(opened(tmp_path / "g")) == 1


def test_a_bad_shard_does_not_keep_others_from_their_manifests(tmp_path: Path) -> None:
    """The error says which sample did not fit, and where it is."""
    kind = made("A", ("n", int), ("tags", list[int]))
    other = made("A", ("n", int), ("tags", list[str]))
    paths = [tmp_path / f"{n}.tar" for n in range(3)]
    for n, path in enumerate(paths):
        bad = other(1, ["a"]) if n == 1 else kind(1, [1])
        samples = [type(bad)(0, []), bad]
        atdata.write_samples(samples, path)
    with pytest.raises(PartialFailureError) as caught:
        build_manifests(paths, sample_type=kind)
    error = caught.value.errors[str(paths[1])]

    assert isinstance(error, SchemaError)
    assert (error.shard_id, error.key, error.offset) == (str(paths[1]), "000000001", 1536)
    assert caught.value.succeeded_shards == [str(paths[0]), str(paths[2])]
    assert [len(opened(paths[n])) for n in (0, 2)] == [2, 2]
    assert not [one for one in tmp_path.iterdir() if one.name.startswith(".")]
    with pytest.raises(SchemaError, match="offset  1536"):
        build_manifests(paths[1], sample_type=kind)
