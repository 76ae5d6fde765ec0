"""Every process finds out which reader it is, and says how; what cannot be is refused."""

import json
import os
import pickle
import re
import secrets
import socket
import subprocess
import sys
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from atdata.pipeline.world import World, in_loader

# What starters of processes set, so that a test says all there is.
STARTERS = ("RANK", "WORLD_SIZE", "LOCAL_", "GROUP_", "SLURM", "MASTER_", "JAX", "RAY", "TORCH")
SHOW = "from atdata.pipeline.world import detect; print(detect())"


def environment(**variables: str) -> dict[str, str]:
    inherited = {k: v for k, v in os.environ.items() if not k.startswith(STARTERS)}
    return inherited | variables


def start(*arguments: object, **variables: str) -> subprocess.Popen[str]:
    return subprocess.Popen(
        [sys.executable, *map(str, arguments)],
        env=environment(**variables),
        stdout=subprocess.PIPE,
        stderr=subprocess.PIPE,
        text=True,
    )


def said(process: subprocess.Popen[str], timeout: float = 120) -> list[str]:
    try:
        out, err = process.communicate(timeout=timeout)
    finally:
        process.kill()
    assert process.returncode == 0, err
    return out.splitlines()


def free_port() -> int:
    with socket.socket() as listener:
        listener.bind(("127.0.0.1", 0))
        return int(listener.getsockname()[1])


# What Slurm 24.11 sets for the script that sbatch runs, for a task of srun, and for the shell of
# an interactive step.
BATCH = {"SLURM_JOB_ID": "7", "SLURM_NTASKS": "8", "SLURM_NPROCS": "8", "SLURM_PROCID": "0"}
TASK = BATCH | {"SLURM_PROCID": "2", "SLURM_STEP_ID": "0", "SLURM_STEP_NUM_TASKS": "4"}
SHELL = BATCH | {"SLURM_STEP_ID": "4294967290", "SLURM_STEP_NUM_TASKS": "8"}


@pytest.mark.parametrize(
    ("variables", "world"),
    [
        ({}, "reader 0 of 1 (alone)"),
        ({"RANK": "1", "WORLD_SIZE": "4"}, "reader 1 of 4 (RANK and WORLD_SIZE)"),
        (BATCH, "reader 0 of 1 (alone)"),
        (TASK, "reader 2 of 4 (SLURM)"),
        (SHELL, "reader 0 of 1 (alone)"),
        (TASK | {"RANK": "5", "WORLD_SIZE": "6"}, "reader 5 of 6 (RANK and WORLD_SIZE)"),
    ],
    ids=["nothing", "torchrun", "sbatch", "srun", "interactive", "torchrun in srun"],
)
def test_the_environment_says_which_reader_this_is(variables: dict[str, str], world: str) -> None:
    """Only what was set for this process counts, not what was set for a whole Slurm job."""
    assert said(start("-c", SHOW, **variables)) == [world]


@pytest.mark.parametrize(
    ("variables", "fault"),
    [
        ({"RANK": "1"}, "RANK is '1', WORLD_SIZE is not set"),
        ({"WORLD_SIZE": "4"}, "RANK is not set, WORLD_SIZE is '4'"),
        ({"RANK": "4", "WORLD_SIZE": "4"}, "RANK is '4', WORLD_SIZE is '4'"),
        ({"RANK": "-1", "WORLD_SIZE": "4"}, "RANK is '-1', WORLD_SIZE is '4'"),
        ({"RANK": "", "WORLD_SIZE": "2\x1b[31m"}, r"RANK is '', WORLD_SIZE is '2\x1b[31m'"),
        (
            {"SLURM_STEP_ID": "0", "SLURM_STEP_NUM_TASKS": "4"},
            "SLURM_PROCID is not set, SLURM_STEP_NUM_TASKS is '4'",
        ),
    ],
    ids=["half", "other half", "beyond", "negative", "nonsense", "srun"],
)
def test_an_environment_that_makes_no_sense_is_refused(
    variables: dict[str, str], fault: str
) -> None:
    """With both values, and what to set."""
    process = start("-c", SHOW, **variables)
    _, err = process.communicate(timeout=60)

    message = err[err.index("ValueError: ") :]
    assert message.startswith(
        f"ValueError: the environment does not say which reader this is: {fault}\n"
    )
    assert "counted from 0; or unset both to read alone." in message


def test_nothing_is_imported_to_find_out() -> None:
    """Asking costs nothing where no library of the kind is in use."""
    lines = said(
        start(
            "-c",
            f"import sys; {SHOW}; print(sorted({{'torch', 'ray', 'jax'}} & sys.modules.keys()))",
        )
    )

    assert lines == ["reader 0 of 1 (alone)", "[]"]


TORCH = """
import json, sys
import torch.distributed
from torch.utils.data import DataLoader, IterableDataset
from atdata.pipeline.world import detect, in_loader


class Worlds(IterableDataset):
    def __init__(self, parent):
        self.parent = parent

    def __iter__(self):
        yield f"{in_loader(self.parent)}"


if __name__ == "__main__":
    rank, readers, rendezvous = sys.argv[1:]
    print(detect())
    torch.distributed.init_process_group(
        "gloo", init_method=f"file://{rendezvous}", rank=int(rank), world_size=int(readers)
    )
    print(world := detect())
    for how in ("fork", "spawn"):
        loader = DataLoader(
            Worlds(world), batch_size=None, num_workers=2, multiprocessing_context=how
        )
        print(*loader, sep="\\n")
    torch.distributed.destroy_process_group()
"""


