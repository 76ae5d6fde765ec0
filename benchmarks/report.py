"""Figures as text: for the terminal, and as a page of the docs."""

import os
import platform
from importlib.metadata import version
from pathlib import Path
from typing import Any

from workloads import WORKLOADS

PACKAGES = ("atdata", "numpy", "msgspec", "webdataset", "datasets", "pyarrow")

# What each cell is to reach: a ratio over another system. From the project's performance goals.
FLOORS = {
    ("S", "seq"): (60, "webdataset"),
    ("S", "batch"): (150, "webdataset"),
    ("M", "seq"): (30, "webdataset"),
    ("M", "batch"): (50, "webdataset"),
    ("L", "consume"): (8, "webdataset"),
    ("L", "batch"): (5, "webdataset"),
    ("B", "seq"): (10, "webdataset"),
    ("B", "batch"): (8, "webdataset"),
    ("V", "seq"): (20, "webdataset"),
    ("V", "batch"): (20, "webdataset"),
    ("I", "seq"): (5, "webdataset"),
    ("M", "shuf"): (25, "webdataset"),
    ("M", "shufbatch"): (20, "webdataset"),
    ("M", "rand"): (3, "hf arrow"),
    ("L", "rand"): (20, "hf arrow"),
    ("B", "rand"): (2, "hf arrow"),
    ("S", "filter"): (50, "webdataset"),
    ("S", "foreign"): (40, "webdataset"),
    ("M", "foreign"): (20, "webdataset"),
    ("S", "write"): (15, "webdataset"),
    ("M", "write"): (8, "webdataset"),
    ("L", "write"): (1.2, "webdataset"),
    ("S", "write_plain"): (25, "webdataset"),
    ("M", "write_plain"): (12, "webdataset"),
    ("L", "write_plain"): (3, "webdataset"),
    ("B", "write_plain"): (3, "webdataset"),
    ("M", "http"): (5, "tarfile"),
}
LATER = {("M", "shuf"), ("M", "shufbatch"), ("M", "http")}
"""Floors of parts that are not done yet; they are shown all the same."""
VIEWS = ("seq", "shuf", "rand")
"""Modes in which large arrays are views, whose bytes nobody reads in the measurement."""
MOST_MEGABYTES = 150
MOST_SECONDS = 0.3

UNITS = {"rate": "samples/s", "megabytes": "MB", "seconds": "s"}


def headline(figures: dict[str, float]) -> tuple[float, str]:
    """The figure that counts, and its unit."""
    name = next(name for name in UNITS if name in figures)
    return figures[name], UNITS[name]


def floor_of(cell: dict[str, Any]) -> tuple[str, str, bool] | None:
    """What a cell is to reach, what it reaches, and whether that is enough.

    None where there is no floor, or not both systems were measured.
    """
    figures = cell["figures"]
    if "atdata" not in figures:
        return None
    ours = figures["atdata"]
    if "megabytes" in ours:
        most = ours["megabytes"]
        return f"< {MOST_MEGABYTES} MB", f"{most:.0f} MB", most < MOST_MEGABYTES
    if "seconds" in ours:
        return f"< {MOST_SECONDS} s", f"{ours['seconds']:.2f} s", ours["seconds"] < MOST_SECONDS
    floor, base = FLOORS.get((cell["workload"], cell["mode"]), (0, ""))
    if base not in figures:
        return None
    reached = ours["rate"] / figures[base]["rate"]
    return f"{floor}x {base}", ratio(reached), reached >= floor


def ratio(value: float) -> str:
    """A ratio with as many digits as mean something."""
    return f"{value:.0f}x" if value >= 20 else f"{value:.1f}x" if value >= 2 else f"{value:.2f}x"


def lines(cell: dict[str, Any]) -> str:
    """A cell for the terminal, a line for each system."""
    found = floor_of(cell)
    verdict = ""
    if found is not None:
        verdict = f"   floor {found[0]}: {found[1]}, {'holds' if found[2] else 'DOES NOT HOLD'}"
    text = [f"{cell['workload']} {cell['mode']}{verdict}"]
    for system, figures in cell["figures"].items():
        figure, unit = headline(figures)
        digits = ",.2f" if unit == "s" else ",.0f"
        line = f"  {system:12} {figure:12{digits}} {unit}"
        if unit == "samples/s":
            line += f" {figure * cell['bytes'] / 1e6:9,.1f} MB/s"
            for base in ("webdataset", "limit"):
                if base in cell["figures"] and system != base:
                    line += f"  {ratio(figure / cell['figures'][base]['rate']):>6} {base}"
        if "first" in figures and system != "limit":
            line += f"  (first pass {figures['first']:,.0f})"
        text.append(line)
    return "\n".join(text)


