"""`atdata manifest build`, `show` and `check`, run as they are."""

import shutil
from datetime import datetime, timedelta
from pathlib import Path
from typing import Any

import pytest
from tests.cli.program import (
    VECTORS,
    Done,
    call,
    damage,
    in_a_terminal,
    is_harmless,
    run,
    strict_json,
    write_tar,
)
from tests.http_server import serving

import atdata

ESCAPE = "\x1b]0;owned\x07[bold red]\x9b31m\u202e"


@atdata.packable
class Photo:
    """A sample with all that a manifest sums up, and bytes, which it does not."""

    label: str
    score: float | None
    tags: list[str]
    when: datetime
    data: bytes


def photos(n: int) -> list[Photo]:
    """Samples that differ."""
    start = datetime(2026, 1, 1)
    return [
        Photo(
            ("cat", "dog", "bird", "cat")[i % 4],
            None if i == 7 else i / 10,
            ["new"] * (i % 2),
            start + timedelta(days=i),
            bytes(i),
        )
        for i in range(n)
    ]


def write(folder: Path, n_shards: int = 3, **options: Any) -> list[Path]:
    """Shards of four photos each."""
    ds = atdata.write_samples(photos(4 * n_shards), folder / "p.tar", maxcount=4, **options)
    return [Path(shard) for shard in ds.list_shards()]


def beside(shard: Path, end: str) -> Path:
    return shard.with_name(f"{shard.stem}.manifest.{end}")


def statuses(done: Done) -> list[str]:
    return [one["status"] for one in strict_json(done.stdout)["shards"]]


def test_a_build_says_what_was_done_and_goes_on_where_it_stopped(tmp_path: Path) -> None:
    """Each shard has a line; what is up to date is left alone unless it is forced."""
    first, second, third = write(tmp_path)

    alone = call("manifest", "build", first)
    before = beside(first, "json").read_bytes()
    rest = run("manifest", "build", "p-{000000..000002}.tar", cwd=tmp_path)
    again = call("manifest", "build", tmp_path, "--json")
    kept = beside(first, "json").read_bytes()
    forced = call("manifest", "build", tmp_path, "--json", "--force")

    assert (alone.returncode, alone.stderr) == (0, "")
    assert alone.stdout == f"built       {first}  4 samples\n"
    assert rest.returncode == 0
    assert rest.stdout.splitlines() == [
        "up to date  p-000000.tar  4 samples",
        "built       p-000001.tar  4 samples",
        "built       p-000002.tar  4 samples",
        "3 shards: 2 built, 1 up to date",
    ]
    assert statuses(again) == ["fresh"] * 3
    assert kept == before
    assert statuses(forced) == ["built"] * 3
    assert beside(first, "json").read_bytes() != before
    assert strict_json(forced.stdout)["totals"] == {"n_built": 3, "n_fresh": 0, "n_failed": 0}
    assert strict_json(forced.stdout)["shards"][1] == {
        "shard": str(second),
        "status": "built",
        "n_samples": 4,
        "json": str(beside(second, "json")),
        "parquet": str(beside(second, "parquet")),
        "reason": None,
    }
    assert beside(third, "parquet").exists()


def test_a_damaged_shard_does_not_keep_the_others_from_their_manifests(tmp_path: Path) -> None:
    """It is told, and the exit code is 1; nothing is left beside it."""
    shards = write(tmp_path)
    damage(shards[1], 700)

    done = call("manifest", "build", tmp_path)
    again = call("manifest", "build", tmp_path, "--json")

    assert done.returncode == again.returncode == 1
    assert done.stdout.splitlines()[1:] == [
        f"FAILED      {shards[1]}",
        f"built       {shards[2]}  4 samples",
        "3 shards: 2 built, 1 failed",
    ]
    assert f"cannot read shard {shards[1]}" in done.stderr
    assert statuses(again) == ["fresh", "failed", "fresh"]
    assert len(list(tmp_path.iterdir())) == 3 + 2 * 2


