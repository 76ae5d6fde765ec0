"""Each layer imports only the layers beneath it, and the docs draw them as they are."""

import subprocess
import sys
from configparser import ConfigParser
from pathlib import Path

ROOT = Path(__file__).parents[2]


def test_imports_keep_to_the_layers() -> None:
    """import-linter finds every contract of `.importlinter` kept."""
    linter = Path(sys.executable).with_name("lint-imports")

    run = subprocess.run([linter], cwd=ROOT, capture_output=True, text=True, check=False)

    assert run.returncode == 0, run.stdout + run.stderr


def test_the_architecture_page_draws_the_layers() -> None:
    """Each row of the picture is a row of the contract, in the same order."""
    contract = ConfigParser()
    contract.read(ROOT / ".importlinter")
    rows = contract["importlinter:contract:layers"]["layers"].strip().splitlines()
    page = (ROOT / "docs/architecture.md").read_text()
    picture = page.partition("## Layers")[2].split("```")[1].splitlines()[1:]

    drawn = [line.split()[1:] for line in picture]

    assert drawn == [row.split(" | ") for row in rows]
