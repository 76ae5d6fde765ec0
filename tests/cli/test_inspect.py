"""`atdata inspect`, run as it is."""

import bz2
import gzip
import lzma
import os
from collections.abc import Callable
from pathlib import Path

import pytest
from tests.cli.program import (
    VECTORS,
    call,
    damage,
    is_harmless,
    pictures,
    run,
    strict_json,
    write_lab,
    write_tar,
)
from tests.http_server import Fault, serving

import atdata

ESCAPE = "\x1b]0;owned\x07[bold red]\x9b31m\u202e"


def test_a_shard_with_an_index_says_what_it_holds(tmp_path: Path) -> None:
    """Everything about a shard is in its JSON."""
    path = tmp_path / "p.tar"
    atdata.write_samples(pictures(3), path, content_metadata={"license": "MIT"})

    done = run("inspect", "--json", path)

    assert (done.returncode, done.stderr) == (0, "")
    assert strict_json(done.stdout) == {
        "shards": [
            {
                "shard": str(path),
                "n_samples": 3,
                "n_bytes": path.stat().st_size,
                "compression": None,
                "indexed": True,
                "sample_type": "Picture",
                "schema_ref": None,
                "first_key": "000000000",
                "last_key": "000000002",
                "fields": [
                    {"name": name, "wire": wire, "dtype": dtype, "shape": shape, "declared": None}
                    for name, wire, dtype, shape in (
                        ("image", "bin", "uint8", [2, 3]),
                        ("label", "int", None, None),
                        ("note", "str", None, None),
                        ("raw", "bin", None, None),
                    )
                ],
                "content_metadata": {"license": "MIT"},
                "digests": {"n_blocks": 1, "xxh3": True, "blake3": True},
                "checked": None,
                "problems": [],
                "n_problems": 0,
            }
        ],
        "totals": {
            "n_shards": 1,
            "n_samples": 3,
            "n_bytes": path.stat().st_size,
            "n_damaged": 0,
        },
    }


def test_the_text_says_it_for_people(tmp_path: Path) -> None:
    """Fields and metadata that are those of the shard before are not said again."""
    atdata.write_samples(
        pictures(4), tmp_path / "p.tar", maxcount=2, content_metadata={"license": "MIT"}
    )

    text = run("inspect", tmp_path / "p-{000000..000001}.tar").stdout

    assert "2 of Picture" in text
    assert "000000000 … 000000001" in text
    assert "XXH3 and BLAKE3 of 1 block" in text
    assert text.count("image  bin  uint8 (2, 3)") == 1
    assert text.count('{"license": "MIT"}') == 1
    assert text.splitlines()[-1].startswith("2 shards, 4 samples, ")


def test_shards_of_the_earlier_version_are_shown() -> None:
    """Shards without an index are counted by their headers."""
    done = run(
        "inspect", "--json", "--check", VECTORS / "scalars.tar", VECTORS / "arrays-000001.tar"
    )

    scalars, arrays = strict_json(done.stdout)["shards"]
    assert done.returncode == 0
    assert (scalars["n_samples"], scalars["indexed"], scalars["checked"]) == (
        10,
        False,
        "decoding",
    )
    assert [field["wire"] for field in scalars["fields"]] == [
        "str", "int", "float", "bool", "bin", "array", "int",
    ]  # fmt: skip
    assert arrays["fields"][1] == {
        "name": "mask", "wire": "bin", "dtype": "float32", "shape": [2, 2], "declared": None,
    }  # fmt: skip


@pytest.mark.parametrize(
    ("suffix", "compress"),
    [("gz", gzip.compress), ("bz2", bz2.compress), ("xz", lzma.compress)],
)
def test_compressed_shards_are_read_through(
    suffix: str, compress: Callable[[bytes], bytes], tmp_path: Path
) -> None:
    """How a shard is compressed is seen from its bytes, whatever its name."""
    path = tmp_path / "p"
    path.write_bytes(compress((VECTORS / "scalars.tar").read_bytes()))

    (found,) = strict_json(run("inspect", "--json", path).stdout)["shards"]

    assert (found["compression"], found["n_samples"]) == (suffix, 10)
    assert found["indexed"] is None
    assert found["n_bytes"] == path.stat().st_size
    assert found["first_key"] < found["last_key"]


