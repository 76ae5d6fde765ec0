"""Files are written whole or not at all, and read only where they are files."""

import os
import stat
from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st

from atdata._exceptions import ShardError, ShardNotFoundError, SourceError
from atdata.transport import file


def test_a_written_file_is_there(tmp_path: Path) -> None:
    """The file has its bytes, its folders are made, and nothing else is left."""
    path = tmp_path / "new" / "deep" / "a.tar"

    with file.atomic_write(path) as out:
        out.write(b"whole")
        assert not path.exists()

    assert path.read_bytes() == b"whole"
    assert list(path.parent.iterdir()) == [path]


def test_a_new_file_has_ordinary_rights(tmp_path: Path) -> None:
    """A file has the rights that any program's new file has."""
    (tmp_path / "plain").touch()

    with file.atomic_write(tmp_path / "a.tar"):
        pass

    assert (tmp_path / "a.tar").stat().st_mode == (tmp_path / "plain").stat().st_mode


@pytest.mark.parametrize("error", [ValueError, KeyboardInterrupt, GeneratorExit])
def test_a_write_that_fails_leaves_the_old(tmp_path: Path, error: type[BaseException]) -> None:
    """When the block raises, the old file is untouched and the new one is gone."""
    path = tmp_path / "a.tar"
    path.write_bytes(b"old")

    def write() -> None:
        with file.atomic_write(path) as out:
            out.write(b"new, half")
            raise error

    with pytest.raises(error):
        write()

    assert path.read_bytes() == b"old"
    assert list(tmp_path.iterdir()) == [path]


def test_a_commit_that_fails_leaves_nothing(tmp_path: Path) -> None:
    """When the name is taken by a folder, the temporary file is gone."""
    path = tmp_path / "a.tar"
    path.mkdir()

    with pytest.raises(IsADirectoryError), file.atomic_write(path) as out:
        out.write(b"new")

    assert list(tmp_path.iterdir()) == [path]


def test_a_reader_keeps_what_it_opened(tmp_path: Path) -> None:
    """A file that is replaced while it is read goes on as the old one."""
    path = tmp_path / "a.tar"
    path.write_bytes(b"old")

    with file.open_file(path) as stream:
        with file.atomic_write(path) as out:
            out.write(b"new")
        assert stream.read() == b"old"

    assert path.read_bytes() == b"new"


@given(
    name=st.text(st.characters(codec="utf-8", exclude_characters="/\0"), min_size=1, max_size=60)
)
def test_any_name_has_a_temporary_one(tmp_path: Path, name: str) -> None:
    """A temporary name is in the same folder, hidden, unique, ends in `.tmp`, and can be used."""
    path = tmp_path / (name if name not in {".", ".."} else "a")

    first, second = file.temporary_beside(path), file.temporary_beside(path)

    assert first.parent == tmp_path
    assert first.name.startswith(".")
    assert first.name.endswith(".tmp")
    assert first != second
    first.touch()
    first.unlink()


def test_a_long_name_has_a_temporary_one(tmp_path: Path) -> None:
    """A name as long as a file system allows can be written."""
    path = tmp_path / ("ü" * 127)

    with file.atomic_write(path) as out:
        out.write(b"a")

    assert path.read_bytes() == b"a"


@pytest.mark.parametrize("path", ["", ".", "/"])
def test_what_names_no_file_is_refused(path: str) -> None:
    """A folder's name is not the name of a file to write."""
    with pytest.raises(ValueError, match="does not name a file"):
        file.temporary_beside(path)


@given(data=st.binary(max_size=50), start=st.integers(-60, 60), length=st.integers(0, 60))
def test_any_range_is_exact(tmp_path: Path, data: bytes, start: int, length: int) -> None:
    """A range gives exactly the bytes asked for, or an error that says what there is."""
    path = tmp_path / "a"
    path.write_bytes(data)
    first = start if start >= 0 else len(data) + start

    if start < 0 and length > -start:
        with pytest.raises(ValueError, match="before the end"):
            file.read_range(path, start, length)
    elif first < 0 or first + length > len(data):
        with pytest.raises(ShardError, match=f"holds {len(data)} bytes"):
            file.read_range(path, start, length)
    else:
        assert file.read_range(path, start, length) == data[first : first + length]
    assert file.size(path) == len(data)


def test_a_negative_length_is_refused(tmp_path: Path) -> None:
    """A length below zero is a wrong argument."""
    with pytest.raises(ValueError, match="negative"):
        file.read_range(tmp_path / "a", 0, -1)


def test_a_missing_file_is_not_found(tmp_path: Path) -> None:
    """A file that is not there, or whose folder is a file, is a `FileNotFoundError`."""
    (tmp_path / "file").touch()

    for path in (tmp_path / "none", tmp_path / "file" / "none"):
        for read in (file.open_file, file.size, lambda p: file.read_range(p, 0, 1)):
            with pytest.raises(FileNotFoundError) as caught:
                read(path)
            assert isinstance(caught.value, ShardNotFoundError)


def test_what_is_not_a_file_is_refused_at_once(tmp_path: Path) -> None:
    """Folders, pipes, sockets and devices are not opened, and nothing waits for them."""
    pipe = tmp_path / "pipe"
    os.mkfifo(pipe)
    loop = tmp_path / "loop"
    loop.symlink_to(loop)

    for path in (tmp_path, pipe, loop, Path("/dev/zero"), Path("/dev/stdin")):
        for read in (file.open_file, file.size, lambda p: file.read_range(p, 0, 1)):
            with pytest.raises(SourceError):
                read(path)


@pytest.mark.skipif(os.geteuid() == 0, reason="root may read everything")
def test_a_file_that_may_not_be_read_is_an_error(tmp_path: Path) -> None:
    """A file without the right to read it is a `SourceError`."""
    path = tmp_path / "a.tar"
    path.touch(mode=stat.S_IWUSR)

    with pytest.raises(SourceError, match="permission"):
        file.open_file(path)
