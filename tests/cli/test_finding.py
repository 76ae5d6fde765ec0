"""`atdata ls`, `search`, `show`, `versions` and `verify`, run as they are."""

import json
from pathlib import Path

import pytest
from tests.cli.program import (
    Done,
    call,
    damage,
    in_a_terminal,
    is_harmless,
    run,
    strict_json,
    write_lab,
)

import atdata

ESCAPE = "\x1b]0;owned\x07[bold red]\x9b31m\u202e"


@pytest.fixture(scope="module")
def lab(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A catalogue that nobody changes."""
    return write_lab(tmp_path_factory.mktemp("lab"))


def names(done: Done) -> list[str]:
    assert done.returncode == 0, done.stderr
    return [one["name"] for one in strict_json(done.stdout)["datasets"]]


def test_ls_lists_datasets_in_aligned_columns(lab: Path) -> None:
    """Each name is there once, with what it stands for now; empty columns are left out."""
    done = run("ls", "--db", lab)

    assert (done.returncode, done.stderr) == (0, "")
    head, points, seven, pictures = done.stdout.splitlines()
    assert head.split() == [
        "name", "version", "shards", "samples", "bytes", "schema", "tags", "description",
    ]  # fmt: skip
    assert points.split()[:3] == ["points", "1", "2"]
    assert seven.split()[-1] == "DictSample@1.0.0"
    assert pictures.startswith("vision/pictures  1.1.0    2       5 ")
    assert pictures.endswith("vision, large  Pictures of numbers")


def test_ls_gives_all_in_pages(lab: Path) -> None:
    """A page's cursor leads to the next; the last one has none."""
    first = call("ls", "--db", lab, "--json", "--limit", "2")
    cursor = strict_json(first.stdout)["cursor"]
    last = call("ls", "--db", lab, "--json", "--limit", "2", "--cursor", cursor)
    hint = call("ls", "--db", lab, "--limit", "2")

    assert names(first) == ["points", "seven"]
    assert names(last) == ["vision/pictures"]
    assert strict_json(last.stdout)["cursor"] is None
    assert f"--cursor {cursor}" in hint.stderr
    assert names(call("ls", "--db", lab, "--json", "--all")) == names(first) + names(last)


def test_search_finds_by_words_tags_and_schema(lab: Path) -> None:
    """Every word has to fit, and every tag."""
    found = run("search", "number", "pict", "--json", "--db", lab)

    (hit,) = strict_json(found.stdout)["datasets"]
    assert (hit["name"], hit["found_as"], hit["version"]) == ("vision/pictures",) * 2 + ("1.1.0",)
    assert 0 < hit["score"] <= 1
    assert names(call("search", "--tag", "vision", "--tag", "large", "--json", "--db", lab))
    assert names(call("search", "--tag", "vision", "--tag", "small", "--json", "--db", lab)) == []
    schema = "atdata://local/schema/Point@1.0.0"
    assert names(call("search", "--schema", schema, "--json", "--db", lab)) == ["points"]


def test_search_gives_the_rest_by_its_cursor(lab: Path) -> None:
    """Pages of a search hold each dataset once."""
    cursor, found = [], []
    for _ in range(3):
        done = call("search", "--db", lab, "--json", "--limit", "1", *cursor)
        found += names(done)
        cursor = ["--cursor", strict_json(done.stdout)["cursor"]]

    assert sorted(found) == ["points", "seven", "vision/pictures"]


def test_that_nothing_fits_is_no_failure(lab: Path) -> None:
    """It is said on stderr, and the exit code is 0."""
    assert call("search", "nobody", "--db", lab) == Done(0, "", "no dataset fits\n")


def test_show_says_everything_of_an_entry(lab: Path) -> None:
    """A version is meant exactly; the text says it for people."""
    done = run("show", "@local/vision/pictures@1.1.0", "--json", "--db", lab)
    text = call("show", "vision/pictures", "--db", lab).stdout

    found = strict_json(done.stdout)
    assert list(found) == [
        "name", "repo", "version", "cid", "schema_ref", "n_shards", "n_samples", "n_bytes",
        "description", "tags", "license", "created_at", "metadata", "parents", "pipeline",
        "shards",
    ]  # fmt: skip
    assert (found["n_samples"], found["license"], found["metadata"]) == (
        5,
        "MIT",
        {"size": [2, 3]},
    )
    assert [shard["n_samples"] for shard in found["shards"]] == [3, 2]
    assert all(Path(shard["url"]).exists() for shard in found["shards"])
    assert text.startswith("@local/vision/pictures@1.1.0\n")
    assert found["cid"] in text
    assert found["shards"][1]["url"] in text


def test_versions_are_in_their_order(lab: Path) -> None:
    """One of them is the latest."""
    done = run("versions", "vision/pictures", "--json", "--db", lab)
    text = call("versions", "@local/vision/pictures", "--db", lab).stdout

    found = strict_json(done.stdout)["versions"]
    assert [(one["version"], one["is_latest"], one["n_samples"]) for one in found] == [
        ("1.0.0", False, 2),
        ("1.1.0", True, 5),
    ]
    assert [line.split()[0] for line in text.splitlines()] == ["version", "1.0.0", "1.1.0"]


@pytest.fixture
def damaged(tmp_path: Path) -> Path:
    """A catalogue with a shard that was changed, and one that went."""
    db = write_lab(tmp_path)
    with atdata.Index(path=db) as index:
        changed, gone = index.get_dataset("vision/pictures").data_urls
    damage(Path(changed), 700)
    Path(gone).unlink()
    return db


def test_verify_says_pass_for_each_whole_shard(lab: Path) -> None:
    """And for what lies beside it; the summary is the last line."""
    done = run("verify", "vision/pictures", "--db", lab)

    assert (done.returncode, done.stderr) == (0, "")
    *shards, last = done.stdout.splitlines()
    assert [line.split()[0] for line in shards] == ["PASS"] * 6
    assert last == "vision/pictures: 2 ok; beside them 4 ok"


def test_verify_fails_for_a_shard_that_changed_or_went(damaged: Path) -> None:
    """The exit code is 1; the version that is whole passes."""
    done = run("verify", "vision/pictures", "--db", damaged)
    document = strict_json(call("verify", "vision/pictures", "--json", "--db", damaged).stdout)

    assert done.returncode == 1
    assert [line.split()[0] for line in done.stdout.splitlines()[:2]] == ["FAIL", "FAIL"]
    assert "its SHA-256 is not that in the catalogue" in done.stdout
    assert [shard["status"] for shard in document["shards"]] == ["mismatch", "error"]
    assert document["ok"] is False
    assert call("verify", "vision/pictures@1.0.0", "--db", damaged).returncode == 0


def test_verify_skips_what_has_no_digest(tmp_path: Path) -> None:
    """Nothing was compared, and that is said."""
    atdata.write_samples([atdata.DictSample(n=1)], tmp_path / "a.tar")
    call("add", "a", tmp_path / "a.tar", "--db", tmp_path / "x.db")

    done = call("verify", "a", "--db", tmp_path / "x.db")

    assert done.returncode == 0
    assert done.stdout.startswith("SKIP  ")
    assert "holds no digest" in done.stderr


def test_a_terminal_is_told_nothing_by_the_catalogue(tmp_path: Path) -> None:
    """Descriptions, tags and metadata may be anyone's; JSON is in ASCII."""
    with atdata.Index(path=tmp_path / "h.db") as index:
        index.write(
            [atdata.DictSample(n=1)],
            name="h",
            description=ESCAPE,
            tags=[ESCAPE],
            metadata={ESCAPE: ESCAPE},
            license=ESCAPE,
        )

    for command in (["ls"], ["search", "h"], ["show", "h"], ["versions", "h"]):
        text = call(*command, "--db", tmp_path / "h.db")
        document = call(*command, "--json", "--db", tmp_path / "h.db").stdout
        assert text.returncode == 0
        assert is_harmless(text.stdout)
        assert document.isascii()
        assert json.dumps(ESCAPE)[1:-1] in document


def test_a_terminal_gets_a_table_of_datasets(lab: Path) -> None:
    """There is a line under the head."""
    shown, code = in_a_terminal(["ls", "--db", str(lab)], 150)

    assert code == 0
    assert "\u2500" * 20 in shown
    assert "vision/pictures" in shown


@pytest.mark.parametrize(
    "args",
    [
        ["show"],
        ["show", "@nobody"],
        ["show", "../x"],
        ["show", "a@"],
        ["versions", "vision/pictures@1.0.0"],
        ["ls", "--limit", "0"],
        ["ls", "--all", "--limit", "2"],
        ["ls", "--cursor", "x"],
        ["ls", "--repo", "nowhere"],
        ["search", "--schema", "Point"],
        ["search", "--cursor", "x"],
        ["verify", "a", "--store", "ftp://x/y"],
    ],
    ids=" ".join,
)
def test_arguments_that_make_no_sense_end_with_2(args: list[str], lab: Path) -> None:
    """A wrong call is told from a dataset that is not there."""
    done = call(*args, "--db", lab)

    assert (done.returncode, done.stdout) == (2, "")
    assert done.stderr


@pytest.mark.parametrize("ref", ["pictures", "vision/pictures@9.9.9", "@lab/x", "at://x/y"])
@pytest.mark.parametrize("command", ["show", "versions", "verify"])
def test_what_is_not_there_ends_with_1(command: str, ref: str, lab: Path) -> None:
    """The message says what there is."""
    if command == "versions" and "@9" in ref:
        ref = "pictures"

    done = call(command, ref, "--db", lab)

    assert (done.returncode, done.stdout) == (1, "")
    assert done.stderr