@pytest.mark.parametrize(("digest", "checked"), [(True, "blake3"), (False, "xxh3")])
def test_a_check_reports_each_damaged_shard(digest: bool, checked: str, tmp_path: Path) -> None:
    """All shards are checked, also those behind a damaged one, and the run has failed."""
    ds = atdata.write_samples(pictures(6), tmp_path / "p.tar", maxcount=2, digest=digest)
    damage(Path(ds.list_shards()[1]), 700)

    done = run("inspect", "--check", "--json", tmp_path)

    found = strict_json(done.stdout)
    assert done.returncode == 1
    assert [one["n_problems"] for one in found["shards"]] == [0, 1, 0]
    assert {one["checked"] for one in found["shards"]} == {checked}
    assert found["totals"]["n_damaged"] == 1
    assert "block 0" in found["shards"][1]["problems"][0]["reason"]
    assert "p-000001.tar" in done.stderr


def test_damage_behind_the_first_block_takes_a_check_to_see(tmp_path: Path) -> None:
    """Without a check one block is read; with it, every one."""
    path = tmp_path / "big.tar"
    atdata.write_samples([atdata.DictSample(raw=os.urandom(1 << 20)) for _ in range(4)], path)
    damage(path, 3 << 20)

    assert run("inspect", path).returncode == 0
    assert run("inspect", "--check", path).returncode == 1


def test_a_payload_that_cannot_be_decoded_is_found_by_a_check(tmp_path: Path) -> None:
    """Where there are no digests, every sample is decoded."""
    path = write_tar(tmp_path / "t.tar", {"a.msgpack": {"n": 1}, "b.msgpack": [1, 2]})

    quick, full = run("inspect", path), run("inspect", "--check", "--json", path)

    assert quick.returncode == 0
    assert full.returncode == 1
    (problem,) = strict_json(full.stdout)["shards"][0]["problems"]
    assert (problem["key"], problem["offset"]) == ("b", 1536)


def test_missing_and_foreign_files_do_not_hide_good_ones(tmp_path: Path) -> None:
    """Each argument is reported on by itself."""
    atdata.write_samples(pictures(2), tmp_path / "good.tar")
    (tmp_path / "text.tar").write_text("no tar at all " * 100)
    (tmp_path / "cut.tar").write_bytes((tmp_path / "good.tar").read_bytes()[:1700])
    write_tar(tmp_path / "other.tar", {"a.json": 1, "b.json": 2})

    done = run(
        "inspect", "--json", "missing.tar", "text.tar", "cut.tar", "other.tar", "good.tar",
        cwd=tmp_path,
    )  # fmt: skip

    found = {one["shard"]: one for one in strict_json(done.stdout)["shards"]}
    assert done.returncode == 1
    assert found["missing.tar"]["problems"][0]["reason"] == "no such file"
    assert found["text.tar"]["n_problems"] == 1
    assert found["cut.tar"]["n_problems"] == 1
    assert found["other.tar"]["n_problems"] == 2
    assert (found["good.tar"]["n_samples"], found["good.tar"]["n_problems"]) == (2, 0)


def test_nothing_that_data_says_reaches_the_terminal_raw(tmp_path: Path) -> None:
    """Names, keys, types, metadata and errors are shown with their control characters escaped."""
    hostile = type(f"T{ESCAPE}", (atdata.DictSample,), {"__slots__": ()})
    path = tmp_path / f"x{ESCAPE.replace('/', '')}.tar"
    atdata.write_samples(
        [hostile({ESCAPE: ESCAPE})],
        path,
        key=lambda _: f"k{ESCAPE}",
        content_metadata={ESCAPE: ESCAPE, "not a number": float("nan")},
    )
    foreign = write_tar(
        tmp_path / "foreign.tar", {f"{ESCAPE}.msgpack": [ESCAPE], f"{ESCAPE}b.{ESCAPE}": 1}
    )

    text = run("inspect", "--check", path, foreign)
    document = run("inspect", "--check", "--json", path, foreign)

    assert is_harmless(text.stdout)
    assert is_harmless(text.stderr)
    assert document.stdout.isascii()
    assert is_harmless(document.stdout)
    (first, _) = strict_json(document.stdout)["shards"]
    assert first["first_key"] == f"k{ESCAPE}"
    assert first["content_metadata"][ESCAPE] == ESCAPE
    assert first["content_metadata"]["not a number"] == {"float": "nan"}


