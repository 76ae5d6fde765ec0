"""How many read a dataset together, and which of them this process is.

Whoever starts several processes tells each its number in a way of its own. `detect` asks those
ways in one order and imports nothing for it: a library that was not imported has started nobody.
"""

import os
import sys
from dataclasses import dataclass, field, replace
from operator import index
from typing import Any

from atdata._exceptions import printable

# Slurm's greatest number of a step that srun started (SLURM_MAX_NORMAL_STEP_ID in slurm.h); those
# above stand for the batch script, an interactive shell and the like, which are one process each.
_LAST_STEP = 0xFFFFFFF0


@dataclass(frozen=True, slots=True)
class World:
    """One reader's place among all that read a dataset together.

    Attributes:
        reader: This reader's number, in `[0, readers)`; a rank in training.
        readers: How many readers there are.
        worker: Which loader worker of the reader this is, in `[0, workers)`.
        workers: How many workers share the reader's part.
        found: How this was found out, for people to read: `"given"`, `"alone"`,
            `"torch.distributed"`, `"RANK and WORLD_SIZE"`, `"SLURM"`, `"Ray Train"` or `"JAX"`,
            and with `"; DataLoader"` where a torch `DataLoader` said which worker. Worlds that
            differ in this alone are equal.

    Raises:
        ValueError: A number is out of range.
        TypeError: A number is not an integer.

    Examples:
        >>> print(World(1, 4))
        reader 1 of 4 (given)
        >>> World(4, 4)
        Traceback (most recent call last):
        ValueError: reader 4 of 4: readers are numbered from 0 to 3
    """

    reader: int = 0
    readers: int = 1
    worker: int = 0
    workers: int = 1
    found: str = field(default="given", compare=False)

    def __post_init__(self) -> None:
        for name in ("reader", "readers", "worker", "workers"):
            object.__setattr__(self, name, index(getattr(self, name)))  # numpy's integers too
        _check("reader", self.reader, self.readers)
        _check("worker", self.worker, self.workers)

    def __str__(self) -> str:
        worker = f", worker {self.worker} of {self.workers}" if self.workers > 1 else ""
        return f"reader {self.reader} of {self.readers}{worker} ({self.found})"


def _check(what: str, number: int, of: int) -> None:
    if of < 1:
        raise ValueError(f"{what} {number} of {of}: there is at least one {what}")
    if not 0 <= number < of:
        raise ValueError(f"{what} {number} of {of}: {what}s are numbered from 0 to {of - 1}")


def detect() -> World:
    """Find out this process's place in the world.

    The first of these that knows is believed: torch.distributed once it is initialised, the
    variables `RANK` and `WORLD_SIZE`, a step of Slurm's `srun`, a training function of Ray Train,
    and JAX once `jax.distributed` is initialised. If none does, the reader is alone. In a worker
    of a torch `DataLoader`, `in_loader` adds which.

    A worker that was spawned rather than forked does not know what its parent knew, so detect in
    the parent, send it the world, and let the worker call `in_loader`.

    Raises:
        ValueError: Environment variables contradict each other, or one of a pair is missing.

    Examples:
        >>> print(detect())
        reader 0 of 1 (alone)
    """
    for ask in (_torch_distributed, _variables, _slurm, _ray_train, _jax):
        world = ask()
        if world is not None:
            return in_loader(world)
    return in_loader(World(found="alone"))


def in_loader(world: World) -> World:
    """The same reader as the worker of a torch `DataLoader` that this process is, if it is one.

    Examples:
        >>> in_loader(World(1, 4))
        World(reader=1, readers=4, worker=0, workers=1, found='given')
    """
    worker = loader_worker()
    if worker is None:
        return world
    found = f"{world.found}; DataLoader"
    return replace(world, worker=worker.id, workers=worker.num_workers, found=found)


def loader_worker() -> Any:
    """What a torch `DataLoader` says of the worker that this process is; None if it is none."""
    data = sys.modules.get("torch.utils.data")
    return data.get_worker_info() if data else None


def _torch_distributed() -> World | None:
    distributed = sys.modules.get("torch.distributed")
    if distributed and distributed.is_available() and distributed.is_initialized():
        rank, size = distributed.get_rank(), distributed.get_world_size()
        return World(rank, size, found="torch.distributed")
    return None


def _variables() -> World | None:
    if "RANK" not in os.environ and "WORLD_SIZE" not in os.environ:
        return None
    return _pair("RANK", "WORLD_SIZE", found="RANK and WORLD_SIZE")


def _slurm() -> World | None:
    # A script that sbatch runs has SLURM_PROCID=0 and SLURM_NTASKS=n too, although it is one
    # process that runs once: it would read an n-th of the data, and nobody the rest. What srun
    # alone sets for the tasks of a step is SLURM_STEP_NUM_TASKS, with SLURM_STEP_ID.
    if "SLURM_STEP_NUM_TASKS" not in os.environ:
        return None
    step = os.environ.get("SLURM_STEP_ID", "")
    if step.isdecimal() and int(step) > _LAST_STEP:
        return None
    world = _pair("SLURM_PROCID", "SLURM_STEP_NUM_TASKS", found="SLURM")
    # Processes that a task of the step started have its variables without being a task: Ray's
    # workers where srun started Ray, or several JAX processes on each node. They know better.
    inner = _ray_train() or _jax()
    return None if inner and inner != world else world


def _ray_train() -> World | None:
    train = sys.modules.get("ray.train")
    if train is None:
        return None
    try:
        context = train.get_context()
    except (RuntimeError, DeprecationWarning):
        return None  # not in a training function; the latter is raised in one of Ray Tune
    return World(context.get_world_rank(), context.get_world_size(), found="Ray Train")


def _jax() -> World | None:
    jax = sys.modules.get("jax")
    if jax is None or not jax.distributed.is_initialized():
        return None
    # `jax.process_index` would start the backend, which waits for all other processes to do so;
    # and a forked worker must not. The numbers given to `initialize` are kept here.
    state = sys.modules["jax._src.distributed"].global_state
    return World(state.process_id, state.num_processes, found="JAX")


def _pair(number: str, of: str, *, found: str) -> World:
    values = [os.environ.get(name) for name in (number, of)]
    try:
        reader, readers = (int(value or "") for value in values)
        return World(reader, readers, found=found)
    except ValueError:
        shown = ["is not set" if v is None else f"is '{printable(v)}'" for v in values]
        raise ValueError(
            f"the environment does not say which reader this is: {number} {shown[0]}, "
            f"{of} {shown[1]}\n"
            f"  Set {of} to how many processes read, and {number} to this one's number among "
            f"them, counted from 0; or unset both to read alone."
        ) from None