def test_a_check_tells_every_state_apart_and_a_build_mends_them(tmp_path: Path) -> None:
    """Fresh, missing, stale, damaged; the Parquet file is read for it, too."""
    shards = write(tmp_path, 6, manifest=True)
    beside(shards[1], "json").unlink()
    atdata.write_samples(photos(3), shards[2])
    shutil.copy(beside(shards[1], "parquet"), beside(shards[2], "parquet"))
    shutil.copy(beside(shards[3], "json"), beside(shards[2], "json"))
    damage(beside(shards[3], "json"), 200)
    damage(beside(shards[4], "parquet"), 300)
    beside(shards[5], "parquet").unlink()

    done = call("manifest", "check", "--json", tmp_path)
    text = call("manifest", "check", tmp_path)
    one = call("manifest", "check", shards[0])
    mended = call("manifest", "build", tmp_path, "--json")

    assert done.returncode == text.returncode == 1
    assert statuses(done) == ["fresh", "missing", "stale", "damaged", "damaged", "damaged"]
    found = strict_json(done.stdout)
    assert found["ok"] is False
    assert found["shards"][0] == {"shard": str(shards[0]), "status": "fresh", "reason": None}
    assert found["shards"][5]["reason"].endswith("the Parquet file is missing")
    assert text.stdout.splitlines()[1] == f"missing  {shards[1]}  its manifest is missing"
    assert f"Mend it:  atdata manifest build {tmp_path}\n" in text.stderr
    assert one == Done(0, f"fresh    {shards[0]}\n", "")
    assert (mended.returncode, statuses(mended)[0]) == (0, "fresh")
    assert statuses(call("manifest", "check", tmp_path, "--json")) == ["fresh"] * 6


def test_a_manifest_is_shown_as_it_is(tmp_path: Path) -> None:
    """Kinds, nulls, smallest and largest, frequent values, and why fields are left out."""
    (shard,) = write(tmp_path, 1, manifest=True)[:1]
    atdata.write_samples(photos(20), shard, manifest=True)

    done = call("manifest", "show", "--json", shard)
    text = call("manifest", "show", shard).stdout

    (found,) = strict_json(done.stdout)["shards"]
    fields = {field["name"]: field for field in found["fields"]}
    assert (found["shard"], found["n_samples"], found["sample_type"]) == (str(shard), 20, "Photo")
    assert list(fields) == ["label", "score", "tags", "when"]
    assert fields["label"]["most_frequent"] == [
        {"value": "cat", "n": 10}, {"value": "bird", "n": 5}, {"value": "dog", "n": 5},
    ]  # fmt: skip
    assert {name: fields["score"][name] for name in ("kind", "n_nulls", "min", "max")} == {
        "kind": "float", "n_nulls": 1, "min": 0.0, "max": 1.9,
    }  # fmt: skip
    assert (fields["tags"]["kind"], fields["when"]["max"]) == ("list[str]", "2026-01-20T00:00:00")
    assert list(found["left_out"]) == ["data"]
    assert text.splitlines()[1] == "  samples      20 of Photo"
    assert "cat 10, bird 5, dog 5" in text
    assert "left out     data: " in text


def test_what_cannot_be_shown_is_told_and_the_rest_is_shown(tmp_path: Path) -> None:
    """The exit code is 1, and the message says what mends it."""
    first, second = write(tmp_path, 2, manifest=True)
    beside(first, "json").unlink()

    done = call("manifest", "show", tmp_path, "--json")

    assert done.returncode == 1
    assert [one["shard"] for one in strict_json(done.stdout)["shards"]] == [str(second)]
    assert f"{first}: its manifest is missing" in done.stderr


def test_no_manifest_can_talk_to_the_terminal(tmp_path: Path) -> None:
    """Names and values of others are escaped, in a terminal too."""
    shard = write_tar(tmp_path / "a.tar", {"k.msgpack": {ESCAPE: ESCAPE, "n": {ESCAPE: 1}}})

    built = call("manifest", "build", shard)
    shown, code = in_a_terminal(["manifest", "show", str(shard)], 100)
    document = call("manifest", "show", shard, "--json")

    assert (built.returncode, code, document.returncode) == (0, 0, 0)
    assert "owned" in shown
    assert is_harmless(shown.replace("\r\n", "\n").replace("\x1b[1m", "").replace("\x1b[0m", ""))
    assert document.stdout.isascii()
    assert strict_json(document.stdout)["shards"][0]["fields"][0]["min"] == ESCAPE


def test_manifests_of_shards_elsewhere_are_kept_in_a_folder(tmp_path: Path) -> None:
    """Without a folder nothing is read; with one, what is up to date is left alone there, too."""
    write(tmp_path / "there")
    kept = tmp_path / "kept"
    with serving(tmp_path / "there") as server:
        url = server.url("p-{000000..000002}.tar")
        refused = call("manifest", "build", url)
        asked = len(server.seen)
        built = call("manifest", "build", url, "--out", kept, "--json")
        again = call("manifest", "build", url, "--out", kept, "--json")
        checked = call("manifest", "check", url, "--manifests", kept, "--json")
        beside_them = call("manifest", "check", url)
        shown = call("manifest", "show", url, "--manifests", kept, "--json")

    assert (refused.returncode, refused.stdout, asked) == (2, "", 0)
    assert "--out DIR" in refused.stderr
    assert (built.returncode, statuses(built)) == (0, ["built"] * 3)
    assert statuses(again) == ["fresh"] * 3
    assert (checked.returncode, statuses(checked)) == (0, ["fresh"] * 3)
    assert beside_them.returncode == 1
    assert "atdata manifest build 'http://127.0.0.1:" in beside_them.stderr
    assert "}.tar' --out manifests\n" in beside_them.stderr
    assert [one["n_samples"] for one in strict_json(shown.stdout)["shards"]] == [4, 4, 4]
    assert sorted(path.name for path in kept.iterdir())[:2] == [
        "p-000000.manifest.json", "p-000000.manifest.parquet",
    ]  # fmt: skip


