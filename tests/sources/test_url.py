"""Shards by path and by URL."""

import pickle
from collections.abc import Callable
from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st
from tests.http_server import FileServer

from atdata._exceptions import ShardError, ShardNotFoundError, UnsafeURLError
from atdata._protocols import DataSource, SupportsLocalPath, SupportsRange
from atdata._sources import URLSource as Addressed
from atdata.sources.url import URLSource


@pytest.fixture
def folder(tmp_path: Path) -> Path:
    """A folder with four small files."""
    for name in ("a-0.tar", "a-1.tar", "b{1,2}.tar", "c\\d.tar"):
        (tmp_path / name).write_bytes(name.encode())
    return tmp_path


def contents(source: URLSource) -> list[bytes]:
    found: list[bytes] = []
    for shard_id, stream in source.shards:
        with stream:
            found.append(stream.read())
        assert source.shard_size(shard_id) == len(found[-1])
    return found


def test_a_source_is_every_kind_of_source() -> None:
    """It lists, opens, knows local paths and reads ranges; its old address is the same class."""
    source = URLSource("a.tar")

    assert isinstance(source, DataSource)
    assert isinstance(source, SupportsLocalPath)
    assert isinstance(source, SupportsRange)
    assert Addressed is URLSource


def test_braces_in_text_stand_for_many(folder: Path) -> None:
    """Text is a pattern; all its shards are listed in order and can be read."""
    source = URLSource(f"{folder}/a-{{0..1}}.tar")

    assert source.list_shards() == [f"{folder}/a-0.tar", f"{folder}/a-1.tar"]
    assert contents(source) == [b"a-0.tar", b"a-1.tar"]


@pytest.mark.parametrize("name", ["b{1,2}.tar", "c\\d.tar"])
@pytest.mark.parametrize(
    "form", [Path, str, lambda path: f"file:{path}", lambda path: [str(path)]]
)
def test_a_file_with_braces_in_its_name_is_itself(
    folder: Path, name: str, form: Callable[[Path], str | Path | list[str]]
) -> None:
    """A path under which a file lies is not expanded, and a `Path` never is."""
    source = URLSource(form(folder / name))

    assert len(source.list_shards()) == 1
    assert contents(source) == [name.encode()]
    assert URLSource(Path("x{1,2}.tar")).list_shards() == ["x{1,2}.tar"]


def test_a_long_pattern_is_no_file() -> None:
    """A pattern that is longer than a file's name may be is still a pattern."""
    assert len(URLSource("{" + ",".join(map(str, range(2000))) + "}").list_shards()) == 2000


def test_a_list_is_read_in_order(folder: Path) -> None:
    """Paths and patterns mix in a list, and what comes twice is read twice."""
    source = URLSource([folder / "b{1,2}.tar", f"{folder}/a-{{1..0}}.tar", f"{folder}/a-1.tar"])

    assert contents(source) == [b"b{1,2}.tar", b"a-1.tar", b"a-0.tar", b"a-1.tar"]


@pytest.mark.parametrize("name", ["pipe:id", "-", "s3:x", "file:x"])
def test_a_path_may_be_called_anything(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, name: str
) -> None:
    """A `Path` is a file, also when its name looks like an address."""
    monkeypatch.chdir(tmp_path)
    Path(name).write_bytes(b"here")

    assert contents(URLSource(Path(name))) == [b"here"]
    assert contents(URLSource(f"./{name}")) == [b"here"]


def test_the_home_sign_is_not_expanded() -> None:
    """`~` is a character like any other."""
    assert URLSource("~/a.tar").local_path("~/a.tar") == Path("~/a.tar")


@pytest.mark.parametrize(
    "url", ["pipe:touch {here}", "-", "ftp://a/b", "s3://b/k", "pipe:id|{here}"]
)
def test_what_is_no_file_is_not_opened(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, url: str
) -> None:
    """No address runs a command, reads standard input, or leaves for another protocol."""
    canary = tmp_path / "ran"
    url = url.replace("{here}", str(canary))
    monkeypatch.setenv("GOPEN_REWRITE", f"x=pipe:touch {canary}")
    source = URLSource(url)

    for use in (source.open_shard, source.shard_size, source.local_path):
        with pytest.raises(UnsafeURLError):
            use(url)

    assert not canary.exists()


