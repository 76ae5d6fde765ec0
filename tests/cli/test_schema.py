"""`atdata schema list`, `show`, `diff` and `codegen`, run as they are."""

import sys
from importlib import import_module
from pathlib import Path

import pytest
from tests.cli.program import Point, call, damage, run, strict_json, write_lab

import atdata

POINT = "atdata://local/schema/Point@1.0.0"
PICTURE = "atdata://local/schema/Picture@1.0.0"


@pytest.fixture(scope="module")
def lab(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A catalogue that nobody changes."""
    return write_lab(tmp_path_factory.mktemp("lab"))


@pytest.fixture
def shard(tmp_path: Path) -> Path:
    """Points in a shard that no catalogue knows."""
    atdata.write_samples([Point("c", 3.0)], tmp_path / "p.tar")
    return tmp_path / "p.tar"


def test_list_names_all_schemas(lab: Path) -> None:
    """The text has a line for each."""
    done = run("schema", "list", "--db", lab, "--json")
    text = call("schema", "list", "--db", lab).stdout

    found = strict_json(done.stdout)["schemas"]
    assert [(one["ref"], one["n_fields"]) for one in found] == [(PICTURE, 4), (POINT, 2)]
    assert found[1]["description"] == "Somewhere on a line."
    assert [line.split()[0] for line in text.splitlines()] == ["schema", PICTURE, POINT]


def test_show_says_fields_with_their_types(lab: Path) -> None:
    """A schema is meant by its reference, or by a dataset that has it."""
    done = run("schema", "show", PICTURE, "--db", lab)
    same = call("schema", "show", "@local/vision/pictures", "--db", lab)

    assert (done.returncode, done.stderr) == (0, "")
    assert done.stdout == same.stdout
    assert done.stdout.splitlines() == [
        PICTURE,
        "  A sample with an array, bytes and text.",
        "  image: NDArray[uint8]",
        "  label: int",
        "  note: str",
        "  raw: bytes",
    ]


def test_the_json_of_a_schema_is_its_record(lab: Path) -> None:
    """What is inferred has no reference."""
    stored = strict_json(call("schema", "show", POINT, "--db", lab, "--json").stdout)
    inferred = strict_json(call("schema", "show", "@local/seven", "--db", lab, "--json").stdout)

    assert (stored["ref"], stored["schema"]["name"]) == (POINT, "Point")
    assert inferred["ref"] is None
    assert [field["name"] for field in inferred["schema"]["fields"]] == ["n"]


def test_the_schema_of_a_shard_is_inferred(shard: Path) -> None:
    """No catalogue is needed."""
    done = run("schema", "show", shard)

    assert (done.returncode, done.stderr) == (0, "")
    assert done.stdout.splitlines() == ["Sample (inferred)", "  name: str", "  x: float"]


def test_diff_of_what_is_the_same_ends_with_0(lab: Path, shard: Path) -> None:
    """A shard's inferred schema may be that of the catalogue."""
    same = run("schema", "diff", "@local/points", POINT, "--db", lab, "--json")
    inferred = call("schema", "diff", shard, POINT, "--db", lab)

    assert (same.returncode, strict_json(same.stdout)["identical"]) == (0, True)
    assert (inferred.returncode, inferred.stdout) == (0, "none: same\n")


def test_diff_of_what_differs_ends_with_1(lab: Path) -> None:
    """Every field is told, and the lens that may lead from one to the other."""
    done = run("schema", "diff", POINT, PICTURE, "--db", lab)
    document = strict_json(call("schema", "diff", POINT, PICTURE, "--db", lab, "--json").stdout)

    assert (done.returncode, done.stderr) == (1, "")
    assert "+ image: NDArray[uint8]" in done.stdout
    assert "- x: float" in done.stdout
    assert "major: breaking" in done.stdout
    assert (document["identical"], document["bump"]) == (False, "major")
    assert {change["path"] for change in document["added"]} == {"image", "label", "note", "raw"}
    assert [change["old"] for change in document["removed"]] == ["name: str", "x: float"]
    assert "@atdata.lens" in document["lens"]


@pytest.mark.parametrize(
    "other", ["atdata://local/schema/Nope@1.0.0", "@local/nope", "none.tar", "damaged.tar"]
)
def test_diff_of_what_cannot_be_had_ends_with_2(
    other: str, lab: Path, shard: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """The reason is told."""
    monkeypatch.chdir(shard.parent)
    damage(shard.rename("damaged.tar"), 700)

    done = call("schema", "diff", POINT, other, "--db", lab)

    assert (done.returncode, done.stdout) == (2, "")
    assert done.stderr


def test_codegen_writes_a_module_that_can_be_imported(
    lab: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Its class has the fields, and the dataset is read as it."""
    printed = run("codegen", "@local/points", "--db", lab)
    done = call("codegen", POINT, "-o", tmp_path / "generated_point.py", "--db", lab)

    assert (printed.returncode, done.returncode) == (0, 0)
    assert (tmp_path / "generated_point.py").read_text() == printed.stdout
    monkeypatch.syspath_prepend(tmp_path)
    made = import_module("generated_point").Point
    del sys.modules["generated_point"]
    with atdata.Index(path=lab) as index:
        assert index.open("points", made)[1] == made(name="b", x=2.0)


def test_codegen_finds_a_module_out_of_date(lab: Path, tmp_path: Path) -> None:
    """The exit code is 1 if it is of another schema, or not there; nothing is written."""
    path = tmp_path / "point.py"
    call("codegen", POINT, "-o", path, "--db", lab)

    current = run("codegen", POINT, "--check", path, "--db", lab)
    other = call("codegen", PICTURE, "--check", path, "--db", lab, "--json")
    absent = call("codegen", POINT, "--check", tmp_path / "none.py", "--db", lab)

    assert (current.returncode, current.stderr) == (0, "")
    assert (other.returncode, strict_json(other.stdout)["current"]) == (1, False)
    assert "not up to date" in other.stderr
    assert absent.returncode == 1
    assert not (tmp_path / "none.py").exists()


def test_codegen_writes_over_nobodys_own_file(lab: Path, tmp_path: Path) -> None:
    """A file that it wrote is replaced; any other stays."""
    mine, written = tmp_path / "mine.py", tmp_path / "written.py"
    mine.write_text("x = 1\n")
    call("codegen", POINT, "-o", written, "--db", lab)

    refused = call("codegen", POINT, "-o", mine, "--db", lab)
    again = call("codegen", PICTURE, "-o", written, "--db", lab)

    assert (refused.returncode, again.returncode) == (1, 0)
    assert mine.read_text() == "x = 1\n"
    assert "class Picture" in written.read_text()


@pytest.mark.parametrize(
    "args",
    [
        ["schema"],
        ["schema", "show", "@nobody"],
        ["schema", "show", "atdata://local/schema/Point"],
        ["codegen", POINT, "-o", "a.py", "--check", "a.py"],
    ],
    ids=" ".join,
)
def test_arguments_that_make_no_sense_end_with_2(args: list[str]) -> None:
    """A wrong call is told from a schema that is not there."""
    done = call(*args)

    assert done.returncode == 2
    assert done.stderr
