"""`atdata add`, `label`, `rename`, `rm` and `gc`, run as they are."""

import os
import signal
import subprocess
import sys
from pathlib import Path
from typing import Any

import pytest
from tests.cli.program import (
    ENVIRONMENT,
    Point,
    call,
    damage,
    in_a_terminal,
    pictures,
    run,
    strict_json,
    write_lab,
)

import atdata


@pytest.fixture
def lab(tmp_path: Path) -> Path:
    """A catalogue to be changed."""
    return write_lab(tmp_path)


def opened(lab: Path) -> atdata.Index:
    return atdata.Index(path=lab)


def names(lab: Path) -> list[str]:
    with opened(lab) as index:
        return [entry.name for entry in index.list_datasets()]


def document(*args: object) -> Any:
    done = call(*args, "--json")
    assert (done.returncode, done.stderr) == (0, "")
    return strict_json(done.stdout)


def test_add_catalogues_shards_where_they_lie(tmp_path: Path) -> None:
    """The catalogue is made; what was said of the dataset is in it."""
    atdata.write_samples(pictures(5), tmp_path / "p.tar", maxcount=3)
    db = tmp_path / "new" / "my.db"

    done = run(
        "add", "pics", tmp_path / "p-{000000..000001}.tar", "--db", db, "--version", "1.0.0",
        "--tag", "a", "--tag", "b", "--description", "Some", "--license", "MIT", "--json",
    )  # fmt: skip

    assert (done.returncode, done.stderr) == (0, "")
    found = strict_json(done.stdout)
    assert (found["n_samples"], found["version"], found["tags"]) == (5, "1.0.0", ["a", "b"])
    assert (found["description"], found["license"]) == ("Some", "MIT")
    assert [Path(shard["url"]).parent for shard in found["shards"]] == [tmp_path] * 2
    assert len(opened(db).open("pics@1.0.0")) == 5


def test_add_copies_if_that_is_wanted(tmp_path: Path) -> None:
    """A copy has digests, and stays when the shard goes."""
    shard = tmp_path / "p.tar"
    atdata.write_samples(pictures(2), shard)

    done = call("add", "pics", shard, "--copy", "--db", tmp_path / "my.db")
    shard.unlink()

    assert done.returncode == 0
    assert done.stdout.startswith("pics  2 samples in 1 shard  bafy")
    verified = call("verify", "pics", "--db", tmp_path / "my.db")
    assert (verified.returncode, verified.stdout[:4]) == (0, "PASS")


def test_add_takes_digests_of_what_stays(tmp_path: Path) -> None:
    """What changes afterwards is found out."""
    shard = tmp_path / "p.tar"
    atdata.write_samples(pictures(2), shard)
    call("add", "pics", shard, "--checksums", "--db", tmp_path / "my.db")
    before = call("verify", "pics", "--db", tmp_path / "my.db")
    damage(shard, 700)

    after = call("verify", "pics", "--db", tmp_path / "my.db")

    assert (before.returncode, after.returncode) == (0, 1)


def test_added_shards_may_have_a_schema_that_is_there(lab: Path) -> None:
    """It is tried on the first sample before anything is catalogued."""
    schema = "atdata://local/schema/Point@1.0.0"
    points, others = lab.parent / "points.tar", lab.parent / "others.tar"
    atdata.write_samples([Point("c", 3.0)], points)
    atdata.write_samples(pictures(1), others)

    fits = call("add", "more", points, "--schema", schema, "--db", lab)
    fails = call("add", "wrong", others, "--schema", schema, "--db", lab)

    assert (fits.returncode, fails.returncode) == (0, 1)
    assert opened(lab).open("more")[0].x == 3.0
    assert "wrong" not in names(lab)


def test_a_version_is_added_once(tmp_path: Path) -> None:
    """A second one of the same name is refused, and changes nothing."""
    atdata.write_samples(pictures(1), tmp_path / "a.tar")
    atdata.write_samples(pictures(2), tmp_path / "b.tar")
    args = ["--version", "1.0.0", "--db", tmp_path / "my.db"]

    codes = [call("add", "x", tmp_path / name, *args).returncode for name in ("a.tar", "b.tar")]

    assert codes == [0, 1]
    assert len(opened(tmp_path / "my.db").open("x")) == 1


