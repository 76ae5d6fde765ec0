"""What `import atdata` costs: seconds and modules, next to what numpy and some peers cost."""

import argparse
import subprocess
import sys
from statistics import median

from bench_io import environment

STATEMENTS = (
    "pass",
    "import atdata",
    "from atdata import packable",
    "from atdata import Dataset",
    "import numpy",
    "import webdataset",
    "import datasets",
)
PROGRAM = """
import time, sys
before = len(sys.modules)
began = time.perf_counter()
{}
print(time.perf_counter() - began, len(sys.modules) - before)
"""


def main() -> None:
    """Time each statement in processes of their own, by turns."""
    options = argparse.ArgumentParser(description=__doc__)
    options.add_argument("--rounds", type=int, default=7)
    rounds = options.parse_args().rounds
    found: dict[str, list[tuple[float, int]]] = {one: [] for one in STATEMENTS}
    for number in range(rounds + 1):
        for statement in STATEMENTS:
            run = subprocess.run(
                [sys.executable, "-c", PROGRAM.format(statement)],
                env=environment(),
                capture_output=True,
                text=True,
                check=True,
            )
            seconds, modules = run.stdout.split()
            if number:  # the first round compiles
                found[statement].append((float(seconds), int(modules)))
    for statement, figures in found.items():
        seconds = median(one[0] for one in figures)
        print(f"{statement:28} {seconds * 1e3:8.1f} ms {figures[0][1]:6} modules")


if __name__ == "__main__":
    main()