def test_two_shards_of_one_name_do_not_share_a_manifest(tmp_path: Path) -> None:
    """They are refused before anything is built."""
    write(tmp_path / "a", 1)
    write(tmp_path / "b", 1)

    done = call("manifest", "build", tmp_path / "a", tmp_path / "b", "--out", tmp_path / "kept")

    assert (done.returncode, done.stdout) == (2, "")
    assert "would have the same manifest" in done.stderr
    assert not (tmp_path / "kept").exists()


def test_a_schema_gives_the_samples_of_shards_their_types(tmp_path: Path) -> None:
    """Without it times are text, as they are stored; a dataset of the catalogue has its own."""
    (shard,) = write(tmp_path, 1)
    db = tmp_path / "lab.db"
    with atdata.Index(path=db) as index:
        ref = index.publish_schema(Photo)
        index.write(photos(2), name="photos", manifest=False)

    def kind_of_when(*args: object) -> str:
        shown = call("manifest", "show", *args, "--json")
        (one,) = strict_json(shown.stdout)["shards"]
        return next(str(f["kind"]) for f in one["fields"] if f["name"] == "when")

    kinds: list[str] = []
    for options in ([], ["--schema", ref, "--db", db, "--force"]):
        assert call("manifest", "build", shard, *options).returncode == 0
        kinds.append(kind_of_when(shard))
    both = call("manifest", "build", "@local/photos", "--schema", ref, "--db", db)
    own = call("manifest", "build", "@local/photos", "--db", db)

    assert kinds == ["str", "datetime"]
    assert both.returncode == 2
    assert own.returncode == 0, own.stderr
    assert kind_of_when("@local/photos", "--db", db) == "datetime"


def test_a_catalogue_takes_note_of_manifests_that_are_built_anew(tmp_path: Path) -> None:
    """Versions that share shards go on sharing what lies beside them, and keep their CIDs."""
    db = tmp_path / "lab.db"
    with atdata.Index(path=db) as index:
        first = index.write(photos(4), name="photos", version="1.0.0")
        second = index.append(photos(4), name="photos", version="1.1.0")
        shard = Path(index.open("photos@1.0.0").list_shards()[0])
    for end in ("json", "parquet"):
        beside(shard, end).unlink()
    refs = ("@local/photos@1.0.0", "@local/photos@1.1.0")
    before = [call("manifest", "check", ref, "--db", db, "--json") for ref in refs]

    built = call("manifest", "build", refs[0], "--db", db, "--json")
    after = [call("manifest", "check", ref, "--db", db, "--json") for ref in refs]

    assert [statuses(one) for one in before] == [["missing"], ["missing", "fresh"]]
    assert (built.returncode, statuses(built)) == (0, ["built"])
    assert [statuses(one) for one in after] == [["fresh"], ["fresh", "fresh"]]
    assert [call("verify", ref, "--db", db).returncode for ref in refs] == [0, 0]
    with atdata.Index(path=db) as index:
        assert index.get_dataset("photos@1.0.0").cid == first.cid
        assert index.get_dataset("photos@1.1.0").cid == second.cid


@pytest.mark.parametrize(
    ("name", "reason"),
    [
        ("scalars", "whose offsets are none of the tar"),
        ("arrays-000000", "says that it is of shard 'arrays'"),
        ("arrays-000001", "says that it is of shard 'arrays-000000'"),
        ("arrays-000002", "says that the shard is empty"),
    ],
)
def test_manifests_of_the_earlier_layout_are_refused_and_mended(
    name: str, reason: str, tmp_path: Path
) -> None:
    """The reason says what is wrong with each; a build puts that right."""
    for end in (".tar", ".manifest.json", ".manifest.parquet"):
        shutil.copy(VECTORS / f"{name}{end}", tmp_path)

    before = call("manifest", "check", tmp_path, "--json")
    built = call("manifest", "build", tmp_path)
    after = call("manifest", "check", tmp_path, "--json")

    (one,) = strict_json(before.stdout)["shards"]
    assert (before.returncode, one["status"]) == (1, "stale")
    assert reason in one["reason"]
    assert built.returncode == 0, built.stderr
    assert (after.returncode, statuses(after)) == (0, ["fresh"])
