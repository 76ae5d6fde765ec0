"""A training program that tells what it was given: run in a process of its own, and killed there.

Its one argument is JSON. After each batch it prints a line: the labels, and the state behind them.
"""

import json
import sys
import time
from collections.abc import Callable, Iterator
from itertools import islice
from typing import Annotated, Any

import grain
import jax
import numpy as np
from absl import flags
from jax.sharding import Mesh, NamedSharding, PartitionSpec, SingleDeviceSharding
from numpy.typing import NDArray

import atdata
from atdata.adapters.jax import GrainSource, JaxBatches, to_jax


@atdata.packable
class Digit:
    """A sample that is known by its label."""

    image: Annotated[NDArray[np.uint8], atdata.Shape(4, 4)]
    label: int


def digits(n: int) -> list[Digit]:
    """Samples that differ."""
    return [Digit(np.full((4, 4), i % 251, np.uint8), i) for i in range(n)]


def tell(**facts: Any) -> None:
    """Print a line of JSON at once."""
    sys.stdout.write(json.dumps(facts) + "\n")
    sys.stdout.flush()


def loader(source: GrainSource[Any], workers: int, shards: Any) -> grain.DataLoader:
    """A Grain loader of shuffled batches."""
    sampler = grain.samplers.IndexSampler(len(source), shuffle=True, num_epochs=1, seed=5)
    return grain.DataLoader(
        data_source=source,
        sampler=sampler,
        operations=[grain.transforms.Batch(4)],
        worker_count=workers,
        shard_options=shards,
    )


def through_grain(
    ds: atdata.Dataset[Any], state: Any, workers: int | None
) -> Iterator[tuple[Any, Any]]:
    """Batches of a `DataLoader`, or without a number of workers of a `MapDataset`."""
    source = GrainSource(ds)
    if workers is None:
        batches = iter(grain.MapDataset.source(source).shuffle(seed=5).batch(4).to_iter_dataset())
        if state is not None:
            batches.set_state(state)
        for batch in batches:
            yield batch["label"], batches.get_state()
        return
    flags.FLAGS.mark_as_parsed()  # as absl's `app.run` does; Grain's workers want it
    given = iter(loader(source, workers, grain.sharding.NoSharding()))
    if state is not None:
        given.set_state(state.encode())
    for batch in given:
        yield batch["label"], given.get_state().decode()


def onto_devices(ds: atdata.Dataset[Any], state: Any) -> Iterator[tuple[Any, Any]]:
    """Batches as arrays of JAX."""
    sharding = NamedSharding(Mesh(np.array(jax.devices()), ("data",)), PartitionSpec("data"))
    batches = to_jax(ds, 4, shuffle=True, seed=5, sharding=sharding, drop_last=False)
    if state is not None:
        batches.load_state_dict(state)
    for batch in batches:
        yield batch["label"], batches.state_dict()


def train(path: str, kind: str, state: Any, pause: float) -> None:
    """Read an epoch, or what is left of it, not faster than so."""
    ds = atdata.Dataset[Digit](path)
    if kind == "jax":
        given = onto_devices(ds, state)
    else:
        given = through_grain(ds, state, workers=2 if kind == "workers" else None)
    for labels, reached in given:
        tell(labels=np.asarray(labels).tolist(), state=reached)
        time.sleep(pause)


def held(array: jax.Array) -> list[int]:
    """What lies on the devices of this process, in the order of the whole."""
    shards = sorted(array.addressable_shards, key=lambda one: one.index[0].start or 0)
    return [int(n) for one in shards for n in np.asarray(one.data)]


def refusal(batches: Callable[[], JaxBatches]) -> str:
    """What is said against a first batch; nothing if there is one."""
    try:
        next(iter(batches()))
    except (TypeError, ValueError) as error:
        return str(error)
    return ""


def together(path: str, port: int, process: int) -> None:
    """One of two processes that train together, with two devices each."""
    address = f"127.0.0.1:{port}"
    jax.distributed.initialize(address, 2, process, coordinator_bind_address=address)
    ds = atdata.Dataset[Digit](path)
    tell(repr=repr(to_jax(ds, 4)), source=repr(GrainSource(ds)))

    share = loader(GrainSource(ds), 0, grain.sharding.ShardByJaxProcess())
    tell(grain=[int(label) for batch in share for label in batch["label"]])

    devices = Mesh(np.array(jax.devices()).reshape(2, 2), ("process", "device"))
    for split in ("process", "device"), ("device",):
        sharding = NamedSharding(devices, PartitionSpec(split))
        batches = to_jax(ds, 4, shuffle=True, seed=5, sharding=sharding)
        labels = [batch["label"] for batch in batches]
        tell(
            rows=[held(label) for label in labels],
            whole=labels[0].shape,
            sums=[int(jax.jit(jax.numpy.sum)(label)) for label in labels],
            repr=repr(batches),
        )

    large = ds.map(lambda digit: {"label": 2**40 + digit.label})
    mine = NamedSharding(Mesh(np.array(jax.devices()[:2]), ("device",)), PartitionSpec("device"))
    other = SingleDeviceSharding(jax.local_devices()[0])
    tell(
        refused=refusal(lambda: to_jax(ds, 4, sharding=sharding, world=atdata.World(process, 2))),
        large=refusal(lambda: to_jax(large, 4, sharding=sharding)),
        mine=refusal(lambda: to_jax(ds, 4, sharding=mine)),
        other=refusal(lambda: to_jax(ds, 4, sharding=other)),
    )

    part = to_jax(ds, 4, shuffle=True, seed=6)
    some = islice(part, 2 + process)
    tell(taken=[batch["label"].tolist() for batch in some], state=part.state_dict())
    jax.distributed.shutdown()


def main() -> None:
    """Do what the argument says."""
    wanted = json.loads(sys.argv[1])
    {"train": train, "together": together}[wanted.pop("do")](**wanted)
