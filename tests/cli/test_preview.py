"""`atdata preview`, run as it is."""

import gzip
import json
from datetime import UTC, datetime
from pathlib import Path

import numpy as np
import pytest
from tests.cli.program import (
    VECTORS,
    call,
    damage,
    in_a_terminal,
    is_harmless,
    pictures,
    run,
    strict_json,
    write_lab,
    write_tar,
)
from tests.http_server import serving

import atdata

ESCAPE = "\x1b]0;owned\x07[bold red]\x9b31m\u202e"


@pytest.fixture
def shard(tmp_path: Path) -> Path:
    """Twelve samples."""
    atdata.write_samples(pictures(12), tmp_path / "p.tar")
    return tmp_path / "p.tar"


def keys_of(document: str) -> list[str]:
    return [one["key"] for one in strict_json(document)["samples"]]


def test_the_first_samples_are_lines_under_their_fields(shard: Path) -> None:
    """Where stdout is no terminal, columns are aligned with spaces."""
    done = run("preview", "-n", "2", shard)

    assert (done.returncode, done.stderr) == (0, "")
    assert done.stdout.splitlines() == [
        "key        image                      label  note       raw",
        "000000000  uint8 (2, 3): 0 0 0 0 0 0  0      picture 0  0 bytes",
        "000000001  uint8 (2, 3): 1 1 1 1 1 1  1      picture 1  1 byte 00",
    ]


def test_the_json_has_keys_and_summarised_arrays(shard: Path) -> None:
    """Arrays say dtype, shape and how they begin; bytes their length and how they begin."""
    document = strict_json(run("preview", "-n", "1", "--skip", "11", "--json", shard).stdout)

    assert document == {
        "samples": [
            {
                "key": "000000011",
                "sample": {
                    "image": {"dtype": "uint8", "shape": [2, 3], "head": [11] * 6},
                    "label": 11,
                    "note": "picture 11",
                    "raw": {"n_bytes": 11, "head": bytes(range(11)).hex()},
                },
            }
        ]
    }


def test_skipping_counts_over_all_shards(shard: Path) -> None:
    """Shards of all kinds follow each other as one dataset."""
    (shard.parent / "q.tar.gz").write_bytes(gzip.compress(shard.read_bytes()))
    places = [shard, shard.parent / "q.tar.gz", VECTORS / "scalars.tar"]

    within = run("preview", "--json", "-n", "3", "--skip", "11", *places).stdout
    behind = run("preview", "--json", "-n", "99", "--skip", "24", *places).stdout

    assert keys_of(within) == ["000000011", "000000000", "000000001"]
    assert len(keys_of(behind)) == 10


def test_the_vectors_are_shown_as_they_are() -> None:
    """Values are those that the earlier version wrote."""
    expected = json.loads((VECTORS / "expected_samples.json").read_text())["scalars"]

    document = strict_json(run("preview", "--json", "-n", "10", VECTORS / "scalars.tar").stdout)

    shown = [one["sample"] for one in document["samples"]]
    assert [{**one, "raw": one["raw"]["head"]} for one in shown] == expected


def test_a_key_names_one_sample(shard: Path) -> None:
    """The sample is found in whichever shard has it."""
    done = run("preview", "--json", "--key", "000000007", VECTORS / "scalars.tar", shard)

    assert keys_of(done.stdout) == ["000000007"]


def test_a_key_that_is_not_there_is_a_failure(shard: Path) -> None:
    """The message names the key."""
    done = run("preview", "--key", ESCAPE, shard)

    assert done.returncode == 1
    assert "no sample has the key" in done.stderr
    assert is_harmless(done.stderr)


def test_fields_choose_and_order_columns(shard: Path) -> None:
    """Only the named fields are shown, in the order in which they are named."""
    done = run("preview", "-n", "1", "--fields", "note,label", shard)

    assert done.stdout.splitlines() == [
        "key        note       label",
        "000000000  picture 0  0",
    ]


def test_a_field_that_is_not_there_is_a_failure(shard: Path) -> None:
    """The message names those that are."""
    done = run("preview", "--fields", "label,lable", shard)

    assert done.returncode == 1
    assert "lable" in done.stderr
    assert "image, label, note, raw" in done.stderr
    assert done.stdout == ""


def test_samples_may_differ_in_their_fields(tmp_path: Path) -> None:
    """A field that one sample lacks is left empty there."""
    path = write_tar(tmp_path / "t.tar", {"a.msgpack": {"x": 1}, "b.msgpack": {"y": 2}})

    lines = run("preview", path).stdout.splitlines()

    assert lines == ["key  x  y", "a    1", "b       2"]


def test_no_samples_is_no_failure(shard: Path) -> None:
    """There is nothing to show, and that is said."""
    text = run("preview", "--skip", "50", shard)
    document = run("preview", "--skip", "50", "--json", shard)

    assert (text.returncode, text.stdout, text.stderr) == (0, "", "no samples\n")
    assert strict_json(document.stdout) == {"samples": []}


@pytest.mark.parametrize("options", [[], ["--json"]], ids=["text", "json"])
def test_samples_before_damage_are_shown(options: list[str], shard: Path) -> None:
    """What could be read is printed, then why it ended; the run has failed."""
    bad = shard.parent / "bad.tar"
    bad.write_bytes(shard.read_bytes())
    damage(bad, 700)

    done = run("preview", "-n", "20", *options, shard, bad)

    assert done.returncode == 1
    assert "000000011" in done.stdout
    assert "bad.tar" in done.stderr
    assert "Traceback" not in done.stderr