def test_shards_that_are_not_there_make_no_dataset(tmp_path: Path) -> None:
    """The place is named."""
    done = call("add", "x", tmp_path / "none.tar", "--db", tmp_path / "my.db")

    assert done.returncode == 1
    assert "none.tar" in done.stderr
    assert names(tmp_path / "my.db") == []


def test_label_gives_a_version_to_what_is_there(lab: Path) -> None:
    """It is meant by its CID, or by a reference."""
    with opened(lab) as index:
        cid = index.get_dataset("points").cid

    done = run("label", "points", cid, "--version", "1.0.0", "--description", "First", "--db", lab)
    same = document("label", "alias", "points@1.0.0", "--db", lab)

    assert done.stdout == f"points@1.0.0 stands for {cid}\n"
    assert same == {"name": "alias", "version": None, "cid": cid}
    versions = document("versions", "points", "--db", lab)["versions"]
    assert [(one["version"], one["description"]) for one in versions] == [("1.0.0", "First")]
    assert len(opened(lab).open("alias")) == 2


def test_a_semantic_version_moves_by_force_only(lab: Path) -> None:
    """Without it, the exit code is 1 and the version is what it was."""
    move = ["label", "vision/pictures", "vision/pictures@1.1.0", "--version", "1.0.0", "--db", lab]

    refused, forced = call(*move), call(*move, "--force")

    assert (refused.returncode, forced.returncode) == (1, 0)
    assert len(opened(lab).open("vision/pictures@1.0.0")) == 5


def test_rename_takes_all_versions_along(lab: Path) -> None:
    """The old name is free, and a taken one is refused."""
    done = run("rename", "vision/pictures", "images", "--db", lab, "--json")
    taken = call("rename", "images", "points", "--db", lab)

    assert (done.returncode, strict_json(done.stdout)["new"]) == (0, "images")
    assert taken.returncode == 1
    assert names(lab) == ["images", "points", "seven"]
    assert len(opened(lab).open("images@1.0.0")) == 2


def test_rm_shows_first_what_would_go(lab: Path) -> None:
    """A dry run names entries, labels and shards, and removes nothing."""
    trial = run("rm", "vision/pictures@1.1.0", "--dry-run", "--json", "--db", lab)
    removed = document("rm", "vision/pictures@1.1.0", "--yes", "--db", lab)

    planned = strict_json(trial.stdout)
    assert planned == removed | {"dry_run": True}
    assert len(removed["shards"]) == 2
    assert {"name": "vision/pictures", "version": "1.1.0"} in removed["labels"]
    assert len(opened(lab).open("vision/pictures")) == 2
    assert not any((lab.parent / "lab-data" / key).exists() for key in removed["shards"])


def test_rm_keeps_shards_if_that_is_wanted(lab: Path) -> None:
    """They are in the store, and nobody refers to them."""
    with opened(lab) as index:
        urls = index.get_dataset("points").data_urls

    done = call("rm", "points", "--keep-shards", "--yes", "--db", lab)

    assert (done.returncode, names(lab)) == (0, ["seven", "vision/pictures"])
    assert done.stdout.endswith("removed: 1 entry, 1 label, 0 shards\n")
    assert all(Path(url).exists() for url in urls)


def test_rm_removes_other_names_by_force_only(lab: Path) -> None:
    """Who uses another name is not surprised."""
    call("label", "alias", "points", "--db", lab)

    refused = call("rm", "points", "--yes", "--db", lab)
    forced = call("rm", "points", "--yes", "--force", "--db", lab)

    assert (refused.returncode, forced.returncode) == (1, 0)
    assert "alias" in refused.stderr
    assert names(lab) == ["seven", "vision/pictures"]


