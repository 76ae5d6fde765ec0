"""Loading from web servers: addresses, patterns by the pages that list folders, and streaming."""

import multiprocessing
import pickle
from pathlib import Path

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from tests.http_server import Fault, FileServer
from tests.load.folders import fill, read, shard

import atdata
from atdata import Dataset, DictSample, ShardNotFoundError, SourceError
from atdata.load import _pages, load_dataset
from atdata.load._pages import links

NAMES = ["train-1.tar", "train-2.tar", "train-10.tar", "test/a.tar", "test/b c.tar.gz", "x.txt"]


@pytest.fixture(autouse=True)
def cache(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """A cache folder of the test's own."""
    monkeypatch.setenv("ATDATA_CACHE_DIR", str(tmp_path / "cache"))
    return tmp_path / "cache"


@pytest.fixture
def served(server: FileServer) -> FileServer:
    """A server of some shards in folders whose names mislead."""
    fill(server.folder / "test" / "data", NAMES)
    return server


@pytest.mark.parametrize(
    ("path", "wanted"),
    [
        ("test/data/train-1.tar", {"train": ["train-1.tar"]}),
        ("test/data/train-{1..2}.tar", {"train": ["train-1.tar", "train-2.tar"]}),
        ("test/data/train-*.tar", {"train": ["train-1.tar", "train-2.tar", "train-10.tar"]}),
        ("test/data/train-[12].tar", {"train": ["train-1.tar", "train-2.tar"]}),
        (
            "test/data/",
            {
                "train": ["train-1.tar", "train-2.tar", "train-10.tar"],
                "test": ["test/a.tar", "test/b c.tar.gz"],
            },
        ),
        ("test/data/**/a.tar", {"test": ["test/a.tar"]}),
        ("test/data/t*/*.tar", {"test": ["test/a.tar"]}),
        (
            "test/data/{train-1,test/*}.tar",
            {"train": ["train-1.tar"], "test": ["test/a.tar"]},
        ),
    ],
)
def test_addresses_are_loaded_as_paths_are(
    served: FileServer, path: str, wanted: dict[str, list[str]]
) -> None:
    """Files, braces, folders, and patterns; neither host nor folders above say a split."""
    splits = load_dataset(served.url(path))

    assert {name: read(dataset) for name, dataset in splits.items()} == wanted


def test_data_files_are_relative_to_an_address(served: FileServer) -> None:
    """Names and patterns below a folder of a server, with and without a slash at its end."""
    for base in ("test/data", "test/data/"):
        splits = load_dataset(
            served.url(base), data_files={"train": "train-*.tar", "test": ["test/a.tar"]}
        )

        assert read(splits["train"]) == ["train-1.tar", "train-2.tar", "train-10.tar"]
        assert read(splits["test"]) == ["test/a.tar"]


def test_places_may_be_mixed(served: FileServer, tmp_path: Path) -> None:
    """A list may hold files of this machine and of servers."""
    fill(tmp_path / "here", ["train-0.tar"])

    dataset = load_dataset([tmp_path / "here", served.url("test/data/train-1.tar")], split="train")

    assert read(dataset) == ["train-0.tar", "train-1.tar"]


def test_names_that_must_be_escaped_are_read(server: FileServer) -> None:
    """Braces, percent signs, spaces and letters of any script, found by a pattern."""
    names = ["a b.tar", "c%41.tar", "d{1,2}.tar", "é.tar", "e?.tar", "f#.tar", "g&amp;.tar"]
    fill(server.folder, names)

    dataset = load_dataset(server.url("*.tar"), split="train")

    assert sorted(read(dataset)) == sorted(names)


def test_user_name_and_password_go_along(served: FileServer) -> None:
    """What an address holds is sent with the page and with the files, and never shown."""
    address = served.url("test/data/train-*.tar").replace("http://", "http://me:secret@")

    dataset = load_dataset(address, split="train")

    assert len(read(dataset)) == 3
    assert all("authorization" in seen.headers for seen in served.seen)
    assert "secret" not in repr(dataset)
    assert "secret" not in repr(load_dataset(address))


def test_what_fits_nothing_tells_what_is_listed(served: FileServer) -> None:
    """A pattern that nothing fits is a FileNotFoundError."""
    with pytest.raises(ShardNotFoundError, match=r"holds .*train-1\.tar") as caught:
        load_dataset(served.url("test/data/valid-*.tar"))

    assert isinstance(caught.value, FileNotFoundError)


@pytest.mark.parametrize(
    ("fault", "said"),
    [
        (Fault(status=403), "A pattern needs a page that lists the folder"),
        (Fault(status=404), "has no page for the folder"),
        (Fault(redirect="file:///etc/passwd"), "not allowed"),
    ],
)
def test_a_folder_that_is_not_listed_is_an_error(
    served: FileServer, fault: Fault, said: str
) -> None:
    """The error says what a pattern needs, and what to write without it."""
    served.always = fault

    with pytest.raises((SourceError, ShardNotFoundError), match=said):
        load_dataset(served.url("test/data/*.tar"))


def test_a_page_leads_nowhere_else(server: FileServer, tmp_path: Path) -> None:
    """Links out of the folder, to other servers, or of another kind are no files of it."""
    fill(server.folder, ["secret/train.tar", "data/ok.tar", "data/sub/ok.tar"])
    port = server.port
    page = f"""
        <a href="../secret/train.tar">1</a> <a href="/secret/train.tar">2</a>
        <a href="..%2fsecret%2ftrain.tar">3</a> <a href="%2e%2e/secret/train.tar">4</a>
        <a href="http://localhost:{port}/data/x.tar">5</a> <a href="//example.org/data/x.tar">6</a>
        <a href="file:///etc/passwd.tar">7</a> <a href="javascript:a.tar">8</a>
        <a href="pipe:cat x.tar">9</a> <a href="x.tar?C=N">10</a> <a href="sub/deep.tar">11</a>
        <a href="http://me:pw@127.0.0.1:{port}/data/x.tar">12</a> <a href="a%0Ab.tar">13</a>
        <a href="..">14</a> <a href="../">15</a> <a href="./">16</a> <a href="%5cx.tar">17</a>
        <a href="http://[::1/x.tar">18</a> <a href="">19</a> <a href="#x.tar">20</a>
        <A class="x" HREF='ok.tar'>yes</A> <a href=http://127.0.0.1:{port}/data/sub/>yes</a>
        <a href="ok.tar">again</a>
    """
    server.put("data/index.html", page.encode())

    dataset = load_dataset(server.url("data/"), split="train")

    assert read(dataset) == ["data/ok.tar", "data/sub/ok.tar"]


def test_a_server_that_lists_for_ever_is_left(
    server: FileServer, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Folders without end, and pages without end, are errors."""
    loop = server.folder / "loop"
    loop.mkdir(parents=True)
    (loop / "on").symlink_to(loop)
    server.put("large/index.html", b"<a href='a.tar'>" * 1000)
    monkeypatch.setattr(_pages, "_DEEPEST", 8)
    monkeypatch.setattr(_pages, "_MOST_BYTES", 10_000)

    with pytest.raises(SourceError, match="goes on for ever"):
        load_dataset(server.url("loop/"))
    with pytest.raises(SourceError, match="more than 10000 bytes"):
        load_dataset(server.url("large/*.tar"))


@settings(max_examples=150, deadline=None)
@given(page=st.text(alphabet="<a href='\"=>./%2fx:\\?#{}\n\x00é", max_size=60))
def test_any_page_lists_only_names_of_its_folder(page: str) -> None:
    """Whatever a page says, a listed name is one part long and is not '..'."""
    for link in links(f"<a href='{page}'>{page}", "https://example.org/data/"):
        name = link.removesuffix("/")
        assert name not in {"", ".", ".."}
        assert not set(name) & set("/\\?#{}\n\0")


# -- streaming


def shuffled(dataset: Dataset[DictSample]) -> list[str]:
    return sorted(sample.of for sample in dataset.shuffled(seed=1))


def test_shuffled_reading_keeps_shards_unless_it_streams(served: FileServer, cache: Path) -> None:
    """With `streaming`, the same samples come, and no file is left in the cache."""
    url = served.url("test/data/train-*.tar")

    streamed = load_dataset(url, streaming=True)
    assert streamed.streaming
    assert shuffled(streamed["train"]) == ["train-1.tar", "train-10.tar", "train-2.tar"]
    assert streamed["train"][0].of == "train-1.tar"
    assert [path for path in cache.rglob("*") if path.is_file()] == []

    kept = load_dataset(url)
    assert not kept.streaming
    assert shuffled(kept["train"]) == shuffled(streamed["train"])
    assert len(list(cache.glob("*.tar"))) == 3


def test_streaming_reads_ordered_samples_from_their_place(served: FileServer, cache: Path) -> None:
    """What is read in order is read as without `streaming`: nothing is fetched whole."""
    dataset = load_dataset(served.url("test/data/"), split="train+test", streaming=True)

    assert len(read(dataset)) == 5
    assert len(read(dataset.filter(lambda sample: True))) == 5
    assert not cache.exists() or list(cache.iterdir()) == []


def in_process(data: bytes, results: "multiprocessing.Queue[list[str]]") -> None:
    results.put(shuffled(pickle.loads(data)))


def test_streaming_goes_along_to_other_processes(served: FileServer, cache: Path) -> None:
    """A pickled dataset streams too."""
    dataset = load_dataset(served.url("test/data/train-*.tar"), split="train", streaming=True)
    context = multiprocessing.get_context("forkserver")
    results: multiprocessing.Queue[list[str]] = context.Queue()
    process = context.Process(target=in_process, args=(pickle.dumps(dataset), results))

    process.start()
    found = results.get(timeout=60)
    process.join()

    assert found == ["train-1.tar", "train-10.tar", "train-2.tar"]
    assert [path for path in cache.rglob("*") if path.is_file()] == []


def test_streaming_is_an_option_that_can_be_changed(served: FileServer, cache: Path) -> None:
    """It can be taken back, and a folder for shards takes it back too."""
    url = served.url("test/data/train-1.tar")
    dataset = Dataset[DictSample](url, streaming=True)

    assert shuffled(dataset.with_options(streaming=False)) == ["train-1.tar"]
    assert len(list(cache.glob("*.tar"))) == 1
    assert shuffled(dataset.with_options(cache_dir=cache / "mine")) == ["train-1.tar"]
    assert len(list((cache / "mine").glob("*.tar"))) == 1
    with pytest.raises(ValueError, match="streaming keeps none"):
        Dataset[DictSample](url, streaming=True, cache_dir=cache)


def test_compressed_and_small_shards_are_the_same_streamed(served: FileServer) -> None:
    """A shard without an index, and one that is compressed, are shuffled without a cache."""
    served.put("plain.tar", shard("plain.tar"))
    urls = [served.url("plain.tar"), served.url("test/data/test/b%20c.tar.gz")]

    dataset = load_dataset(urls, split="all", streaming=True)

    assert shuffled(dataset) == ["plain.tar", "test/b c.tar.gz"]
    assert atdata.concat([dataset, dataset])[2].of == read(dataset)[0]
