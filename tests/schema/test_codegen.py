"""Generated modules: they give the schema's type, and nothing else happens."""

import ast
import dataclasses
import itertools
import os
import subprocess
import sys
from pathlib import Path
from types import ModuleType
from typing import Any

import pytest
from hypothesis import given, settings
from tests.schema.kinds import (
    ANNOTATIONS,
    DEFAULTS,
    FACTORIES,
    FORMATS,
    Tree,
    primitive,
    sample_type,
    schemas,
)

from atdata import pack, unpack
from atdata._exceptions import SchemaRecordError
from atdata.model.schema import Constant, Schema, SchemaField
from atdata.schema.build import type_of
from atdata.schema.codegen import cid_of_module, generate_module, is_current
from atdata.schema.infer import schema_of

ROOT = Path(__file__).parents[2]
_number = itertools.count()


def imported(text: str, name: str) -> Any:
    """A type of a module's text, as an import would give it."""
    module = ModuleType(f"generated_{next(_number)}")
    sys.modules[module.__name__] = module
    exec(compile(text, module.__name__, "exec", dont_inherit=True), module.__dict__)
    return getattr(module, name)


def with_defaults() -> list[Schema]:
    """A schema for each kind of default."""
    factories = [(a, dataclasses.field(default_factory=f)) for a, f in FACTORIES]
    return [
        schema_of(dataclasses.make_dataclass("Sample", [("x", annotation, default)]))
        for annotation, default in [*DEFAULTS, *factories]
    ]


@pytest.mark.parametrize("annotation", ANNOTATIONS + FORMATS, ids=str)
def test_the_type_of_a_generated_module_has_the_schema(annotation: Any) -> None:
    """For each kind of field, what is imported is the schema's type."""
    schema = schema_of(sample_type(x=annotation))

    assert schema_of(imported(generate_module(schema), "Sample")).cid == schema.cid


@settings(max_examples=20)
@given(schema=schemas())
def test_any_generated_module_gives_a_type_of_the_same_cid(schema: Schema) -> None:
    """Odd names that hide builtins, values of every kind, descriptions with any characters."""
    text = generate_module(schema)

    assert schema_of(imported(text, schema.name)).cid == schema.cid
    assert is_current(text, schema)


@pytest.mark.parametrize("schema", with_defaults(), ids=lambda s: str(s.fields[0])[:40])
def test_a_generated_default_is_the_stored_one(schema: Schema) -> None:
    """A sample with nothing given is the same from the module and from the schema."""
    made = imported(generate_module(schema), "Sample")

    assert pack(made()) == pack(type_of(schema)())
    assert schema_of(made).cid == schema.cid


def test_a_generated_type_reads_what_the_original_wrote() -> None:
    """A tree of the original type is one of the module's."""
    made = imported(generate_module(schema_of(Tree)), "Tree")
    payload = pack(Tree(1, [Tree(2)], Tree(3)))

    assert pack(unpack(made, payload)) == payload


HOSTILE = [
    '"""\nimport os\nos.system("touch PWNED")\n"""',
    "'; __import__('os').system('touch PWNED'); '",
    '\\"""\n__import__("os").system("touch PWNED")\n',
    "# coding: utf-7\n+AAo-import os",
    "{__import__('os').system('touch PWNED')}",
    "\x00\x1b[31m\u2028\u202e\r\x0c import os",
]


def strings_aside(text: str) -> set[str]:
    """Every name and attribute that a module uses."""
    tree = ast.parse(text)
    return {n.id for n in ast.walk(tree) if isinstance(n, ast.Name)} | {
        n.attr for n in ast.walk(tree) if isinstance(n, ast.Attribute)
    }