def test_deeply_nested_metadata_is_cut(tmp_path: Path) -> None:
    """What nests deeper than anyone reads is left out, and all around it is shown."""
    nested: dict[str, object] = {}
    for _ in range(300):
        nested = {"a": nested}
    atdata.write_samples([atdata.DictSample(n=1)], tmp_path / "d.tar", content_metadata=nested)

    done = run("inspect", "--json", tmp_path / "d.tar")

    assert done.returncode == 0
    assert strict_json(done.stdout)["shards"][0]["n_samples"] == 1


def test_a_pipe_is_refused_at_once(tmp_path: Path) -> None:
    """Opening a pipe that nobody writes to would wait for ever."""
    os.mkfifo(tmp_path / "pipe.tar")

    done = run("inspect", tmp_path / "pipe.tar")

    assert done.returncode == 1
    assert "not a regular file" in done.stderr


@pytest.mark.parametrize("fault", [Fault(), Fault(ignore_range=True)], ids=["ranges", "whole"])
def test_a_shard_on_a_server_is_inspected(fault: Fault, tmp_path: Path) -> None:
    """By its index where the server gives parts of files, else read through."""
    atdata.write_samples(pictures(3), tmp_path / "p.tar")
    with serving(tmp_path / "served") as server:
        server.always = fault
        url = server.put("p.tar", (tmp_path / "p.tar").read_bytes())
        secret = url.replace("http://", "http://me:secret@")

        done = run("inspect", "--check", "--json", secret)

    assert done.returncode == 0
    (found,) = strict_json(done.stdout)["shards"]
    assert (found["shard"], found["n_samples"]) == (url, 3)
    assert "secret" not in done.stdout + done.stderr


def test_a_missing_shard_on_a_server_is_reported(tmp_path: Path) -> None:
    """The server's answer is in the message."""
    with serving(tmp_path / "served") as server:
        done = run("inspect", server.url("none.tar"))

    assert done.returncode == 1
    assert "none.tar" in done.stderr


def test_a_sample_with_many_fields_is_cut_in_text_only(tmp_path: Path) -> None:
    """The JSON is complete."""
    fields = {f"f{i}": i for i in range(300)}
    path = write_tar(tmp_path / "wide.tar", {"a.msgpack": fields})

    text, document = run("inspect", path).stdout, run("inspect", "--json", path).stdout

    assert "200 more" in text
    assert len(strict_json(document)["shards"][0]["fields"]) == 300


def test_a_dataset_of_the_catalogue_is_inspected_by_its_name(tmp_path: Path) -> None:
    """Its schema is named, and what it says of each field; shards may stand beside."""
    db = write_lab(tmp_path)
    atdata.write_samples(pictures(1), tmp_path / "p.tar")
    args = ["@local/points", "atdata://local/dataset/vision/pictures@1.0.0", tmp_path / "p.tar"]

    done = run("inspect", "--check", "--json", *args, "--db", db)
    text = call("inspect", "@local/points", "--db", db).stdout

    assert (done.returncode, done.stderr) == (0, "")
    points, old, plain = strict_json(done.stdout)["shards"]
    assert (points["schema_ref"], points["n_samples"]) == ("atdata://local/schema/Point@1.0.0", 2)
    assert [field["declared"] for field in points["fields"]] == ["str", "float"]
    assert (old["n_samples"], old["fields"][0]["declared"]) == (2, "NDArray[uint8]")
    assert plain["schema_ref"] is None
    assert "  schema       atdata://local/schema/Point@1.0.0\n" in text
    assert "name  str    declared str\n" in text


def test_a_name_that_the_catalogue_lacks_ends_with_1(tmp_path: Path) -> None:
    """The message says which."""
    done = call("inspect", "@local/nope", "--db", write_lab(tmp_path))

    assert (done.returncode, done.stdout) == (1, "")
    assert "no dataset 'nope'" in done.stderr
