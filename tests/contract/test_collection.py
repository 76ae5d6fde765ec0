"""The tests are found where only what `uv sync` brings is installed."""

import ast
from pathlib import Path

ROOT = Path(__file__).parents[2]
OPTIONAL = {"grain", "jax", "ray", "torch", "torchdata"}


def left_out() -> set[str]:
    """The files that the root `conftest.py` leaves out where a library is absent."""
    for node in ast.parse((ROOT / "conftest.py").read_text()).body:
        if isinstance(node, ast.Assign) and ast.unparse(node.targets[0]) == "LIBRARIES":
            return set(ast.literal_eval(node.value))
    raise AssertionError("conftest.py has no LIBRARIES")


def needs_a_library(path: Path) -> bool:
    """Whether importing a file imports an optional library, and does not ask for it first."""
    for node in ast.parse(path.read_text()).body:
        if "importorskip" in ast.unparse(node):
            return False
        names = [alias.name for alias in node.names] if isinstance(node, ast.Import) else []
        names += [node.module or ""] if isinstance(node, ast.ImportFrom) else []
        if {name.partition(".")[0] for name in names} & OPTIONAL:
            return True
    return False


def test_no_file_needs_a_library_that_may_be_absent() -> None:
    """pytest imports every file in search of doctests, so such a file is named or asks first."""
    files = [*(ROOT / "src").rglob("*.py"), *(ROOT / "tests").rglob("*.py")]

    found = {path.relative_to(ROOT).as_posix() for path in files if needs_a_library(path)}

    assert found
    assert found <= left_out()