@pytest.mark.parametrize("text", HOSTILE, ids=ascii)
def test_what_a_record_says_is_never_code(
    text: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Descriptions, defaults, literals and dimension names stay text, and nothing is run."""
    monkeypatch.chdir(tmp_path)
    kinds = [
        {"kind": "literal", "values": [text]},
        {"kind": "enum", "base": "Enum", "members": [["A", text]], "description": text},
    ]
    schema = Schema.from_dict(
        {
            "name": "S",
            "version": '1"""; import os; os.system("touch PWNED"); """',
            "description": text,
            "fields": [
                {"name": "a", "fieldType": {"primitive": "str"}, "default": text},
                {"name": "b", "fieldType": kinds[0], "default": text, "description": text},
                {"name": "c", "fieldType": {"kind": "ref", "ref": "#E"}, "default": text},
                {"name": "d", "fieldType": {"primitive": "any"}, "default": {text: [text]}},
            ],
            "definitions": {"E": kinds[1]},
        }
    )

    module = generate_module(schema)
    made = imported(module, "S")

    assert not strings_aside(module) & {"os", "system", "exec", "eval", "__import__"}
    assert (made().a, made().b, made().c.value, made().d) == (text, text, text, {text: [text]})
    assert schema_of(made).cid == schema.cid
    assert os.listdir(tmp_path) == []


@pytest.mark.parametrize(
    "version", ["coding:latin-1", "vim: set fileencoding=utf-7", "-*- coding"]
)
def test_a_version_does_not_say_how_a_module_is_encoded(version: str, tmp_path: Path) -> None:
    """A comment of the first two lines could; the version stands further down."""
    schema = Schema("Größe", version, (SchemaField("größe", primitive("int")),), "Wie groß.")
    path = tmp_path / "made.py"
    path.write_bytes(generate_module(schema).encode())
    code = "import made; print(ascii(made.Größe(größe=1)))"

    run = subprocess.run(
        [sys.executable, "-c", code], cwd=tmp_path, check=True, capture_output=True, text=True
    )

    assert run.stdout.strip() == ascii("Größe(größe=1)").strip("'")


def test_what_cannot_be_a_type_has_no_module() -> None:
    """A default that lies is refused before a line is written."""
    schema = Schema("S", "1", (SchemaField("x", primitive("int"), default=Constant.of("a")),))

    with pytest.raises(SchemaRecordError, match="a default is no value of its field"):
        generate_module(schema)


def test_drift_shows_in_the_head(tmp_path: Path) -> None:
    """A module of another content is not current, under whatever version."""
    one, other = schema_of(sample_type(x=int)), schema_of(sample_type(x=str))
    path = tmp_path / "made.py"
    path.write_text(generate_module(one))

    assert is_current(path, one.with_version("2.0.0"))
    assert not is_current(path, other)
    assert not is_current(tmp_path / "missing.py", one)
    assert not is_current("# CID: nothing", one)
    path.write_bytes(b"\xff\xfe")
    assert cid_of_module(path) is None


@pytest.fixture(scope="module")
def modules(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A folder of generated modules, one for each kind of field and default, and odd names."""
    folder = tmp_path_factory.mktemp("modules")
    names = ["int", "str", "list", "np", "Any", "NDArray", "field", "packable", "Annotated"]
    odd = [(name, annotation) for name, annotation in zip(names, ANNOTATIONS[30:], strict=False)]
    kinds = [schema_of(sample_type(x=annotation)) for annotation in ANNOTATIONS + FORMATS]
    kinds += [schema_of(sample_type(**dict(odd))), schema_of(Tree), *with_defaults()]
    for i, schema in enumerate(kinds):
        (folder / f"made_{i}.py").write_text(generate_module(schema))
    return folder


def test_generated_modules_pass_mypy(modules: Path) -> None:
    """mypy, in strict mode, has nothing to say about them."""
    command = [sys.executable, "-m", "mypy", "--config-file", "pyproject.toml", modules]

    run = subprocess.run(command, cwd=ROOT, capture_output=True, text=True, check=False)

    assert run.returncode == 0, run.stdout + run.stderr


def test_generated_modules_pass_pyright(modules: Path) -> None:
    """pyright, in strict mode, has nothing to say about them."""
    (modules / "pyrightconfig.json").write_text('{"include": ["."], "typeCheckingMode": "strict"}')
    pyright = [sys.executable, "-m", "pyright", "--pythonpath", sys.executable]
    quiet = {**os.environ, "PYRIGHT_PYTHON_IGNORE_WARNINGS": "1"}
    there = subprocess.run([*pyright, "--version"], env=quiet, capture_output=True, check=False)
    if there.returncode:
        pytest.skip("pyright cannot fetch its program here")

    run = subprocess.run(
        [*pyright, "-p", modules], env=quiet, capture_output=True, text=True, check=False
    )

    assert run.returncode == 0, run.stdout + run.stderr
