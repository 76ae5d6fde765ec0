"""Several repositories in one index, each with records, schemas and shards of its own."""

from collections.abc import Iterator
from pathlib import Path

import pytest
from tests.index.conftest import made
from tests.index.kinds import Point, numbers, points
from tests.index.shapes import number_record, text_record

import atdata
from atdata import Index, RecordNotFoundError, Repository, create_repository, load_dataset
from atdata.providers import MemoryProvider, SqliteProvider
from atdata.stores import LocalDiskStore


@pytest.fixture(params=["sqlite", "postgres", "redis", "memory"])
def lab(request: pytest.FixtureRequest, tmp_path: Path) -> Iterator[Index]:
    """An index with a repository `lab` on each kind of provider."""
    with made(request.param, tmp_path / "there", request) as other:
        repository = other.repos["local"]
        with Index(path=tmp_path / "index.db", repos={"lab": repository}) as index:
            yield index


def test_a_named_repository_is_read_back_by_its_own_types(lab: Index) -> None:
    """Entry, schema and shards lie there, and every reference leads there."""
    entry = lab.write(points(3), name="lab/s", version="1.0.0")

    assert (entry.repo, entry.name) == ("lab", "s")
    assert entry.schema_ref == "atdata://lab/schema/Point@1.0.0"
    assert entry == lab.get_dataset("@lab/s@1.0.0") == lab.get_dataset("lab/s")
    assert numbers(lab.open("@lab/s")) == [0, 1, 2]
    assert lab.open("lab/s").sample_type is lab.get_schema_type(entry.schema_ref)
    assert lab.get_schema(entry.schema_ref)["$ref"] == entry.schema_ref
    assert [schema["$ref"] for schema in lab.list_schemas()] == [entry.schema_ref]
    assert [schema["$ref"] for schema in lab.list_schemas("lab")] == [entry.schema_ref]
    assert lab.list_schemas("local") == lab.list_datasets("local") == []
    assert numbers(load_dataset("@lab/s", index=lab, split="train")) == [0, 1, 2]
    lab.append(points(1, 3), name="lab/s")
    lab.rename("lab/s", "lab/t")
    assert numbers(lab.open("lab/t")) == [0, 1, 2, 3]
    assert len(lab.delete_dataset("lab/t").keys) == 2


def test_two_repositories_do_not_mix(lab: Index) -> None:
    """The same names mean other things in each, and say where they are from."""
    text, number = text_record(), number_record()
    here = lab.write([text("x")], name="s", tags=["t"])
    there = lab.write([number(7)], name="lab/s", tags=["t"])

    assert here.schema_ref == "atdata://local/schema/Rec@1.0.0"
    assert there.schema_ref == "atdata://lab/schema/Rec@1.0.0"
    assert (lab.open("s")[0].a, lab.open("lab/s")[0].a) == ("x", 7)
    assert [(entry.repo, entry.name) for entry in lab.list_datasets()] == [
        ("local", "s"),
        ("lab", "s"),
    ]
    for entry in (here, there):
        assert [hit.record for hit in lab.search(schema_ref=entry.schema_ref).items] == [entry]
    assert {hit.repo for hit in lab.search(tags=["t"]).items} == {"local", "lab"}
    with pytest.raises(RecordNotFoundError, match="'local'"):
        lab.get_entry(there.cid)
    assert lab.get_entry(there.cid, "lab") == there


def test_pages_go_on_from_one_repository_to_the_next(lab: Index) -> None:
    """None twice, none left out."""
    wanted = [("local", f"a{i}") for i in range(3)] + [("lab", f"b{i}") for i in range(3)]
    for repo, name in wanted:
        lab.write(points(1), name=name if repo == "local" else f"lab/{name}")

    for limit in (1, 2, 3, 5, 6):
        found = []
        page = lab.list_datasets(limit=limit)
        while True:
            found += [(entry.repo, entry.name) for entry in page]
            if page.cursor is None:
                break
            page = lab.list_datasets(limit=limit, cursor=page.cursor)
        assert found == wanted


