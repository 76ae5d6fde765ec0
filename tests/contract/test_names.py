"""The public names: one table, one stub, and each name is where they say, with its docs."""

import ast
import inspect
import subprocess
import sys
from importlib import import_module
from pathlib import Path
from typing import Protocol, cast

import pytest

import atdata

ROOT = Path(__file__).parents[2]
HOMES = atdata._HOMES
NAMES = sorted(HOMES)

# Where else public names may be imported from.
ADDRESSES = [
    ("atdata.dataset", "Dataset"),
    ("atdata.dataset", "DictSample"),
    ("atdata.dataset", "PackableSample"),
    ("atdata.dataset", "SampleBatch"),
    ("atdata.dataset", "packable"),
    ("atdata.dataset", "write_samples"),
    ("atdata.lens", "Lens"),
    ("atdata.lens", "LensNetwork"),
    ("atdata.lens", "lens"),
]


def stub_names() -> dict[str, str]:
    """Each name of the stub and the module it comes from."""
    tree = ast.parse((ROOT / "src/atdata/__init__.pyi").read_text())
    return {
        alias.asname: cast("str", node.module)
        for node in tree.body
        if isinstance(node, ast.ImportFrom)
        for alias in node.names
        if alias.asname == alias.name
    }


def in_a_new_python(code: str) -> str:
    """What a fresh interpreter prints when it runs the code."""
    run = [sys.executable, "-W", "error", "-c", code]
    return subprocess.run(run, check=True, capture_output=True, text=True).stdout.strip()


@pytest.mark.parametrize("name", NAMES)
def test_each_public_name_is_the_one_from_its_home(name: str) -> None:
    """`atdata.X` is the very object that its home calls X."""
    assert getattr(atdata, name) is getattr(import_module(HOMES[name]), name)


def test_the_stub_names_what_the_table_names() -> None:
    """Type checkers see each public name, from the same home, and no other."""
    assert stub_names() == {**HOMES, "__version__": "atdata._version"}


def test_dir_lists_every_public_name() -> None:
    """A name shows in `dir(atdata)` before it is loaded."""
    listed = in_a_new_python("import atdata; print(*dir(atdata))").split()

    assert set(NAMES) <= set(listed)


def test_an_unknown_name_is_an_attribute_error() -> None:
    """A misspelt name fails as in any module."""
    with pytest.raises(AttributeError, match="has no attribute 'Datset'"):
        _ = atdata.Datset  # type: ignore[attr-defined]


@pytest.mark.parametrize(
    "first",
    ["import atdata.lens", "from atdata.lens import LensNetwork", "import atdata.dataset as atds"],
)
def test_lens_is_the_decorator_whatever_is_imported_first(first: str) -> None:
    """`atdata.lens` is the function, although a package has the same name."""
    code = (
        f"{first}\nimport atdata\nfrom atdata import lens\n"
        "print(callable(atdata.lens), lens is atdata.lens)"
    )

    assert in_a_new_python(code) == "True True"


def test_no_submodule_hides_a_public_name() -> None:
    """A name stays itself after every module of the library was imported."""
    code = (
        "import pkgutil, importlib, types, atdata\n"
        "for found in pkgutil.walk_packages(atdata.__path__, 'atdata.'):\n"
        "    try:\n"
        "        if not found.name.endswith('__main__'): importlib.import_module(found.name)\n"
        "    except atdata.MissingExtraError:\n"
        "        assert found.name.startswith('atdata.adapters.')\n"
        "print([n for n in atdata._HOMES if isinstance(getattr(atdata, n), types.ModuleType)])"
    )

    assert in_a_new_python(code) == "[]"


@pytest.mark.parametrize("address", ADDRESSES, ids="{0[0]}.{0[1]}".format)
def test_each_address_leads_to_the_public_object(address: tuple[str, str]) -> None:
    """A name that may be imported from two places is one object."""
    module, name = address

    assert getattr(import_module(module), name) is getattr(atdata, name)


@pytest.mark.parametrize("name", NAMES)
def test_each_public_name_is_documented(name: str) -> None:
    """A public name says what it is for, and shows it, unless it is raised or implemented."""
    documented = getattr(atdata, name)

    docs = inspect.getdoc(documented) or ""

    assert docs.strip()
    if not is_error_or_seam(documented):
        assert "Examples:" in docs


def is_error_or_seam(value: object) -> bool:
    """Whether a public name is raised or implemented, rather than called."""
    return isinstance(value, type) and (
        issubclass(value, BaseException) or Protocol in value.__mro__
    )


def test_the_reference_page_shows_every_public_name() -> None:
    """A reader of the site finds each name."""
    page = (ROOT / "docs/reference.md").read_text().splitlines()

    shown = {line.removeprefix("::: atdata.") for line in page if line.startswith("::: atdata.")}

    assert shown == set(NAMES)
