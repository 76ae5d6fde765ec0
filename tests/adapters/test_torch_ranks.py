"""Ranks that are killed at any moment, and go on as another number of ranks.

Ranks are processes of their own, as `torchrun` starts them, and each has workers. They are forked
from this one, as importing torch takes longer than all the rest.
"""

import json
import multiprocessing
import os
import random
import signal
import sys
import time
import traceback
from collections.abc import Callable, Sequence
from functools import partial
from multiprocessing.context import ForkProcess
from pathlib import Path
from typing import Any

import pytest

import atdata

torch = pytest.importorskip("torch", reason="the torch extra is not installed")
adapter = pytest.importorskip("atdata.adapters.torch")

N = 1100
PATIENCE = 60.0
FORK = multiprocessing.get_context("fork")


@pytest.fixture(scope="module")
def shards(tmp_path_factory: pytest.TempPathFactory) -> list[str]:
    """Numbered samples in fifty-five shards."""
    path = tmp_path_factory.mktemp("epoch") / "n.tar"
    samples = (atdata.DictSample(n=i) for i in range(N))
    return atdata.write_samples(samples, path, maxcount=20).list_shards()


def in_ranks(readers: int, run: Callable[[], object], **variables: str) -> list[ForkProcess]:
    """Run a function in as many ranks, each the leader of a process group of its own."""

    def rank(number: int) -> None:
        os.setsid()
        os.environ.update(RANK=str(number), WORLD_SIZE=str(readers), **variables)
        try:
            run()
        except BaseException:
            traceback.print_exc()
            sys.exit(1)

    ranks = [FORK.Process(target=rank, args=(number,)) for number in range(readers)]
    for one in ranks:
        one.start()
    return ranks


def joined(ranks: Sequence[ForkProcess]) -> None:
    """Wait until all ranks have ended well."""
    for one in ranks:
        one.join(PATIENCE)
    assert [one.exitcode for one in ranks] == [0] * len(ranks)


def save(path: Path, value: Any) -> None:
    """Write a file as one step, whole or not at all."""
    fresh = path.with_suffix(".new")
    fresh.write_text(json.dumps(value))
    fresh.replace(path)


def wait_for(paths: Sequence[Path]) -> None:
    """Wait until all files are there."""
    until = time.monotonic() + PATIENCE
    while not all(path.exists() for path in paths):
        assert time.monotonic() < until, f"{paths} did not come"
        time.sleep(0.002)


def train(
    shards: list[str], folder: Path, limit: int, workers: int, states: list[Any], kind: str
) -> None:
    """What a rank does: after each batch, what it had and its state are saved together.

    Having had so many samples it waits to be killed, so that the epoch lasts for all lives.
    """
    dataset = adapter.to_torch(atdata.Dataset(shards), 4, shuffle=True, seed=5)
    if states:
        dataset.load_state_dict(states)
    loader = LOADERS[kind](dataset, workers)
    path = folder / f"{os.environ['RANK']}.json"
    seen: list[int] = []
    save(path, {"seen": seen, "state": loader.state_dict()})
    for batch in loader:
        seen += batch["n"].tolist()
        save(path, {"seen": seen, "state": loader.state_dict()})
        (folder / "begun").touch()
        time.sleep(0.002 if len(seen) < limit else PATIENCE)
    save(path, {"seen": seen, "state": loader.state_dict()})


def stateful(dataset: Any, workers: int) -> Any:
    """Torchdata's loader."""
    from torchdata.stateful_dataloader import StatefulDataLoader

    return StatefulDataLoader(dataset, batch_size=None, num_workers=workers)


LOADERS: dict[str, Callable[[Any, int], Any]] = {
    "loader": lambda dataset, workers: dataset.loader(workers),
    "stateful": stateful,
}
STATES: dict[str, Callable[[list[Any]], list[Any]]] = {
    "loader": list,
    "stateful": lambda states: adapter.states_of(*states),
}


@pytest.mark.filterwarnings("ignore:'set_vital' is deprecated:UserWarning")
@pytest.mark.parametrize("kind", LOADERS)
def test_ranks_that_are_killed_lose_and_repeat_nothing(
    shards: list[str], tmp_path: Path, kind: str
) -> None:
    """Ten times at a random moment, and resumed with other ranks and workers each time."""
    if kind == "stateful":
        pytest.importorskip("torchdata", reason="torchdata is not installed")
    chance = random.Random(kind)
    seen: list[int] = []
    states: list[Any] = []
    n_kills = 10

    for life in range(n_kills + 1):
        readers, workers = 2 + life % 2, (2, 2, 1, 0)[life % 4]
        folder = tmp_path / str(life)
        folder.mkdir()
        paths = [folder / f"{rank}.json" for rank in range(readers)]
        last = life == n_kills
        run = partial(train, shards, folder, N + 1 if last else 40, workers, states, kind)
        ranks = in_ranks(readers, run)
        if last:
            joined(ranks)
        else:
            wait_for([*paths, folder / "begun"])
            time.sleep(chance.uniform(0, 0.08))
            for one in ranks:
                assert one.pid is not None
                os.killpg(one.pid, signal.SIGKILL)
            for one in ranks:
                one.join(PATIENCE)
            assert [one.exitcode for one in ranks] == [-signal.SIGKILL] * readers
        saved = [json.loads(path.read_text()) for path in paths]
        seen += [n for one in saved for n in one["seen"]]
        states = STATES[kind]([one["state"] for one in saved])

    assert sorted(seen) == list(range(N))


def gloo(shards: list[str], folder: Path) -> None:
    """A rank that only torch.distributed knows of, and workers that do not know it."""
    rank, readers = int(os.environ.pop("RANK")), int(os.environ.pop("WORLD_SIZE"))
    torch.distributed.init_process_group(
        "gloo", init_method=f"file://{folder}/meeting", rank=rank, world_size=readers
    )
    found: dict[str, list[int]] = {}
    dataset = adapter.to_torch(atdata.Dataset(shards), 16, shuffle=True, seed=5, tail="drop")
    for how, workers in (("fork", 2), ("spawn", 1)):
        loader = dataset.loader(workers, multiprocessing_context=how)
        found[how] = [n for batch in loader for n in batch["n"].tolist()]
    torch.distributed.barrier()
    torch.distributed.destroy_process_group()
    save(folder / f"{rank}.json", found)


def test_the_ranks_of_torch_distributed(shards: list[str], tmp_path: Path) -> None:
    """Forked workers have their rank's place, and spawned ones are sent it."""
    joined(in_ranks(2, partial(gloo, shards, tmp_path), GLOO_SOCKET_IFNAME="lo"))

    found = [json.loads((tmp_path / f"{rank}.json").read_text()) for rank in range(2)]
    assert sorted(found[0]["fork"] + found[1]["fork"]) == list(range(N))
    assert [one["spawn"] for one in found] == [one["fork"] for one in found]