def test_names_of_repositories(tmp_path: Path) -> None:
    """`local` is taken, and others are names without a slash."""
    repository = Repository(MemoryProvider())
    with pytest.raises(ValueError, match='"local" is reserved'):
        Index(path=tmp_path / "i.db", repos={"local": repository})
    for name in ("", "a/b", "_atmosphere", "..", "a b", "@a"):
        with pytest.raises(ValueError):
            Index(path=tmp_path / "i.db", repos={name: repository})
    with pytest.raises(TypeError, match="must be a Repository"):
        Index(path=tmp_path / "i.db", repos={"lab": MemoryProvider()})  # type: ignore[dict-item]


def test_arguments_that_fit_no_other_are_refused(tmp_path: Path) -> None:
    """Which place is meant is never guessed."""
    path = tmp_path / "i.db"
    with pytest.raises(TypeError, match="different providers"):
        Index(path=path, dsn="postgresql://x/y")
    with pytest.raises(TypeError, match="path="):
        Index(MemoryProvider(), path=path)
    with pytest.raises(TypeError, match="path"):
        Index("postgres", path=path, dsn="postgresql://x/y")
    with pytest.raises(TypeError, match="IndexProvider"):
        Index(7)  # type: ignore[arg-type]
    with pytest.raises(ValueError, match="Unknown provider"):
        Index("mysql")
    with pytest.raises(ValueError, match="dsn"):
        Index("postgres")
    with pytest.raises(TypeError, match="hots"):
        Index(hots="localhost")  # type: ignore[call-arg]
    with pytest.raises(TypeError, match="Atmosphere"):
        Index(path=path, atmosphere="yes")
    with pytest.raises(TypeError, match="data_store"):
        Index(path=path, data_store="here")  # type: ignore[arg-type]
    assert not path.exists()


def test_the_path_is_where_the_catalogue_is(tmp_path: Path) -> None:
    """And nothing is written into the user's own folders."""
    with Index(path=tmp_path / "x.db") as index:
        index.write(points(1), name="a")
    with Index("sqlite", path=str(tmp_path / "x.db")) as index:
        assert [entry.name for entry in index.datasets] == ["a"]

    assert (tmp_path / "x.db").exists()
    assert not (tmp_path / "home").exists()


def test_repositories_made_by_name(tmp_path: Path) -> None:
    """With a store, or one beside the file."""
    one = create_repository(path=tmp_path / "lab.db")
    two = create_repository("memory", data_store=LocalDiskStore(tmp_path / "s"))

    assert isinstance(one.provider, SqliteProvider)
    assert one.store == LocalDiskStore(tmp_path / "lab-data")
    assert two.store == LocalDiskStore(tmp_path / "s")
    with Index(path=tmp_path / "i.db", repos={"one": one, "two": two}) as index:
        assert list(index.repos) == ["local", "one", "two"]
        index.write(points(2), name="two/p")
        assert numbers(index.open("two/p")) == [0, 1]
    with pytest.raises(TypeError, match="provider"):
        Repository("sqlite")  # type: ignore[arg-type]


def test_a_slash_in_a_name_before_and_after_a_repository_has_it(tmp_path: Path) -> None:
    """A dataset stays reachable through the repository it is in."""
    provider = SqliteProvider(tmp_path / "i.db")
    with Index(provider) as index:
        index.write(points(1), name="lab/y")
    with Index(provider, repos={"lab": Repository(MemoryProvider())}) as index:
        assert numbers(index.open("local/lab/y")) == [0]
        with pytest.raises(RecordNotFoundError, match="'lab'"):
            index.open("lab/y")


def test_the_default_index(tmp_path: Path) -> None:
    """One for the process, in the user's data folder, unless another is set."""
    with Index(path=tmp_path / "i.db") as index:
        atdata.set_default_index(index)
        assert atdata.get_default_index() is index
        index.write(points(1), name="a")
        assert numbers(load_dataset("@local/a", Point, split="train")) == [0]
    atdata.set_default_index(None)
    found = atdata.get_default_index()
    assert found is atdata.get_default_index() is not index
    assert str(tmp_path / "home") in repr(found)
    atdata.set_default_index(None)
    with pytest.raises(TypeError, match="Index"):
        atdata.set_default_index(7)  # type: ignore[arg-type]


def test_a_repr_shows_no_password(tmp_path: Path) -> None:
    """Neither of a database nor of a store."""
    with Index(
        dsn="postgresql://me:secret@127.0.0.1:1/x",
        repos={"lab": create_repository(path=tmp_path / "a.db")},
    ) as index:
        assert "secret" not in repr(index)
        assert "lab" in repr(index)