def test_torch_distributed_and_its_loader_workers(tmp_path: Path) -> None:
    """Two processes of two workers each, forked and spawned; before it begins each is alone."""
    pytest.importorskip("torch", reason="torch is not installed")
    script = tmp_path / "worlds.py"
    script.write_text(TORCH)

    processes = [
        start(script, rank, 2, tmp_path / "rendezvous", GLOO_SOCKET_IFNAME="lo")
        for rank in range(2)
    ]

    for rank, process in enumerate(processes):
        workers = [
            f"reader {rank} of 2, worker {worker} of 2 (torch.distributed; DataLoader)"
            for worker in range(2)
        ]
        assert said(process) == [
            "reader 0 of 1 (alone)",
            f"reader {rank} of 2 (torch.distributed)",
            *workers,
            *workers,
        ]


JAX = """
import sys
import jax
from jax._src import xla_bridge
from atdata.pipeline.world import detect

number, of, coordinator = sys.argv[1:]
print(detect())
jax.distributed.initialize(coordinator, int(of), int(number))
print(detect())
print(xla_bridge.backends_are_initialized())
print(jax.process_index(), jax.process_count(), xla_bridge.backends_are_initialized())
jax.distributed.shutdown()
"""


@pytest.mark.parametrize("inherited", [{}, TASK], ids=["alone", "from a task of srun"])
def test_jax_processes(tmp_path: Path, inherited: dict[str, str]) -> None:
    """Two processes, told apart before JAX has started any backend."""
    pytest.importorskip("jax", reason="jax is not installed")
    script = tmp_path / "worlds.py"
    script.write_text(JAX)
    coordinator = f"127.0.0.1:{free_port()}"

    processes = [
        start(script, n, 2, coordinator, JAX_PLATFORMS="cpu", **inherited) for n in range(2)
    ]

    before = "reader 2 of 4 (SLURM)" if inherited else "reader 0 of 1 (alone)"
    for n, process in enumerate(processes):
        assert said(process) == [before, f"reader {n} of 2 (JAX)", "False", f"{n} 2 True"]


RAY = """
import sys, tempfile
from pathlib import Path
import ray.train
from ray.train.v2.api.data_parallel_trainer import DataParallelTrainer
from atdata.pipeline.world import detect

folder = Path(sys.argv[1])


def train():
    world = detect()
    (folder / f"reader{world.reader}").write_text(str(world))


print(detect())
# A cluster of its own, not one that runs on this machine; the paths of its sockets must be short.
with tempfile.TemporaryDirectory(prefix="ray") as sockets:
    ray.init(
        "local", num_cpus=3, include_dashboard=False, log_to_driver=False, _temp_dir=sockets
    )
    try:
        DataParallelTrainer(
            train,
            scaling_config=ray.train.ScalingConfig(num_workers=2),
            run_config=ray.train.RunConfig(storage_path=str(folder / "runs")),
        ).fit()
    finally:
        ray.shutdown()
"""


def test_ray_train_workers(tmp_path: Path) -> None:
    """Its training functions know their rank; the process that started them is alone."""
    pytest.importorskip("ray.train", reason="ray[train] is not installed")
    script = tmp_path / "worlds.py"
    script.write_text(RAY)

    # Without a token of its own, Ray leaves one in the home folder.
    own = {"RAY_AUTH_TOKEN": secrets.token_hex(32), "RAY_ENABLE_UV_RUN_RUNTIME_ENV": "0"}
    lines = said(start(script, tmp_path, **own), timeout=300)

    assert lines == ["reader 0 of 1 (alone)"]
    for reader in range(2):
        world = (tmp_path / f"reader{reader}").read_text()
        assert world == f"reader {reader} of 2 (Ray Train)"


def test_asking_outside_of_ray_train_is_silent() -> None:
    """Ray raises and warns there; neither is to be seen."""
    pytest.importorskip("ray.train", reason="ray[train] is not installed")

    lines = said(
        start("-c", f"import ray.train, warnings; warnings.simplefilter('error'); {SHOW}")
    )

    assert lines == ["reader 0 of 1 (alone)"]


@given(readers=st.integers(1, 99), workers=st.integers(1, 99), data=st.data())
def test_a_world_is_a_value(readers: int, workers: int, data: st.DataObject) -> None:
    """It pickles and compares; how it was found out makes no difference."""
    reader = data.draw(st.integers(0, readers - 1))
    worker = data.draw(st.integers(0, workers - 1))

    world = World(reader, readers, worker, workers, found="SLURM")

    assert pickle.loads(pickle.dumps(world)) == world == World(reader, readers, worker, workers)
    assert hash(world) == hash(World(reader, readers, worker, workers))
    assert eval(repr(world)) == world
    assert in_loader(world) is world


@pytest.mark.parametrize(
    ("reader", "readers", "worker", "workers", "message"),
    [
        (4, 4, 0, 1, "reader 4 of 4: readers are numbered from 0 to 3"),
        (-1, 4, 0, 1, "reader -1 of 4: readers are numbered from 0 to 3"),
        (0, 0, 0, 1, "reader 0 of 0: there is at least one reader"),
        (0, 1, 2, 2, "worker 2 of 2: workers are numbered from 0 to 1"),
        (0, 1, 0, -2, "worker 0 of -2: there is at least one worker"),
    ],
)
def test_worlds_that_cannot_be(
    reader: int, readers: int, worker: int, workers: int, message: str
) -> None:
    """The message has the numbers."""
    with pytest.raises(ValueError, match=f"^{re.escape(message)}$"):
        World(reader, readers, worker, workers)


def test_numbers_are_integers() -> None:
    """Numpy's become Python's, which JSON can hold; fractions are refused."""
    one: Any = np.int64(1)
    half: Any = 0.5

    assert json.dumps(World(one, 2).reader) == "1"
    with pytest.raises(TypeError):
        World(half, 2)