def test_rm_asks_nobody_where_nobody_is(lab: Path) -> None:
    """Without `--yes`, and without a terminal, it is a wrong call."""
    done = run("rm", "points", "--db", lab)

    assert (done.returncode, done.stdout) == (2, "")
    assert "--yes" in done.stderr
    assert "points" in names(lab)


@pytest.mark.parametrize(("answer", "left"), [("y\n", 2), ("n\n", 3)])
def test_rm_asks_who_sits_at_a_terminal(answer: str, left: int, lab: Path) -> None:
    """What would be removed is shown with the question."""
    shown, code = in_a_terminal(["rm", "points", "--db", str(lab)], 100, answer)

    assert "Remove all of it? [y/N]" in shown
    assert code == (0 if left == 2 else 1)
    assert len(names(lab)) == left


WRITES = """
import sys, time, atdata
from pathlib import Path
db = Path(sys.argv[1])
def samples():
    for i in range(10**9):
        if i == 20_000:
            while not list((db.parent / "lab-data" / "cut").glob("*.tar")):
                time.sleep(0.01)
            print("writing", flush=True)
            sys.stdin.read()
        yield atdata.DictSample(n=i)
atdata.Index(path=db).write(samples(), name="cut", maxcount=1000)
"""


def test_gc_lists_what_a_killed_write_left_and_removes_it_if_asked(lab: Path) -> None:
    """Datasets that are there are as they were."""
    with subprocess.Popen(
        [sys.executable, "-c", WRITES, str(lab)],
        stdin=subprocess.PIPE,
        stdout=subprocess.PIPE,
        env=ENVIRONMENT,
    ) as program:
        assert program.stdout is not None
        assert program.stdout.readline() == b"writing\n"
        running = document("gc", "--db", lab)
        program.send_signal(signal.SIGKILL)
    left = run("gc", "--db", lab, "--json")
    listed = call("gc", "--db", lab)
    removed = document("gc", "--db", lab, "--remove")

    assert (running["running"], running["orphans"]) == (1, [])
    orphans = strict_json(left.stdout)["orphans"]
    assert orphans
    assert all(orphan["name"] == "cut" for orphan in orphans)
    assert f"{len(orphans)} file" in listed.stdout
    assert "remove them with --remove" in listed.stdout
    assert removed["removed"] is True
    assert removed["orphans"] == orphans
    assert call("gc", "--db", lab).stdout == "nothing was left behind\n"
    assert not any("cut" in folder for folder, _, files in os.walk(lab.parent) if files)
    assert call("verify", "points", "--db", lab).returncode == 0


@pytest.mark.parametrize(
    "args",
    [
        ["add", "x"],
        ["add", "x@1.0.0", "a.tar"],
        ["add", "../x", "a.tar"],
        ["add", "x", "a.tar", "--version", ""],
        ["add", "x", "a.tar", "--schema", "Point"],
        ["label", "points@1.0.0", "points"],
        ["label", "points", "points", "--description", "Lost"],
        ["label", "points", "points", "--version", "a b"],
        ["rename", "points@1.0.0", "x"],
        ["rename", "points", "x@1.0.0"],
        ["rm", "a b", "--yes"],
        ["gc", "--older-than", "-1"],
        ["gc", "--older-than", "nan"],
    ],
    ids=" ".join,
)
def test_arguments_that_make_no_sense_end_with_2(args: list[str], lab: Path) -> None:
    """Nothing is changed."""
    done = call(*args, "--db", lab)

    assert (done.returncode, done.stdout) == (2, "")
    assert names(lab) == ["points", "seven", "vision/pictures"]


@pytest.mark.parametrize("command", [["rm", "--yes"], ["rename", "x"], ["label", "nobody"]])
def test_what_is_not_there_cannot_be_changed(command: list[str], lab: Path) -> None:
    """The exit code is 1."""
    first, *rest = command
    args = [first, *reversed(rest), "nope"] if first == "label" else [first, "nope", *rest]

    done = call(*args, "--db", lab)

    assert (done.returncode, done.stdout) == (1, "")
    assert "no dataset 'nope'" in done.stderr
