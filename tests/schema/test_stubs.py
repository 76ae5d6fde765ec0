"""The folder of generated modules: what is written where, and when it is written again."""

import subprocess
import sys
from pathlib import Path

import pytest
from tests.schema.kinds import primitive, sample_type

from atdata.model.schema import Schema, SchemaField
from atdata.schema.infer import schema_of
from atdata.schema.stubs import StubManager


@pytest.fixture
def stubs(tmp_path: Path) -> StubManager:
    return StubManager(tmp_path / "stubs")


def schema(name: str = "Word", version: str = "1.0.0", kind: str = "int") -> Schema:
    return Schema(name, version, (SchemaField("x", primitive(kind)),))


def test_a_module_is_written_once(stubs: StubManager) -> None:
    """A second call leaves the file as it is, to the nanosecond."""
    path = stubs.ensure_stub(schema())
    before = path.stat().st_mtime_ns

    assert stubs.ensure_stub(schema()) == path
    assert path.stat().st_mtime_ns == before
    assert path == stubs.stub_dir / "local" / "Word_1_0_0.py"
    assert stubs.list_stubs() == [path]


def test_a_module_of_other_fields_is_written_again(stubs: StubManager) -> None:
    """Also where name and version stayed the same."""
    path = stubs.ensure_stub(schema())

    assert "x: str" in stubs.ensure_stub(schema(kind="str")).read_text()
    assert "x: str" in path.read_text()


def test_writing_a_module_does_not_import_it(stubs: StubManager) -> None:
    """It is for editors; the type comes from the schema."""
    before = set(sys.modules)

    stubs.ensure_stub(schema())

    assert not [name for name in set(sys.modules) - before if "Word" in name or "local" in name]


def test_a_module_can_be_imported_by_the_path_that_is_told(stubs: StubManager) -> None:
    """With the folder on the path, also for an authority with dots and dashes."""
    for authority in (
        "local",
        "lab.example.org",
        "my-lab.example",
        "did:plc:abc123",
        "3d.example",
    ):
        stubs.ensure_stub(schema(), authority)
        where = stubs.get_import_path("Word", "1.0.0", authority)
        code = f"from {where} import Word; print(Word(1))"
        run = [sys.executable, "-c", code]

        found = subprocess.run(
            run, cwd=stubs.stub_dir, check=True, capture_output=True, text=True
        ).stdout

        assert found == "Word(x=1)\n"
    assert (
        stubs.get_import_path("Word", "1.0.0", "lab.example.org") == "lab_example_org.Word_1_0_0"
    )


@pytest.mark.parametrize(
    "authority",
    ["..", ".", "", "/etc", "../up", "a/b", "a\\b", "a\x00b", "~", "a..b", "x" * 5000, "*", "-x"],
    ids=lambda text: ascii(text)[:12],
)
def test_an_authority_cannot_lead_out_of_the_folder(stubs: StubManager, authority: str) -> None:
    """It is refused, and nothing is written anywhere."""
    with pytest.raises(ValueError, match="no authority of schemas"):
        stubs.ensure_stub(schema(), authority)

    assert not stubs.stub_dir.exists()


@pytest.mark.parametrize(
    "version", ["../../up", "/abs", "..", "", "weird", "1.0.0-rc.1+b", "ä" * 99]
)
def test_any_version_stays_in_the_folder(stubs: StubManager, version: str) -> None:
    """Each has a file of its own, directly in the authority's folder."""
    path = stubs.ensure_stub(schema(version=version))

    assert path.parent == stubs.stub_dir / "local"
    assert path.resolve().is_relative_to(stubs.stub_dir.resolve())
    assert path.stem.isidentifier()


def test_two_versions_or_authorities_never_share_a_file(stubs: StubManager) -> None:
    """Names that look alike on disk are kept apart."""
    versions = ["1.0.0", "1_0_0", "1-0-0", "1.0.0-", "1 0 0", "10.0", "1.00"]
    authorities = ["a.b", "a-b", "a_b", "A.b", "a:b"]

    paths = {stubs.get_stub_path("Word", v, a) for v in versions for a in authorities}

    assert len(paths) == len(versions) * len(authorities)


def test_clearing_removes_what_was_generated_and_nothing_else(stubs: StubManager) -> None:
    """Files of the user stay, and folders go with their last file."""
    stubs.ensure_stub(schema())
    stubs.ensure_stub(schema(version="2.0.0"))
    stubs.ensure_stub(schema(), "lab.example.org")
    own = stubs.stub_dir / "local" / "own.py"
    own.write_text("x = 1\n")

    assert stubs.clear_stub("Word", "2.0.0")
    assert not stubs.clear_stub("Word", "2.0.0")
    assert stubs.clear_stubs("lab.example.org") == 1
    assert not (stubs.stub_dir / "lab_example_org").exists()
    assert stubs.clear_stubs() == 1
    assert own.exists()
    assert stubs.list_stubs() == []


def test_a_schema_that_is_no_type_leaves_nothing_behind(stubs: StubManager) -> None:
    """The module is written whole, or not at all."""
    good = schema_of(sample_type(x=int))
    stubs.ensure_stub(good)

    assert [path.suffix for path in stubs.stub_dir.rglob("*") if path.is_file()] == [".py"]
