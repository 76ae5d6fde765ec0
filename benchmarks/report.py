"""Figures as text: for the terminal, and as a page of the docs."""

import os
import platform
from contextlib import suppress
from importlib.metadata import PackageNotFoundError, version
from pathlib import Path
from typing import Any

from workloads import WORKLOADS

PACKAGES = ("atdata", "numpy", "msgspec", "webdataset", "datasets", "pyarrow")
OPTIONAL = ("torch", "mosaicml-streaming", "litdata", "grain", "array_record")

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
    ("M", "http"): (5, "no read-ahead"),
    ("M", "http_cut"): (5, "no read-ahead"),
}
VIEWS = ("seq", "shuf", "rand")
"""Modes in which large arrays are views, whose bytes nobody reads in the measurement."""
MOST_MEGABYTES = 150
PREFETCHED = {"memory:http": 67}
"""Megabytes that are read ahead by default, which the floor of memory is above."""
MOST_SECONDS = {"cold": 0.3, "resume": 0.2, "resume_shuf": 0.2}
MOST_LAG1 = 0.01
LEAST_SHARDS = 90

UNITS = {"rate": "samples/s", "megabytes": "MB", "seconds": "s", "lag1": "lag-1"}
DIGITS = {"s": ",.3f", "lag-1": ".4f"}


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
        most = MOST_MEGABYTES + PREFETCHED.get(cell["mode"], 0)
        return f"< {most} MB", f"{ours['megabytes']:.0f} MB", ours["megabytes"] < most
    if "seconds" in ours:
        limit, more = MOST_SECONDS[cell["mode"]], " more" if "fresh" in ours else ""
        seconds = ours["seconds"]
        return f"< {limit} s{more}", f"{seconds:.3f} s{more}", seconds < limit
    if "lag1" in ours:
        holds = ours["lag1"] < MOST_LAG1 and ours["shards"] >= LEAST_SHARDS
        reached = f"{ours['lag1']:.4f}, {ours['shards']:.0f} of 100"
        return f"lag-1 < {MOST_LAG1}, {LEAST_SHARDS} shards", reached, holds
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
        line = f"  {system:16} {figure:12{DIGITS.get(unit, ',.0f')}} {unit}"
        if unit == "samples/s":
            line += f" {figure * cell['bytes'] / 1e6:9,.1f} MB/s"
            for base in ("webdataset", "limit"):
                if base in cell["figures"] and system != base:
                    line += f"  {ratio(figure / cell['figures'][base]['rate']):>6} {base}"
        if "first" in figures and system != "limit":
            line += f"  (first pass {figures['first']:,.0f})"
        others = {"fresh": "fresh", "resumed": "resumed"} if "fresh" in figures else {}
        if unit == "lag-1":
            others = {"displacement": "displacement", "shards": "shards in the first 1,000"}
        for name, title in others.items():
            line += f"  {title} {figures[name]:.3g}"
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
    found = {name: version(name) for name in PACKAGES}
    for name in OPTIONAL:
        with suppress(PackageNotFoundError):
            found[name] = version(name)
    return found


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
        digits = DIGITS.get(unit, ",.0f")
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
    "http_cut": "The same, and one connection in fifty is cut",
    "loader": "Batches of 256 in shuffled order, by a torch `DataLoader` with 2 workers",
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
  request; `tarfile` fetches a mebibyte at a time. The floor is counted from *no read-ahead*, which
  is atdata with `prefetch_bytes=0`. Where connections are cut, whole passes are compared with the
  file until some were cut.
- A torch `DataLoader` keeps its two workers from pass to pass, and M is in 8 shards. atdata reads
  `ds.to_torch(256, shuffle=True, seed=1)`; webdataset permutes shards and has a buffer of 1,000 in
  each worker; Hugging Face datasets are in torch format, and torch's sampler permutes them.
- MosaicML streaming, litData and Grain (from ArrayRecord) read files of their own writers, only M
  and by their defaults: they shuffle in blocks, within chunks, and all samples.
- How well samples are mixed is counted over 100,000 samples of S in 100 shards: the correlation of
  the source positions of neighbours (its size), how far samples are moved, as a part of the whole
  (a third is ideal), and of how many shards the first 1,000 are. For atdata it is what
  `stream.shuffle_quality()` says, for webdataset what came; its shards are permuted, too.
- Resuming is measured over a million samples of S in 10 shards, each start in a process that has
  read nothing.
- Memory is what the process holds in anonymous memory at most (`RssAnon`): interpreter, libraries
  and all, without mapped files. For the `DataLoader` it is what the process and its workers hold
  together beyond torch.
- The first sample is timed from a started interpreter, imports included. webdataset imports
  torch where it is installed, and its memory has it, too.

```console
$ just bench-io --only S,M --modes seq,batch --systems atdata,webdataset
$ just bench-io --modes order
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
    some = [cell for cell in cells if cell["mode"] == "mix"]
    if some:
        parts.append(f"## How well samples are mixed\n\n{_qualities(some)}")
    some = [cell for cell in cells if cell["mode"].startswith("resume")]
    if some:
        parts.append(f"## The first sample after nine tenths of an epoch\n\n{_resumed(some)}")
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
        mode = cell["mode"].replace(":", ", ").replace("_", ", ").replace("plain", "no digests")
        mode = mode.replace("http, cut", "http, cut connections").replace(", shuf", ", shuffled")
        mode = mode.replace("shuffledbatch", "shufbatch").replace("mix", "shuffle quality")
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


def _qualities(cells: list[dict[str, Any]]) -> str:
    head = ["system", "lag-1 correlation", "mean displacement", "shards in the first 1,000"]
    lines = ["| " + " | ".join(head) + " |", "| --- | ---: | ---: | ---: |"]
    for system, one in cells[0]["figures"].items():
        values = f"{one['lag1']:.4f} | {one['displacement']:.3f} | {one['shards']:.0f}"
        lines.append(f"| {system} | {values} |")
    return "\n".join([*lines, ""])


def _resumed(cells: list[dict[str, Any]]) -> str:
    lines = ["| seconds | fresh start | resumed | more |", "| --- | ---: | ---: | ---: |"]
    for cell in cells:
        one = cell["figures"]["atdata"]
        title = "shuffled" if cell["mode"] == "resume_shuf" else "in order"
        values = f"{one['fresh']:.3f} | {one['resumed']:.3f} | {one['seconds']:.3f}"
        lines.append(f"| {title} | {values} |")
    return "\n".join([*lines, ""])


def short(rate: float) -> str:
    """A rate with three digits."""
    for limit, unit in ((1e6, " M"), (1e3, " k")):
        if rate >= limit:
            return f"{rate / limit:.3g}{unit}"
    return f"{rate:.3g}"