def test_an_unknown_shard_is_a_key_error(folder: Path) -> None:
    """Only shards that are listed are opened, whatever else lies there."""
    source = URLSource(f"{folder}/a-0.tar")

    for use in (source.open_shard, source.shard_size, source.local_path):
        with pytest.raises(KeyError, match="Shard not found"):
            use(f"{folder}/a-1.tar")
    with pytest.raises(KeyError, match="Shard not found"):
        source.read_range(f"{folder}/a-1.tar", 0, 1)
    with pytest.raises(KeyError) as caught:
        source.open_shard("https://me:secret@example.org/a?sig=secret")
    assert "secret" not in str(caught.value)


def test_a_missing_file_is_not_found(tmp_path: Path) -> None:
    """A shard that is listed and not there is a `FileNotFoundError` when it is opened."""
    source = URLSource(str(tmp_path / "none.tar"))

    with pytest.raises(FileNotFoundError) as caught:
        source.open_shard(source.list_shards()[0])

    assert isinstance(caught.value, ShardNotFoundError)
    assert isinstance(caught.value, ShardError)


def test_a_shard_on_a_server_is_read(server: FileServer) -> None:
    """Braces, streams, sizes and ranges work for web addresses, which are no local paths."""
    urls = [server.put(f"a-{n}.tar", f"shard {n}".encode()) for n in range(3)]
    source = URLSource(server.url("a-{0..2}.tar"))

    assert source.list_shards() == urls
    assert contents(source) == [b"shard 0", b"shard 1", b"shard 2"]
    assert source.read_range(urls[1], -1, 1) == b"1"
    assert source.local_path(urls[0]) is None
    with pytest.raises(FileNotFoundError):
        URLSource(server.url("none.tar")).open_shard(server.url("none.tar"))


def test_shards_are_opened_one_by_one(folder: Path) -> None:
    """The second shard is opened when it is asked for, and not before."""
    source = URLSource([folder / "a-0.tar", folder / "none.tar"])
    shards = source.shards

    _, stream = next(shards)
    stream.close()

    with pytest.raises(FileNotFoundError):
        next(shards)


def test_braces_are_expanded_once() -> None:
    """The list is made once, and each caller has its own."""
    source = URLSource("a-{0..9}.tar")

    source.list_shards().clear()

    assert len(source.list_shards()) == 10
    assert source._ids is source._ids


def test_too_many_names_are_refused() -> None:
    """The limit on names holds for the whole list together."""
    with pytest.raises(ValueError, match="stands for"):
        URLSource("a-{0..1000000}.tar").list_shards()
    with pytest.raises(ValueError, match="at most 0 are made"):
        URLSource(["a-{1..1000000}.tar", "b.tar"]).list_shards()


@given(
    url=st.text(max_size=20)
    | st.text(max_size=20).filter(lambda s: "\0" not in s).map(Path)
    | st.lists(st.text(max_size=20), min_size=1, max_size=3)
)
def test_any_source_survives_pickling(url: str | Path | list[str]) -> None:
    """A source that went to another process is equal, hashes alike, and looks alike."""
    source = URLSource(url)

    copy = pickle.loads(pickle.dumps(source))

    assert copy == source
    assert hash(copy) == hash(source)
    assert repr(copy) == repr(source)


def test_a_source_does_not_change() -> None:
    """A source is a value: equal by its URLs, and fixed."""
    source = URLSource("a.tar")

    assert source.url == "a.tar"
    assert source == URLSource("a.tar") != URLSource("b.tar")
    assert URLSource(["a", Path("b")]).url == ("a", Path("b"))
    with pytest.raises(AttributeError):
        source.url = "b.tar"  # type: ignore[misc]


def test_a_repr_is_short_and_has_no_secrets() -> None:
    """A repr shows the first addresses without password and query."""
    source = URLSource([f"https://me:secret@h.org/{n}?sig=secret" for n in range(9)])

    assert repr(source) == (
        "URLSource(['https://h.org/0', 'https://h.org/1', 'https://h.org/2', … 6 more])"
    )
    assert repr(URLSource("a-{0..9}.tar")) == "URLSource('a-{0..9}.tar')"


@pytest.mark.parametrize(
    "url", [None, 3, b"a.tar", {"a.tar"}, ["a.tar", 3], [["a.tar"]], iter("a")]
)
def test_what_is_no_url_is_refused(url: object) -> None:
    """A source is made of text and paths only."""
    with pytest.raises(TypeError, match=r"must be|a URL is"):
        URLSource(url)  # type: ignore[arg-type]


def test_an_empty_list_is_refused() -> None:
    """No shards at all is a mistake."""
    with pytest.raises(ValueError, match="empty"):
        URLSource([])