def test_nothing_that_data_says_reaches_the_terminal_raw(tmp_path: Path) -> None:
    """Keys, names and values are shown with their control characters escaped."""
    nested = {ESCAPE: [ESCAPE, {"x": ESCAPE}]}
    fields = {ESCAPE: ESCAPE, "array": np.array([ESCAPE]), "nested": nested, "big": "x" * 10_000}
    path = tmp_path / "h.tar"
    atdata.write_samples([atdata.DictSample(fields)], path, key=lambda _: f"k{ESCAPE}")

    text, document = run("preview", path), run("preview", "--json", path)

    assert (text.returncode, text.stderr) == (0, "")
    assert is_harmless(text.stdout)
    assert "(10000 characters)" in text.stdout
    assert "[bold red]" in text.stdout
    assert document.stdout.isascii()
    assert is_harmless(document.stdout)
    (sample,) = strict_json(document.stdout)["samples"]
    assert sample["sample"][ESCAPE] == ESCAPE
    assert sample["sample"]["nested"] == nested
    assert len(sample["sample"]["big"]) == 10_000


def test_values_that_json_lacks_are_said_in_words(tmp_path: Path) -> None:
    """JSON has no NaN, no complex numbers, no times and no bytes."""
    fields = {
        "nan": float("nan"),
        "floats": np.array([1.5, np.inf, np.nan]),
        "complex": np.array([1 + 2j]),
        "times": np.array(["2020-01-01"], "M8[D]"),
        "records": np.array([(1, 2.5)], [("p", "i4"), ("q", "f8")]),
        "empty": np.zeros((0, 3), "f4"),
        "largest": 2**64 - 1,
    }
    atdata.write_samples([atdata.DictSample(fields)], tmp_path / "v.tar")

    (shown,) = strict_json(run("preview", "--json", tmp_path / "v.tar").stdout)["samples"]

    assert shown["sample"] == {
        "nan": {"float": "nan"},
        "floats": {
            "dtype": "float64", "shape": [3], "head": [1.5, {"float": "inf"}, {"float": "nan"}],
        },
        "complex": {"dtype": "complex128", "shape": [1], "head": ["(1+2j)"]},
        "times": {"dtype": "datetime64[D]", "shape": [1], "head": ["2020-01-01"]},
        "records": {"dtype": "[('p', '<i4'), ('q', '<f8')]", "shape": [1], "head": [[1, 2.5]]},
        "empty": {"dtype": "float32", "shape": [0, 3], "head": []},
        "largest": 2**64 - 1,
    }  # fmt: skip


def test_a_terminal_gets_a_table(shard: Path) -> None:
    """There is a line under the header, and nothing is wider than the terminal."""
    shown, code = in_a_terminal(["preview", "-n", "2", str(shard)], 100)

    assert code == 0
    assert "\u2500" * 20 in shown
    assert "picture 1" in shown


def test_a_narrow_terminal_gets_a_table_for_each_sample(shard: Path) -> None:
    """Columns of a few characters would be no use."""
    shown, code = in_a_terminal(["preview", "-n", "2", str(shard)], 40)

    assert code == 0
    assert shown.count("\u2500" * 10) >= 2
    assert shown.count("label") == 2


def test_a_terminal_is_told_nothing_by_data(tmp_path: Path) -> None:
    """The table's own colours are all that a terminal obeys."""
    path = tmp_path / "h.tar"
    samples = [atdata.DictSample({ESCAPE: ESCAPE})]
    atdata.write_samples(samples, path, key=lambda _: f"k{ESCAPE}")

    shown, code = in_a_terminal(["preview", str(path)], 200)

    assert code == 0
    assert "\x1b]" not in shown
    assert "\x07" not in shown
    assert "\x9b" not in shown
    assert "\u202e" not in shown
    assert "[bold red]" in shown


def test_a_shard_on_a_server_is_previewed(shard: Path) -> None:
    """Samples come from a server as from a file."""
    with serving(shard.parent / "served") as server:
        url = server.put("p.tar", shard.read_bytes())

        done = run("preview", "--json", "--skip", "3", "-n", "2", url)

    assert keys_of(done.stdout) == ["000000003", "000000004"]


@atdata.packable
class Visit:
    """A sample whose stored form says less than its type."""

    when: datetime
    tags: set[str]
    reward: np.float32


def test_a_dataset_of_the_catalogue_is_previewed_as_its_schema_says(tmp_path: Path) -> None:
    """Values are those of the type, and not as they are stored."""
    when = datetime(2026, 1, 2, 3, 4, tzinfo=UTC)
    with atdata.Index(path=tmp_path / "lab.db") as index:
        index.write([Visit(when, {"b", "a"}, np.float32(0.5))], name="visits")

    done = run("preview", "@local/visits", "--db", tmp_path / "lab.db")
    document = call("preview", "@local/visits", "--json", "--db", tmp_path / "lab.db").stdout

    assert (done.returncode, done.stderr) == (0, "")
    assert done.stdout.splitlines() == [
        "key        when                       tags        reward",
        "000000000  2026-01-02 03:04:00+00:00  {'a', 'b'}  0.5",
    ]
    (shown,) = strict_json(document)["samples"]
    assert shown["sample"] == {
        "when": "2026-01-02 03:04:00+00:00", "tags": ["a", "b"], "reward": 0.5,
    }  # fmt: skip


def test_datasets_of_several_types_are_previewed_as_they_are_stored(tmp_path: Path) -> None:
    """They follow each other as shards do."""
    db = write_lab(tmp_path)

    done = call("preview", "@local/points", "@local/seven", "--json", "--db", db)

    assert done.returncode == 0
    assert [one["sample"] for one in strict_json(done.stdout)["samples"]] == [
        {"name": "a", "x": 1.0},
        {"name": "b", "x": 2.0},
        {"n": 7},
    ]
