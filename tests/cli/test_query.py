"""`atdata query`, run as it is."""

import os
import shlex
import shutil
from pathlib import Path

import pyarrow.parquet as pq
import pytest
from tests.cli.program import VECTORS, Done, call, damage, in_a_terminal, run, strict_json
from tests.cli.test_manifest import Photo, beside, photos, write
from tests.http_server import serving

import atdata
from atdata.predicate import parse

QUESTION = "score > 0.75 and label in ('cat', 'dog')"


def keys(done: Done) -> list[str]:
    assert done.returncode == 0, done.stderr
    return [one["key"] for one in strict_json(done.stdout)["samples"]]


def mending(stderr: str) -> list[str]:
    """The arguments of the command that an error ends with."""
    (line,) = [line for line in stderr.splitlines() if "Mend it:" in line]
    program, *args = shlex.split(line.partition("Mend it:")[2])
    assert program == "atdata"
    return args


@pytest.fixture(scope="module")
def folder(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Twelve photos in three shards, with manifests; nobody changes them."""
    found = tmp_path_factory.mktemp("photos")
    write(found, manifest=True)
    return found


def test_the_answer_is_that_of_the_dataset(folder: Path) -> None:
    """As a table, in JSON, and as one number."""
    table = run("query", "p-{000000..000002}.tar", QUESTION, cwd=folder)
    document = call("query", folder, QUESTION, "--json")
    count = call("query", folder, QUESTION, "--count")

    ds = atdata.Dataset[Photo]([str(path) for path in sorted(folder.glob("*.tar"))])
    places = ds.query(parse(QUESTION))
    assert len(places) == 3
    assert (table.returncode, table.stderr) == (0, "")
    assert [line.split() for line in table.stdout.splitlines()] == [
        ["shard", "key", "offset", "size"],
        *([Path(p.shard).name, p.key, str(p.offset), str(p.size)] for p in places),
    ]
    assert strict_json(document.stdout) == {
        "samples": [
            {"shard": p.shard, "key": p.key, "offset": p.offset, "size": p.size} for p in places
        ],
        "n_samples": 3,
    }
    assert count == Done(0, "3\n", "")
    assert strict_json(call("query", folder, QUESTION, "--count", "--json").stdout) == {
        "n_samples": 3
    }


def test_fields_come_along_whether_manifests_hold_them_or_not(folder: Path) -> None:
    """Bytes are read from the shard; the rest is known without opening it."""
    done = call("query", folder, "score > 1.0", "--select", "tags, score,data", "--json")
    text = call("query", folder, "score > 1.0", "--select", "tags,score,data")

    (sample,) = strict_json(done.stdout)["samples"]
    assert sample["fields"] == {
        "tags": ["new"],
        "score": 1.1,
        "data": {"n_bytes": 11, "head": "00" * 11},
    }
    assert text.stdout.splitlines()[0].split()[4:] == ["tags", "score", "data"]
    assert "['new']  1.1    11 bytes 0000" in text.stdout


def test_places_are_written_to_a_parquet_file(folder: Path, tmp_path: Path) -> None:
    """They are columns beside the fields; a file of another kind is never written over."""
    out, other, name = (
        tmp_path / "out.parquet",
        tmp_path / "p.tar",
        tmp_path / "p.manifest.parquet",
    )
    other.write_bytes(b"precious")
    args = ("query", folder, QUESTION, "--select", "label,when", "--parquet")

    done = call(*args, out)
    again = call(*args, out, "--limit", "2", "--json")
    refused = [call(*args, path) for path in (other, name)]

    rows = pq.read_table(out).to_pylist()
    expected = strict_json(call("query", folder, QUESTION, "--limit", "2", "--json").stdout)
    assert done == Done(0, f"3 samples in {out}\n", "")
    assert strict_json(again.stdout) == {"file": str(out), "n_samples": 2}
    assert [{name: row[f"__{name}__"] for name in expected["samples"][0]} for row in rows] == (
        expected["samples"]
    )
    assert [row["label"] for row in rows] == ["cat", "dog"]
    assert [row["when"] for row in rows] == ["2026-01-09T00:00:00", "2026-01-10T00:00:00"]
    assert [one.returncode for one in refused] == [2, 2]
    assert sorted(path.name for path in tmp_path.iterdir()) == ["out.parquet", "p.tar"]
    assert other.read_bytes() == b"precious"


def test_the_plan_is_shown_and_compared_with_what_happened(folder: Path) -> None:
    """No sample is read for the plan alone."""
    plan = call("query", folder, QUESTION, "--explain")
    tried = call("query", folder, QUESTION, "--analyze", "--json")

    found = strict_json(tried.stdout)
    assert "shards       3, of which 2 are passed over" in plan.stdout
    assert "was read" not in plan.stdout
    assert (found["shards"], found["pruned"], found["rows"]) == (3, 2, 3)
    assert found["actual"]["samples"] == 3


def test_a_terminal_gets_a_screenful_and_a_pipe_gets_all(tmp_path: Path) -> None:
    """How many more there are is said."""
    atdata.write_samples(
        [atdata.DictSample(n=i) for i in range(50)], tmp_path / "n.tar", manifest=True
    )
    path = tmp_path / "n.tar"

    screen, code = in_a_terminal(["query", str(path), "n >= 0"], 200)
    piped = call("query", path, "n >= 0")
    few = call("query", path, "n >= 0", "--limit", "3")
    none = call("query", path, "n < 0")

    assert code == 0
    assert screen.count("n.tar") == 20
    assert "and 30 more: --limit 50" in screen
    assert len(piped.stdout.splitlines()) == 51
    assert len(few.stdout.splitlines()) == 4
    assert few.stderr.startswith("and 47 more")
    assert none == Done(0, "", "no sample fits\n")


def test_a_question_that_cannot_be_read_shows_where(folder: Path) -> None:
    """The caret stands under the place; the exit code is 2."""
    done = call("query", folder, "score > 0.9 andd label = 'cat'")

    assert (done.returncode, done.stdout) == (2, "")
    line, caret = done.stderr.splitlines()[-2:]
    assert line.strip() == "score > 0.9 andd label = 'cat'"
    assert caret.index("^") == line.index("andd")


@pytest.mark.parametrize(
    "question",
    [
        "__import__('os').system('touch ran')",
        "score.__class__ > (lambda: open('ran', 'w'))()",
        "score > 1; copy (select 1) to 'ran'",
        "(" * 100_000,
        "",
        "label matches '('",
    ],
    ids=["call", "lambda", "statement", "deep", "empty", "regex"],
)
def test_text_is_never_run(
    question: str, folder: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """What is not in the language is refused, whatever it is."""
    monkeypatch.chdir(tmp_path)

    done = call("query", folder, question)

    assert (done.returncode, done.stdout) == (2, "")
    assert os.listdir(tmp_path) == []


def test_an_unknown_field_names_the_closest(folder: Path, tmp_path: Path) -> None:
    """With a type and without, in the question and among the fields that are selected."""
    db = tmp_path / "lab.db"
    with atdata.Index(path=db) as index:
        index.write(photos(2), name="photos")

    asked = [
        call("query", folder, "scoer > 0.9", "--count"),
        call("query", folder, "score > 0.9", "--select", "labell"),
        call("query", "@local/photos", "scoer > 0.9", "--db", db),
    ]

    assert [one.returncode for one in asked] == [1, 1, 1]
    closest = [one.stderr.splitlines()[1] for one in asked]
    assert closest == ["  closest: score", "  closest: label", "  closest: score"]


def test_a_field_that_only_some_samples_have_is_known(tmp_path: Path) -> None:
    """Samples without it are not selected, and not an error."""
    samples = [atdata.DictSample(n=1), atdata.DictSample(n=2), atdata.DictSample(n=3, rare=True)]
    atdata.write_samples(samples, tmp_path / "r.tar", maxcount=1, manifest=True)

    assert keys(call("query", tmp_path, "rare", "--json")) == ["000000002"]
    assert call("query", tmp_path, "rare is null", "--count").stdout == "2\n"


def test_a_comparison_that_can_never_hold_is_refused(folder: Path, tmp_path: Path) -> None:
    """A dataset of the catalogue knows its types; of shards, arrays and bytes are refused too."""
    db = tmp_path / "lab.db"
    with atdata.Index(path=db) as index:
        index.write(photos(2), name="photos")
    atdata.write_samples([atdata.DictSample(box={"left": 1})], tmp_path / "d.tar", manifest=True)

    typed = call("query", "@local/photos", "label > 3", "--db", db)
    nested = call("query", tmp_path / "d.tar", "box > 3")
    deeper = call("query", tmp_path / "d.tar", "box.left.more = 1", "--select", "box.left.more")
    within = call("query", tmp_path / "d.tar", "box.left = 1", "--count")

    assert (typed.returncode, nested.returncode, deeper.returncode) == (2, 2, 1)
    assert "label is declared as str" in typed.stderr
    assert "a dict cannot be compared" in nested.stderr
    assert "no field 'box.left.more'" in deeper.stderr
    assert within.stdout == "1\n"


@pytest.mark.parametrize("named", ["file", "pattern", "folder", "odd", "dash"])
def test_the_mending_command_mends_what_was_asked(
    named: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """It is run as it is printed; then the same question is answered."""
    monkeypatch.chdir(tmp_path)
    names = {"odd": "it's $HOME", "dash": "-x"}
    inside = Path(names.get(named, "data"))
    write(inside)
    place = {
        "file": inside / "p-000002.tar",
        "pattern": inside / "p-{000000..000002}.tar",
    }.get(named, inside)

    refused = call("query", "--json", "--", place, QUESTION)
    mended = call(*mending(refused.stderr))
    answer = call("query", "--json", "--", place, QUESTION)

    assert (refused.returncode, refused.stdout) == (1, "")
    assert mended.returncode == 0, mended.stderr
    assert keys(answer) == ["000000008", "000000009", "000000011"]


@pytest.mark.parametrize("damaged", ["never built", "missing", "stale", "parquet"])
def test_the_mending_command_names_the_catalogue_too(damaged: str, tmp_path: Path) -> None:
    """Also where the catalogue has recorded what is gone."""
    db = tmp_path / "my lab.db"
    with atdata.Index(path=db) as index:
        index.write(photos(12), name="lab/photos", maxcount=4, manifest=damaged != "never built")
        shards = [Path(shard) for shard in index.open("lab/photos").list_shards()]
    match damaged:
        case "missing":
            beside(shards[2], "json").unlink()
        case "stale":
            for end in ("json", "parquet"):
                shutil.copy(beside(shards[1], end), beside(shards[2], end))
        case "parquet":
            damage(beside(shards[2], "parquet"), 300)
        case _:
            pass
    args = ("query", "@local/lab/photos", QUESTION, "--db", db, "--json")
    ask = run if damaged == "parquet" else call  # columns of the same content are still known here

    refused = ask(*args)
    mended = call(*mending(refused.stderr))

    assert (refused.returncode, refused.stdout) == (1, "")
    assert mended.returncode == 0, mended.stderr
    assert keys(call(*args)) == ["000000008", "000000009", "000000011"]


def test_the_mending_command_says_where_manifests_of_shards_elsewhere_go(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Then the question is asked with that folder, or what is in it is put beside the shards."""
    monkeypatch.chdir(tmp_path)
    there = tmp_path / "there"
    write(there)
    with serving(there) as server:
        args = ("query", server.url("p-{000000..000002}.tar"), QUESTION, "--json")
        refused = call(*args)
        mended = call(*mending(refused.stderr))
        kept = call(*args, "--manifests", "manifests")
        for path in Path("manifests").iterdir():
            shutil.copy(path, there)
        put_there = call(*args)
        (tmp_path / "manifests" / "p-000001.manifest.json").unlink()
        again = call(*args, "--manifests", "manifests")
        mended_again = call(*mending(again.stderr))
        at_last = call(*args, "--manifests", "manifests")

    assert refused.returncode == 1
    assert "  Then add  --manifests manifests, or put" in refused.stderr
    assert (mended.returncode, mended_again.returncode) == (0, 0)
    assert (
        keys(kept) == keys(put_there) == keys(at_last) == ["000000008", "000000009", "000000011"]
    )
    assert again.returncode == 1
    assert "Then add" not in again.stderr


def test_credentials_are_not_printed(tmp_path: Path) -> None:
    """Neither those of an address nor those of a catalogue."""
    write(tmp_path)
    with serving(tmp_path) as server:
        url = server.url("p-000000.tar").replace("//", "//me:secret@") + "?token=secret"
        done = call("query", url, QUESTION)

    assert done.returncode == 1
    assert "manifest build http://127.0.0.1" in done.stderr
    assert "secret" not in done.stderr


def test_kept_manifests_are_compared_with_the_shards_of_this_machine(tmp_path: Path) -> None:
    """A shard that was replaced is noticed, and so is one without an index, whatever its size."""
    kept = tmp_path / "kept"
    (shard,) = write(tmp_path, 1)
    foreign = Path(shutil.copy(VECTORS / "scalars.tar", tmp_path / "foreign.tar"))
    for path in (shard, foreign):
        assert call("manifest", "build", path, "--out", kept).returncode == 0
    args = ("--manifests", kept, "--json")
    before = [call("query", path, "label is null", *args) for path in (shard, foreign)]
    raw = foreign.read_bytes()
    foreign.write_bytes(raw.replace(b"s0", b"s9") if b"s0" in raw else raw[::-1])
    atdata.write_samples(photos(5), shard)
    after = [call("query", path, "label is null", *args) for path in (shard, foreign)]

    assert before[0].returncode == 0, before[0].stderr
    assert [one.returncode for one in after] == [1, 1]
    assert all("its manifest is stale" in one.stderr for one in after)


def test_shards_without_manifests_are_read_if_that_is_wanted(tmp_path: Path) -> None:
    """The answer is the same, and so are the places."""
    write(tmp_path)

    scanned = call("query", tmp_path, QUESTION, "--missing", "scan", "--json", "--select", "tags")
    assert call("manifest", "build", tmp_path).returncode == 0
    known = call("query", tmp_path, QUESTION, "--json", "--select", "tags")

    assert len(keys(scanned)) == 3
    assert scanned == known


def test_a_shard_that_is_not_there_is_no_missing_manifest(tmp_path: Path) -> None:
    """Building would not mend it."""
    done = call("query", tmp_path / "none.tar", QUESTION)

    assert done.returncode == 1
    assert "none.tar" in done.stderr
    assert "manifest build" not in done.stderr


def test_a_schema_gives_the_samples_of_shards_their_types(tmp_path: Path) -> None:
    """Times can be compared with times; the mending command names the schema as well."""
    write(tmp_path)
    db = tmp_path / "lab.db"
    with atdata.Index(path=db) as index:
        ref = index.publish_schema(Photo)
    args = ("query", tmp_path, "when > timestamp '2026-01-11 00:00:00'")
    typed = (*args, "--json", "--schema", ref, "--db", db)

    refused = call(*typed)
    mended = call(*mending(refused.stderr))

    assert mended.returncode == 0, mended.stderr
    assert keys(call(*typed)) == ["000000011"]


@pytest.mark.parametrize(
    ("name", "question"),
    [
        ("scalars", "value > 1 and ok or x is nan or opt is null"),
        ("arrays-000000", "image.dtype is null or not mask is null"),
        ("arrays-000001", "image.dtype is null or not mask is null"),
    ],
)
def test_manifests_of_the_earlier_layout_are_refused_mended_and_answer(
    name: str, question: str, tmp_path: Path
) -> None:
    """What the vectors' manifests say is never believed; what is built in their place is."""
    for end in (".tar", ".manifest.json", ".manifest.parquet"):
        shutil.copy(VECTORS / f"{name}{end}", tmp_path)
    shard = tmp_path / f"{name}.tar"
    wanted = [key for key, sample in atdata.Dataset(shard).items() if parse(question).test(sample)]

    refused = call("query", shard, question, "--json")
    mended = call(*mending(refused.stderr))
    answer = call("query", shard, question, "--json")

    assert wanted
    assert (refused.returncode, refused.stdout) == (1, "")
    assert "older layout" in refused.stderr
    assert mended.returncode == 0, mended.stderr
    assert keys(answer) == wanted


@pytest.mark.parametrize(
    "options",
    [
        ["--count", "--explain"],
        ["--count", "--parquet", "x.parquet"],
        ["--count", "--limit", "3"],
        ["--count", "--select", "label"],
        ["--select", " , "],
        ["--limit", "0"],
        ["--missing", "guess"],
        ["--db", "lab.db"],
    ],
    ids=" ".join,
)
def test_options_that_do_not_go_together_end_with_2(options: list[str], folder: Path) -> None:
    """Nothing is asked."""
    done = call("query", folder, QUESTION, *options)

    assert (done.returncode, done.stdout) == (2, "")
