"""The benchmarks run, on little data."""

import json
import os
import subprocess
import sys
from pathlib import Path

import pytest

PROGRAM = Path(__file__).parents[2] / "benchmarks" / "bench_io.py"


def run_benchmarks(*options: object) -> str:
    """Run the program, and return what it prints."""
    command = [sys.executable, PROGRAM, "--budget", "0.001", "--rounds", "1", *options]
    env = {**os.environ, "PYTHONWARNINGS": ""}
    run = subprocess.run(
        list(map(str, command)), capture_output=True, text=True, check=False, env=env
    )
    assert run.returncode == 0, run.stderr
    return run.stdout


@pytest.fixture(scope="module")
def kept(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A folder with all figures and the page that is made of them."""
    folder = tmp_path_factory.mktemp("figures")
    files = ("--save", folder / "figures.json", "--report", folder / "page.md")
    modes = "seq,batch,shufbatch,rand,gather,filter,foreign,write,memory:batch"

    run_benchmarks("--scale", "0.001", "--only", "S,L,V,I", "--modes", modes, *files)

    return folder


def test_every_cell_has_a_figure_of_every_system(kept: Path) -> None:
    """All systems are measured in all modes that they have; what they read is compared."""
    cells = json.loads((kept / "figures.json").read_text())["cells"]

    figures = [list(values.values()) for cell in cells for values in cell["figures"].values()]

    assert len(cells) == 18
    assert {len(cell["figures"]) for cell in cells if cell["mode"] == "batch"} == {6}
    assert all(values and min(values) > 0 for values in figures)
    assert all("atdata" in cell["figures"] for cell in cells)


def test_the_page_names_what_was_measured(kept: Path) -> None:
    """Floors and figures are in the page, and the machine's own folders are not."""
    page = (kept / "page.md").read_text()

    assert page.startswith("# Benchmarks\n")
    assert "| S | seq | 60x webdataset |" in page
    assert str(PROGRAM.parents[1]) not in page


def test_figures_are_compared_with_kept_ones(kept: Path) -> None:
    """A later run of some cells says what became of them."""
    choice = ("--only", "S,M", "--modes", "seq,http,cold", "--systems", "atdata")

    printed = run_benchmarks(*choice, "--scale", "0.001", "--compare", kept / "figures.json")

    assert "M http" in printed
    assert "M cold" in printed
    assert printed.splitlines()[-1].startswith("S seq")


def test_order_is_measured_and_lost_connections_lose_nothing(tmp_path: Path) -> None:
    """Resuming, mixing and a server that cuts connections have figures and a part of the page."""
    page = tmp_path / "page.md"
    choice = ("--only", "S,M", "--modes", "mix,resume,http_cut", "--no-check", "--report", page)

    printed = run_benchmarks("--systems", "atdata,no read-ahead", "--scale", "0.001", *choice)

    assert "no sample was lost" in printed
    for title in ("one connection in fifty", "How well samples", "after nine tenths"):
        assert title in page.read_text()


def test_systems_that_read_other_data_are_found_out(tmp_path: Path) -> None:
    """The check is no formality: a shard with other samples is noticed."""
    program = (
        "import bench_io\n"
        "cell = bench_io.Cell('S', 'seq', 9, ('a', 'b'))\n"
        "class Worker:\n"
        "    def __init__(self, n): self.n = n\n"
        "    def ask(self, **task): return [9, self.n]\n"
        "files = bench_io.Files('', bench_io.Web(), bench_io.Web(), '')\n"
        "bench_io.check([cell], files, {'a': Worker(1), 'b': Worker(1)})\n"
        "bench_io.check([cell], files, {'a': Worker(1), 'b': Worker(2)})\n"
    )

    run = subprocess.run(
        [sys.executable, "-c", program],
        cwd=PROGRAM.parent,
        capture_output=True,
        text=True,
        check=False,
    )

    assert "b S seq reads other data than a S seq" in run.stderr
