"""A SQLite file: whose it is, what state it is in, and who may write it."""

import os
import sqlite3
import stat
import tempfile
from collections.abc import Callable, Iterator
from contextlib import closing
from pathlib import Path

import pytest

from atdata._exceptions import StorageError
from atdata.model.record import LABEL, Put, Row, SearchText
from atdata.providers import SqliteProvider, _sqlite_file


@pytest.fixture
def path(tmp_path: Path) -> Path:
    """A file with one label."""
    with SqliteProvider(tmp_path / "index.db") as provider:
        provider.store_label("a", "cid")
        assert provider.path == tmp_path / "index.db"
    return tmp_path / "index.db"


def change(path: Path, *statements: str) -> None:
    """Do something to a file behind the provider's back."""
    with closing(sqlite3.connect(path)) as connection:
        for statement in statements:
            connection.execute(statement)
        connection.commit()


def test_the_file_is_marked_and_logs_ahead(path: Path) -> None:
    """Another program can tell whose file it is; readers do not wait for writers."""
    with closing(sqlite3.connect(path)) as connection:
        pragmas = [
            connection.execute(f"PRAGMA {name}").fetchone()[0]
            for name in ("journal_mode", "user_version", "application_id")
        ]

    assert pragmas == ["wal", _sqlite_file.LAYOUT, int.from_bytes(b"atda")]


def test_a_commit_waits_for_the_disk(path: Path) -> None:
    """What was committed survives a loss of power: each commit syncs the log."""
    with closing(_sqlite_file.connect(path)) as connection:
        assert connection.execute("PRAGMA synchronous").fetchone() == (2,)


