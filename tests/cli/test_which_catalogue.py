"""Which catalogue a command uses: the one that is named, and no other."""

from dataclasses import replace
from pathlib import Path

import pytest
from tests.cli.program import Point, call, run, strict_json, write_lab

import atdata
from atdata.model.record import ENTRY, Put
from atdata.services import Bucket


@pytest.fixture(scope="module")
def lab(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A catalogue that nobody changes."""
    return write_lab(tmp_path_factory.mktemp("lab"))


@pytest.fixture
def shard(tmp_path: Path) -> Path:
    """Points in a shard that no catalogue knows."""
    atdata.write_samples([Point("c", 3.0)], tmp_path / "p.tar")
    return tmp_path / "p.tar"


@pytest.fixture
def home(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """The folder of a user who has no data yet."""
    for name in ("HOME", "XDG_DATA_HOME"):
        monkeypatch.setenv(name, str(tmp_path / "home"))
    return tmp_path / "home"


READING = [
    ["show", "points"],
    ["search", "points"],
    ["versions", "points"],
    ["verify", "points"],
    ["schema", "list"],
    ["schema", "show", "@local/points"],
    ["codegen", "@local/points"],
    ["inspect", "@local/points"],
    ["preview", "@local/points"],
]
CHANGING = [
    ["label", "points", "points"],
    ["rename", "points", "x"],
    ["rm", "points", "--yes"],
    ["gc", "--remove"],
]


@pytest.mark.parametrize("args", [["ls"], *READING, *CHANGING], ids=" ".join)
def test_a_catalogue_that_is_not_there_is_never_made(args: list[str], tmp_path: Path) -> None:
    """It is an error that names the place, and the folder stays empty."""
    done = call(*args, "--db", tmp_path / "none" / "x.db")

    assert (done.returncode, done.stdout) == (1, "")
    assert str(tmp_path / "none" / "x.db") in done.stderr
    assert list(tmp_path.iterdir()) == []


def test_a_new_user_is_told_how_to_begin(home: Path) -> None:
    """Listing nothing is no failure, and makes nothing; anything else is one."""
    listed = run("ls", HOME=str(home), XDG_DATA_HOME=str(home))
    document = call("ls", "--json")
    shown = call("show", "mnist")

    assert (listed.returncode, listed.stdout) == (0, "")
    assert "atdata add NAME SHARD..." in listed.stderr
    assert strict_json(document.stdout) == {"datasets": [], "cursor": None}
    assert (shown.returncode, shown.stdout) == (1, "")
    assert not home.exists()


def test_the_users_own_is_meant_if_none_is_named(home: Path, shard: Path) -> None:
    """What the command line adds there, the library finds there."""
    assert call("add", "mine", shard).returncode == 0

    assert [entry.name for entry in atdata.Index().list_datasets()] == ["mine"]
    assert any(home.rglob("index.db"))


def test_the_environment_names_one(
    lab: Path, home: Path, shard: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """An option stands above it."""
    monkeypatch.setenv("ATDATA_INDEX", str(lab))
    call("add", "mine", shard, "--db", shard.parent / "mine.db")

    assert len(strict_json(call("ls", "--json").stdout)["datasets"]) == 3
    listed = strict_json(call("ls", "--json", "--db", shard.parent / "mine.db").stdout)
    assert [one["name"] for one in listed["datasets"]] == ["mine"]
    assert not home.exists()


@pytest.mark.parametrize(
    "args",
    [
        ["--db", "a.db", "--dsn", "postgresql://127.0.0.1/x"],
        ["--db", "a.db", "--redis", "redis://127.0.0.1"],
        ["--db", ""],
        ["--db", ":memory:"],
        ["--redis", "127.0.0.1"],
    ],
    ids=" ".join,
)
def test_a_place_that_makes_no_sense_ends_with_2(
    args: list[str], tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Nothing is opened or made."""
    monkeypatch.chdir(tmp_path)

    done = call("ls", *args)

    assert (done.returncode, done.stdout) == (2, "")
    assert done.stderr
    assert list(tmp_path.iterdir()) == []


def test_an_address_of_no_kind_ends_with_2(monkeypatch: pytest.MonkeyPatch) -> None:
    """What it may be is said, and its password is not."""
    monkeypatch.setenv("ATDATA_INDEX", "mysql://me:secret@127.0.0.1/x")

    done = call("ls")

    assert (done.returncode, done.stdout) == (2, "")
    assert "postgresql://" in done.stderr
    assert "secret" not in done.stderr


def test_a_catalogue_is_no_argument_of_plain_shards(lab: Path, shard: Path) -> None:
    """An option that would do nothing is a wrong call."""
    for command in ("inspect", "preview"):
        done = call(command, shard, "--db", lab)
        assert (done.returncode, done.stdout) == (2, "")


def test_a_file_that_is_no_catalogue_is_left_alone(shard: Path) -> None:
    """The exit code is 1."""
    before = shard.read_bytes()

    done = call("ls", "--db", shard)

    assert (done.returncode, done.stdout) == (1, "")
    assert done.stderr.startswith("cannot use ")
    assert shard.read_bytes() == before


def test_a_damaged_record_is_told_without_a_traceback(tmp_path: Path) -> None:
    """Listings leave it out; what asks for it fails."""
    db = write_lab(tmp_path)
    with atdata.Index(path=db) as index:
        row = index.provider.get(ENTRY, "points", index.get_dataset("points").cid)
        assert row is not None
        index.provider.commit([Put(replace(row, body="[]"))])

    listed, shown = call("ls", "--json", "--db", db), call("show", "points", "--db", db)

    assert [one["name"] for one in strict_json(listed.stdout)["datasets"]] == [
        "seven",
        "vision/pictures",
    ]
    assert (shown.returncode, shown.stdout) == (1, "")
    assert "damaged" in shown.stderr


@pytest.mark.parametrize("server", ["dsn", "redis"])
def test_a_catalogue_may_be_on_a_server(
    server: str, shard: Path, request: pytest.FixtureRequest, monkeypatch: pytest.MonkeyPatch
) -> None:
    """It is named by an option, or in the environment."""
    address = request.getfixturevalue("postgres_dsn" if server == "dsn" else "redis_url")

    added = call("add", "points", shard, "--checksums", f"--{server}", address)
    monkeypatch.setenv("ATDATA_INDEX", address)

    assert (added.returncode, added.stderr) == (0, "")
    assert call("verify", "points").stdout.startswith("PASS  ")
    assert [one["name"] for one in strict_json(call("ls", "--json").stdout)["datasets"]] == [
        "points"
    ]
    assert call("rm", "points", "--yes").returncode == 0


def test_a_server_that_does_not_answer_ends_with_1() -> None:
    """Its password stays with who knows it."""
    done = call("ls", "--redis", "redis://:secret@127.0.0.1:1/0")

    assert (done.returncode, done.stdout) == (1, "")
    assert "127.0.0.1:1" in done.stderr
    assert "secret" not in done.stderr


def test_shards_may_be_in_a_folder_or_a_bucket(
    shard: Path, tmp_path: Path, s3_bucket: Bucket, monkeypatch: pytest.MonkeyPatch
) -> None:
    """The store is named on each command that reads or writes shards."""
    for name, value in s3_bucket.credentials.items():
        monkeypatch.setenv(name, value)

    for store in (str(tmp_path / "kept"), f"s3://{s3_bucket.bucket}/kept"):
        db = tmp_path / f"{len(store)}.db"
        added = call("add", "p", shard, "--copy", "--db", db, "--store", store, "--json")
        assert (added.returncode, added.stderr) == (0, "")
        (stored,) = strict_json(added.stdout)["shards"]
        assert stored["url"].startswith(f"{store}/p/")
        assert call("verify", "p", "--db", db, "--store", store).stdout.startswith("PASS")
        assert "3.0" in call("preview", "@local/p", "--db", db, "--store", store).stdout
        removed = call("rm", "p", "--yes", "--json", "--db", db, "--store", store)
        assert len(strict_json(removed.stdout)["shards"]) == 1


def test_the_shell_completes_names(lab: Path) -> None:
    """Names of datasets, and versions after a name; a catalogue that is not there has none."""
    answers = [
        run(
            _ATDATA_COMPLETE="complete_bash", COMP_WORDS=f"atdata {words}", COMP_CWORD=str(n)
        ).stdout.split()
        for words, n in (
            (f"show --db {lab} v", 4),
            (f"show --db {lab} vision/pictures@", 4),
            (f"show --db {lab.parent / 'none.db'} v", 4),
            ("ver", 1),
        )
    ]

    assert answers == [
        ["vision/pictures"],
        ["vision/pictures@1.0.0", "vision/pictures@1.1.0"],
        [],
        ["version", "versions", "verify"],
    ]
    assert not (lab.parent / "none.db").exists()