def machine() -> dict[str, Any]:
    """What the figures were measured on, and nothing that names the machine."""
    model = platform.machine()
    info = Path("/proc/cpuinfo")
    if info.exists():
        names = [line for line in info.read_text().splitlines() if line.startswith("model name")]
        model = names[0].split(":")[1].strip() if names else model
    memory = os.sysconf("SC_PAGE_SIZE") * os.sysconf("SC_PHYS_PAGES") / 2**30
    return {
        "processor": model,
        "cores": os.cpu_count(),
        "memory": f"{memory:.0f} GiB",
        "system": platform.system(),
        "python": platform.python_version(),
    }


def versions() -> dict[str, str]:
    """The versions of what was measured."""
    return {name: version(name) for name in PACKAGES}


def comparison(old: dict[str, Any], new: dict[str, Any]) -> str:
    """What changed in atdata's figures, and how much of that the machine did.

    The last column is the change relative to webdataset, or else the limit, in the same runs.
    """
    before = {(cell["workload"], cell["mode"]): cell["figures"] for cell in old["cells"]}
    text = [f"{'':22}{'before':>12}{'now':>12}{'change':>10}{'to a peer':>12}"]
    for cell in new["cells"]:
        was = before.get((cell["workload"], cell["mode"]), {})
        if "atdata" not in was or "atdata" not in cell["figures"]:
            continue
        a, unit = headline(was["atdata"])
        b, _ = headline(cell["figures"]["atdata"])
        digits = ",.3f" if unit == "s" else ",.0f"
        line = f"{cell['workload']} {cell['mode']:20}{a:12{digits}}{b:12{digits}}{b / a:9.2f}x"
        for base in ("webdataset", "limit"):
            if base in was and base in cell["figures"] and unit == "samples/s":
                peer = headline(cell["figures"][base])[0] / headline(was[base])[0]
                line += f"{b / a / peer:11.2f}x"
                break
        text.append(line)
    return "\n".join(text)


TITLES = {
    "seq": "Single samples in order",
    "consume": "Single samples in order, and every byte is looked at",
    "batch": "Batches of 256 in order",
    "shuf": "Single samples in shuffled order",
    "shufbatch": "Batches of 256 in shuffled order",
    "rand": "Single samples at random positions",
    "gather": "Batches of 256 at random positions",
    "filter": "One sample in a hundred, by a number in it",
    "foreign": "Shards by webdataset's `TarWriter`: PAX headers, no index",
    "write": "Writing",
    "write_plain": "Writing with `digest=False`",
    "http": "A shard on a web server that takes 20 ms for each request",
}

HEAD = """# Benchmarks

How fast atdata reads and writes, next to other libraries on the same machine, in the same run.
`just bench-report` makes this page. It says what was measured, whether or not atdata comes first.
"""

HOW = """## How it is measured

- Every system has a process of its own, and each measurement a fork of that, so that none finds
  the memory of another. Systems take turns, round after round; figures are medians over the
  rounds.
- Files are in the page cache. Shards have one msgpack member per sample; the tar readers and
  atdata read the same files. Hugging Face datasets reads its own Arrow files, with the same
  values. Before anything is measured, all systems read small files to the end, and what they read
  is compared.
- atdata gives typed samples, checked against their class, with writable arrays, by its defaults.
  In batches, every field is asked for. The others give what their users would have: dictionaries
  with read-only arrays for webdataset and `tarfile`, which decode with msgspec.
- The figures are of passes after the first. In the first pass of a process over a shard, atdata
  compares each block with its digest, and the memory of the file is mapped; that pass has a column
  of its own. Imports happen before both.
- *hf datasets* is its numpy format; *hf arrow* takes the Arrow tables and makes arrays of their
  memory by hand. Both give views of mapped files, and so does atdata for single samples of L
  (views that may be written to, which leaves the file as it is). What nobody looks at has not been
  read then: such cells have no MB/s, and the table in which every byte is looked at says more.
- *limit* reads the bytes of the shard into a buffer that is used again and again, in pieces of
  256 KiB, or of a batch; in writing, it writes as many bytes. It knows nothing of samples.
- webdataset shuffles in a buffer of 1,000 samples. atdata and Hugging Face datasets permute all of
  them.
- Writing goes to files in memory where the system has them, so that no disk is measured. On a
  disk, atdata also waits until the bytes are there; the others do not.
- *A web server* is a process on the same machine. webdataset fetches the file with `curl`, in one
  request; `tarfile` fetches a mebibyte at a time, and that is what the floor is counted from.
- Memory is what the process holds in anonymous memory at most (`RssAnon`): interpreter, libraries
  and all, without mapped files.
- The first sample is timed from a started interpreter, imports included.

```console
$ just bench-io --only S,M --modes seq,batch --systems atdata,webdataset
$ just bench-save base
$ just bench-compare base
$ just bench-report
```
"""


