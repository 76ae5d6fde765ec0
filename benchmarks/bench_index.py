"""What a catalogue of 100,000 datasets costs: filling it, getting, listing, searching.

Rows come in large commits; each figure is the median of 50 calls. PostgreSQL and Valkey are
started for it.
"""

import argparse
import random
import statistics
import tempfile
import time
from collections.abc import Callable, Iterator
from contextlib import ExitStack
from itertools import batched
from pathlib import Path

from atdata.index import Index
from atdata.model.entry import DatasetEntry
from atdata.model.label import Label
from atdata.model.record import Put, SearchText
from atdata.model.rows import entry_row, label_row
from atdata.providers import IndexProvider, create_provider
from atdata.services import PostgresServer, RedisServer

KINDS = ("vision", "audio", "text", "genome", "climate", "robot", "galaxy", "neuron", "satellite")
SCHEMA = "atdata://local/schema/Sample@1.0.0"


def changes(n: int) -> Iterator[Put]:
    """An entry and its label for each of `n` datasets, whose texts share some of their words."""
    some = random.Random(1)
    for i in range(n):
        kind = some.choice(KINDS)
        name = f"{kind}-{some.randrange(1000):03d}-{i:06d}"
        entry = DatasetEntry(name, SCHEMA, [f"{name}/{s:06d}.tar" for s in range(3)])
        text = SearchText.of(
            name=name,
            tags=f"{kind} {some.choice(('train', 'test'))} common",
            fields="image label Sample",
            description=f"Samples of {some.choice(KINDS)}, {i}, half{i % 2}, shared by all",
        )
        yield Put(entry_row(entry))
        yield Put(label_row(Label(name, entry.cid), refs=[f"tag:{kind}"], text=text))


def median_ms(call: Callable[[], object], times: int = 50) -> float:
    """How long a call takes."""
    call()
    took = []
    for _ in range(times):
        began = time.perf_counter()
        call()
        took.append(time.perf_counter() - began)
    return statistics.median(took) * 1000


def measure(provider: IndexProvider, n: int) -> None:
    """Fill a provider and print what calls take."""
    began = time.perf_counter()
    for some in batched(changes(n), 5000):
        provider.commit(some)
    print(f"  fill {2 * n} rows            {time.perf_counter() - began:9.1f} s")
    wanted = random.Random(2)
    last = [put.row.key for put in changes(min(n, 1000))]
    label = Label("one-more", "bafy")
    calls: dict[str, Callable[[], object]] = {
        "commit of one row": lambda: provider.commit([Put(label_row(label))]),
        "get": lambda: provider.get(*wanted.choice(last)),
        "page of 100": lambda: provider.page("label", after=("m", ""), limit=100),
        "page of 100 by ref": lambda: provider.page("label", ref="tag:galaxy", limit=100),
        "search: one hit": lambda: provider.search("000777"),
        "search: none": lambda: provider.search("nonesuch"),
        "search: the name": lambda: provider.search(last[-1][1]),
        "search: a ninth, in names": lambda: provider.search("galaxy"),
        "search: all, in tags": lambda: provider.search("common"),
        "search: all, in description": lambda: provider.search("shared"),
        "search: all, beginning": lambda: provider.search("sha"),
        "search: two common words": lambda: provider.search("common shared"),
        "search: two in a ninth": lambda: provider.search("galaxy neuron"),
        "search: common and rare": lambda: provider.search("shared 000777"),
        "search: never together": lambda: provider.search("half0 half1"),
        "search: common, one ref": lambda: provider.search("shared", refs=["tag:robot"]),
        "search: rare, one ref": lambda: provider.search("000777", refs=["tag:robot"]),
        "search: everything": provider.search,
    }
    index = Index(provider)
    names = [key[1] for key in last]
    calls |= {
        "Index.get_dataset": lambda: index.get_dataset(wanted.choice(names)),
        "Index.list_datasets, 100": lambda: index.list_datasets(limit=100),
        "Index.search: a ninth": lambda: index.search("galaxy"),
        "Index.search: all": lambda: index.search("shared"),
        "Index.search: two words": lambda: index.search("common shared"),
    }
    for name, call in calls.items():
        print(f"  {name:28} {median_ms(call):9.2f} ms")


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--rows", type=int, default=100_000, help="how many datasets")
    parser.add_argument("providers", nargs="*", default=["sqlite", "postgres", "redis"])
    args = parser.parse_args()
    for name in args.providers:
        print(name)
        with ExitStack() as stack:
            where: dict[str, str] = {}
            if name == "sqlite":
                folder = stack.enter_context(tempfile.TemporaryDirectory())
                where["path"] = str(Path(folder) / "index.db")
            elif name == "postgres":
                where["dsn"] = stack.enter_context(PostgresServer()).dsn
            elif name == "redis":
                where["redis"] = stack.enter_context(RedisServer()).url
            measure(stack.enter_context(create_provider(name, **where)), args.rows)


if __name__ == "__main__":
    main()