def test_the_default_file_lies_in_the_folder_for_data(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Nothing is made before the first use; then folder and file are."""
    monkeypatch.setenv("XDG_DATA_HOME", str(tmp_path))
    with SqliteProvider() as provider:
        assert list(tmp_path.iterdir()) == []
        provider.newest()

    assert provider.path == tmp_path / "atdata" / "index.db"
    assert provider.path.is_file()


def test_odd_paths_are_paths(tmp_path: Path) -> None:
    """Characters that a URI gives a meaning to have none."""
    for name in ("a?mode=ro", "a#b", "a%20b", "é", "x:y", "\udcff"):
        with SqliteProvider(tmp_path / "sub" / name) as provider:
            provider.store_label("a", "cid")
        assert (tmp_path / "sub" / name).is_file()
    with pytest.raises(ValueError, match=r'Index\("memory"\), or MemoryProvider'):
        SqliteProvider(":memory:")


def test_a_newer_layout_is_refused(path: Path) -> None:
    """The message says what to do, and the file stays as it is."""
    change(path, "PRAGMA user_version = 99")
    before = path.read_bytes()

    with SqliteProvider(path) as provider, pytest.raises(StorageError, match="Upgrade") as caught:
        provider.get(LABEL, "a")

    assert caught.value.place == str(path)
    assert path.read_bytes() == before


@pytest.mark.parametrize(
    ("statements", "hint"),
    [
        (["CREATE TABLE notes (x)"], "another program"),
        (["PRAGMA application_id = 7"], "another program"),
        (
            ["CREATE TABLE t (x)", "PRAGMA application_id = 7", "PRAGMA user_version = 1"],
            "another",
        ),
        (
            ["CREATE TABLE dataset_entries (cid TEXT)", "CREATE TABLE labels (x)"],
            "before version 1",
        ),
    ],
)
def test_a_file_of_others_is_refused(tmp_path: Path, statements: list[str], hint: str) -> None:
    """Another program's database is neither read nor changed, nor is an old layout."""
    path = tmp_path / "other.db"
    change(path, *statements)
    before = path.read_bytes()

    with SqliteProvider(path) as provider, pytest.raises(StorageError, match=hint):
        provider.store_label("a", "cid")

    assert path.read_bytes() == before


@pytest.mark.parametrize(
    "damage",
    [
        lambda data: b"no database, but a text that is long enough" * 100,
        lambda data: data[:1000],
        lambda data: data[: len(data) // 2],
        lambda data: b"SQLite format 3\0" + bytes(len(data)),
        lambda data: data[:100] + os.urandom(len(data) - 100),
        lambda data: data[:4096] + bytes(len(data) - 4096),
    ],
    ids=["text", "short", "half", "zeros", "noise", "first page"],
)
def test_a_damaged_file_is_a_clear_error(path: Path, damage: Callable[[bytes], bytes]) -> None:
    """It names the file; nothing hangs, and nothing is made up."""
    path.write_bytes(damage(path.read_bytes()))

    with SqliteProvider(path) as provider, pytest.raises(StorageError) as caught:
        use_all(provider)

    assert caught.value.place == str(path)


def use_all(provider: SqliteProvider) -> None:
    """Touch every table."""
    provider.get(LABEL, "a")
    provider.page(LABEL)
    provider.commit([Put(Row(LABEL, "b", "", "{}", ("r",), SearchText("b")))])
    provider.search("b")


def test_an_empty_file_is_a_new_one(tmp_path: Path) -> None:
    """As a program leaves it that only reserves a name."""
    (tmp_path / "index.db").touch()

    with SqliteProvider(tmp_path / "index.db") as provider:
        provider.store_label("a", "cid")
        assert provider.get_label("a") == ("cid", None)


def test_text_that_is_none_disables_nothing(path: Path) -> None:
    """One row with bytes that are no UTF-8, or with damaged refs, is left out or mended."""
    with SqliteProvider(path) as provider:
        provider.store_label("b", "cid")
        change(
            path,
            "UPDATE rows SET body = CAST(x'ff00fe' AS TEXT) WHERE name = 'a'",
            "UPDATE rows SET refs = 'no JSON', text = '[1]' WHERE name = 'b'",
        )

        assert [label[0] for label in provider.iter_labels()] == ["b"]
        assert [row.refs for row in provider.rows(LABEL)][1] == ()


def test_a_file_that_was_replaced_is_opened_anew(path: Path, tmp_path: Path) -> None:
    """What is committed goes to the file that lies there, not to one that was removed."""
    with SqliteProvider(path) as provider:
        provider.get_label("a")
        for old in tmp_path.iterdir():
            old.unlink()
        provider.store_label("b", "cid")

        assert path.exists()
        assert [label[0] for label in provider.iter_labels()] == ["b"]


def test_a_lock_that_is_held_too_long_is_an_error(
    path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Reading goes on meanwhile; nothing was changed."""
    monkeypatch.setattr(_sqlite_file, "PATIENCE", 0.1)
    with SqliteProvider(path) as provider, closing(sqlite3.connect(path)) as other:
        other.execute("BEGIN IMMEDIATE")

        with pytest.raises(StorageError, match="Another process"):
            provider.store_label("b", "cid")

        assert provider.get_label("a") == ("cid", None)
        other.rollback()
        provider.store_label("b", "cid")


def test_a_full_disk_leaves_the_old_state(path: Path) -> None:
    """A commit that finds no room changes nothing; with room the next one goes."""
    with SqliteProvider(path) as provider:
        with provider._pool.use() as opened:
            pages = opened.connection.execute("PRAGMA page_count").fetchone()[0]
            opened.connection.execute(f"PRAGMA max_page_count = {pages}")
        with pytest.raises(StorageError, match="full"):
            provider.commit(
                [Put(Row(LABEL, "b", "", "x" * 1_000_000)), Put(Row(LABEL, "c", "", ""))]
            )
        assert [row.name for row in provider.rows(LABEL)] == ["a"]

        provider.close()
        provider.commit([Put(Row(LABEL, "b", "", "x" * 1_000_000))])
        assert len(provider.page(LABEL)) == 2


@pytest.fixture
def open_folder() -> Iterator[Path]:
    """A folder that any user may enter."""
    with tempfile.TemporaryDirectory() as name:
        folder = Path(name)
        folder.chmod(0o755)
        yield folder


@pytest.mark.parametrize("with_log", [False, True])
def test_a_file_that_may_not_be_written_is_read(open_folder: Path, *, with_log: bool) -> None:
    """Neither file nor folder; a writer of another user may be at work. A commit is refused."""
    path = open_folder / "index.db"
    with SqliteProvider(path) as writer:
        writer.store_label("a", "cid")
        if not with_log:
            writer.close()
        for file in open_folder.iterdir():
            file.chmod(0o444)
        open_folder.chmod(0o555)

        assert in_a_process_without_rights(lambda: read_only_use(path)) == 0

        open_folder.chmod(0o755)
        path.chmod(stat.S_IRUSR | stat.S_IWUSR)


@pytest.mark.parametrize("with_log", [False, True])
def test_a_reader_without_rights_sees_what_is_written_later(
    open_folder: Path, *, with_log: bool
) -> None:
    """It opened the file when nobody wrote; the new rows are in the file, or still in a log."""
    path = open_folder / "index.db"
    writer = SqliteProvider(path)
    write(writer, "a", stays_open=False)
    (has_read, reading), (may_read, writing) = os.pipe(), os.pipe()

    def read() -> None:
        with SqliteProvider(path) as reader:
            assert _sqlite_file.is_still(path)
            for name in ("a", "b", "c"):
                assert reader.get_label(name) == ("cid", None), name
                os.write(reading, b".")
                assert os.read(may_read, 1)

    pid = fork_without_rights(read)
    os.close(reading)  # so that a child that failed is noticed
    for name in ("b", "c", None):
        if os.read(has_read, 1) and name:
            write(writer, name, stays_open=with_log)
        os.write(writing, b".")
    for end in (has_read, may_read, writing):
        os.close(end)

    assert os.waitstatus_to_exitcode(os.waitpid(pid, 0)[1]) == 0
    open_folder.chmod(0o755)
    writer.close()


def write(writer: SqliteProvider, name: str, *, stays_open: bool) -> None:
    """Store a label where nobody else may write."""
    folder = writer.path.parent
    folder.chmod(0o755)
    for file in folder.iterdir():
        file.chmod(0o644)
    writer.store_label(name, "cid")
    if not stays_open:
        writer.close()
    for file in folder.iterdir():
        file.chmod(0o444)
    folder.chmod(0o555)


def read_only_use(path: Path) -> None:
    """Read, search, and try to write."""
    with SqliteProvider(path) as provider:
        assert provider.get_label("a") == ("cid", None)
        assert len(provider.search("a").hits) == 1
        try:
            provider.store_label("b", "cid")
        except StorageError as error:
            assert "rights" in str(error), error
        else:
            raise AssertionError


def in_a_process_without_rights(act: Callable[[], None]) -> int:
    """What a child exits with that acts as nobody."""
    return os.waitstatus_to_exitcode(os.waitpid(fork_without_rights(act), 0)[1])


def fork_without_rights(act: Callable[[], None]) -> int:
    """The process id of a child that acts as nobody."""
    pid = os.fork()
    if pid == 0:
        code = 1
        try:
            if os.geteuid() == 0:
                os.setgid(65534)
                os.setuid(65534)
            act()
            code = 0
        except BaseException as error:
            os.write(2, repr(error).encode())
        finally:
            os._exit(code)
    return pid


def test_a_path_that_cannot_be_is_a_clear_error(tmp_path: Path) -> None:
    """A folder, or a file in the place of a folder."""
    (tmp_path / "file").touch()
    for path in (tmp_path, tmp_path / "file" / "index.db"):
        with SqliteProvider(path) as provider, pytest.raises(StorageError) as caught:
            provider.newest()
        assert str(path) in str(caught.value)


def test_words_that_nobody_has_any_more_are_forgotten(path: Path) -> None:
    """The table of words holds what is there, and how often."""
    with SqliteProvider(path) as provider:
        provider.commit([Put(Row(LABEL, "x", "", "{}", (), SearchText("alpha beta")))])
        provider.commit([Put(Row(LABEL, "y", "", "{}", (), SearchText("alpha")))])
        provider.commit([Put(Row(LABEL, "x", "", "{}", (), SearchText("", "gamma")))])
    with closing(sqlite3.connect(path)) as connection:
        words = connection.execute("SELECT * FROM words ORDER BY term").fetchall()
        connection.execute("INSERT INTO terms (terms) VALUES ('integrity-check')")

    assert words == [("1a", 1), ("1alpha", 1), ("2gamma", 1)]
