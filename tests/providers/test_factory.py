"""Providers by name, and arguments that do not fit."""

from importlib.metadata import EntryPoint, EntryPoints
from pathlib import Path

import pytest

from atdata.providers import MemoryProvider, SqliteProvider, create_provider, factory


def test_names_are_taken_in_any_case(tmp_path: Path) -> None:
    """With blanks around, too."""
    with create_provider(" SQLite ", path=tmp_path / "x.db") as provider:
        assert isinstance(provider, SqliteProvider)
    assert isinstance(create_provider("memory"), MemoryProvider)
    assert "'postgresql://h/d'" in repr(create_provider("PostgreSQL", dsn="postgresql://h/d"))
    assert "prefix='p'" in repr(create_provider("redis", redis="redis://h", prefix="p"))


@pytest.mark.parametrize(
    ("name", "arguments", "said"),
    [
        ("sqlite", {"dsn": "x"}, "dsn"),
        ("sqlite", {"redis": "x", "dsn": "y"}, "dsn, redis"),
        ("sqlite", {"pth": "x"}, "pth"),
        ("memory", {"path": "x"}, "path"),
        ("postgres", {"dsn": "postgresql://h/d", "path": "x"}, "path"),
        ("postgres", {"dsn": "postgresql://h/d", "schem": "x"}, "schem"),
        ("redis", {"dsn": "x"}, "dsn"),
    ],
)
def test_arguments_that_would_do_nothing_are_refused(
    name: str, arguments: dict[str, str], said: str
) -> None:
    """A misspelt or foreign argument is an error that names it."""
    with pytest.raises(TypeError, match=said):
        create_provider(name, **arguments)


def test_what_is_missing_or_unknown_is_said() -> None:
    """An address, and the names there are."""
    with pytest.raises(ValueError, match="dsn is required for the postgres provider"):
        create_provider("postgres")
    with pytest.raises(ValueError, match=r"Unknown provider 'x'.*memory, postgres, redis, sqlite"):
        create_provider("x")
    with pytest.raises(TypeError, match="name"):
        create_provider(7)  # type: ignore[arg-type]


@pytest.mark.parametrize("name", ["lab.db", "Lab.SQLite", "data/index", "C:\\index"])
def test_a_path_for_a_name_is_told_where_it_belongs(name: str) -> None:
    """The message shows the call that was meant."""
    with pytest.raises(ValueError, match="Unknown provider") as caught:
        create_provider(name)
    assert f"Index(path={name!r})" in str(caught.value)


def test_an_address_for_a_name_is_told_where_it_belongs() -> None:
    """The message names both arguments, and shows no password."""
    for name in ("redis://me:secret@h/0", " postgresql://me:12/secret@h/d"):
        with pytest.raises(ValueError, match=r"dsn=.*redis=") as caught:
            create_provider(name)
        assert "secret" not in str(caught.value)


def test_others_bring_their_own(monkeypatch: pytest.MonkeyPatch) -> None:
    """An entry point gives a provider of its name, and shows among the choices."""
    own = EntryPoint("mine", "atdata.providers:MemoryProvider", "atdata.providers")

    def entry_points(*, group: str, **wanted: str) -> EntryPoints:
        return EntryPoints([own]).select(group=group, **wanted)

    monkeypatch.setattr(factory, "entry_points", entry_points)

    assert isinstance(create_provider("Mine"), MemoryProvider)
    with pytest.raises(ValueError, match="memory, mine, postgres"):
        create_provider("other")
