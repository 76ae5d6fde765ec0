"""The tree keeps the rules that no linter knows."""

import ast
import re
import subprocess
import tomllib
from collections.abc import Iterator
from pathlib import Path

import pytest

ROOT = Path(__file__).parents[2]
SOURCES = sorted((ROOT / "src/atdata").rglob("*.py"))

# Written so that this file does not hold what it looks for.
MACHINE_FACTS = {
    "a home directory": re.compile(r"/(?:root|home/[\w.-]+|Users/[\w.-]+)/"),
    "a package index": re.compile(r"python" + r"hosted\.org|/sim" + r"ple/|index[-_]" + r"url"),
}


def tracked_files() -> Iterator[Path]:
    """The files that are, or would be, committed; in a source archive, all of them."""
    command = ["git", "ls-files", "--cached", "--others", "--exclude-standard"]
    listed = subprocess.run(command, cwd=ROOT, capture_output=True, text=True, check=False)
    names = listed.stdout.splitlines() or [str(p.relative_to(ROOT)) for p in SOURCES]
    return (path for name in names if (path := ROOT / name).is_file())


def test_no_file_holds_facts_of_the_machine_it_was_written_on() -> None:
    """The tree is the same wherever it was written: no home directories, no package index."""
    held = [
        f"{path.relative_to(ROOT)}: {what} ({found.group()})"
        for path in tracked_files()
        for what, pattern in MACHINE_FACTS.items()
        if (found := pattern.search(path.read_bytes().decode("latin-1")))
    ]

    assert held == []


@pytest.mark.parametrize("path", SOURCES, ids=lambda path: str(path.relative_to(ROOT / "src")))
def test_each_module_says_what_it_is_for_and_imports_plainly(path: Path) -> None:
    """A docstring opens the file; annotations are real, and no import is for checkers alone."""
    tree = ast.parse(path.read_text())
    froms = [node for node in ast.walk(tree) if isinstance(node, ast.ImportFrom)]

    assert ast.get_docstring(tree)
    assert not [node for node in froms if node.module == "__future__"]
    assert not [n for n in froms for alias in n.names if alias.name == "TYPE_CHECKING"]


def test_each_folder_is_a_package() -> None:
    """A folder of modules says what it holds, in its `__init__.py`."""
    folders = {path.parent for path in SOURCES}

    assert [folder for folder in folders if not (folder / "__init__.py").is_file()] == []


def test_the_site_shows_every_page() -> None:
    """Each page of `docs/` is in the navigation, and each entry is a page."""
    nav = tomllib.loads((ROOT / "zensical.toml").read_text())["project"]["nav"]
    shown = {page for entry in nav for page in entry.values()}

    assert shown == {str(p.relative_to(ROOT / "docs")) for p in (ROOT / "docs").rglob("*.md")}


def test_the_change_log_has_a_place_for_what_comes() -> None:
    """A change that users notice has a line under Unreleased."""
    assert "## [Unreleased]" in (ROOT / "CHANGELOG.md").read_text().splitlines()