def page(results: dict[str, Any]) -> str:
    """The page of the docs."""
    cells = results["cells"]
    parts = [HEAD, _facts(results), _samples(), _floors(cells)]
    for mode, title in TITLES.items():
        some = [cell for cell in cells if cell["mode"] == mode]
        if some:
            parts.append(f"## {title}\n\n{_rates(some)}")
    some = [cell for cell in cells if cell["mode"].startswith("memory")]
    if some:
        parts.append(f"## Memory, in MB\n\n{_plain_table(some, 'megabytes', ',.0f')}")
    some = [cell for cell in cells if cell["mode"] == "cold"]
    if some:
        parts.append(f"## The first sample, in seconds\n\n{_plain_table(some, 'seconds', '.2f')}")
    return "\n".join([*parts, HOW])


def _facts(results: dict[str, Any]) -> str:
    machine, options = results["machine"], results["options"]
    packages = ", ".join(f"{name} {number}" for name, number in results["versions"].items())
    return (
        f"Measured on {machine['cores']} cores of an {machine['processor']} with "
        f"{machine['memory']} of memory, {machine['system']}, Python {machine['python']}; "
        f"{packages}.\n{options['rounds']} rounds, {options['budget']} s for a measurement, "
        f"{results['seconds']} s in all. "
        "Read the ratios: other work on a machine moves the rest.\n"
    )


def _samples() -> str:
    lines = [f"| {one.name} | {one.about} |" for one in WORKLOADS.values()]
    return "\n".join(["| | a sample |", "| --- | --- |", *lines, ""])


def _floors(cells: list[dict[str, Any]]) -> str:
    lines = [
        "## What is to hold",
        "",
        "| | | floor | measured | |",
        "| --- | --- | --- | --- | --- |",
    ]
    for cell in cells:
        found = floor_of(cell)
        if found is None:
            continue
        floor, reached, holds = found
        verdict = "holds" if holds else "**does not hold**"
        if (cell["workload"], cell["mode"]) in LATER:
            verdict += " (not due yet)"
        mode = cell["mode"].replace(":", ", ").replace("_", ", ").replace("plain", "no digests")
        lines.append(f"| {cell['workload']} | {mode} | {floor} | {reached} | {verdict} |")
    return "\n".join([*lines, ""])


def _rates(cells: list[dict[str, Any]]) -> str:
    """Samples per second, and how many times webdataset that is."""
    systems = list(dict.fromkeys(system for cell in cells for system in cell["figures"]))
    has_first = any("first" in cell["figures"].get("atdata", {}) for cell in cells)
    head = ["samples/s", *systems]
    if has_first:
        head.insert(head.index("atdata") + 1, "atdata, first pass")
    lines = ["| " + " | ".join([*head, "atdata, MB/s"]) + " |"]
    lines.append("| --- " + "| ---: " * len(head) + "|")
    for cell in cells:
        figures = cell["figures"]
        base = figures.get("webdataset", {}).get("rate")
        row = [cell["workload"]]
        for name in head[1:]:
            system, _, first = name.partition(", ")
            rate = figures.get(system, {}).get("first" if first else "rate")
            text = "–" if rate is None else short(rate)
            if rate is not None and base and system != "webdataset":
                text += f" ({ratio(rate / base)})"
            row.append(text)
        ours = figures.get("atdata", {}).get("rate")
        unread = cell["workload"] == "L" and cell["mode"] in VIEWS
        row.append("–" if ours is None or unread else f"{ours * cell['bytes'] / 1e6:,.0f}")
        lines.append("| " + " | ".join(row) + " |")
    return "\n".join([*lines, ""])


def _plain_table(cells: list[dict[str, Any]], figure: str, digits: str) -> str:
    systems = list(dict.fromkeys(system for cell in cells for system in cell["figures"]))
    lines = ["| | " + " | ".join(systems) + " |", "| --- " + "| ---: " * len(systems) + "|"]
    for cell in cells:
        values = [cell["figures"].get(system, {}).get(figure) for system in systems]
        texts = ["–" if value is None else f"{value:{digits}}" for value in values]
        name = f"{cell['workload']} {cell['mode'].partition(':')[2]}".strip()
        lines.append("| " + " | ".join([name, *texts]) + " |")
    return "\n".join([*lines, ""])


def short(rate: float) -> str:
    """A rate with three digits."""
    for limit, unit in ((1e6, " M"), (1e3, " k")):
        if rate >= limit:
            return f"{rate / limit:.3g}{unit}"
    return f"{rate:.3g}"
