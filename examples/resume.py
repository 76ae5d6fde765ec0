"""Training that is killed in the middle of an epoch, and ends as if nothing had happened.

    uv run --no-dev --group examples examples/resume.py

One run learns to tell digits apart undisturbed. Another is killed (SIGKILL) in the middle of an
epoch; a third goes on from what that one saved last, with another number of workers. In the end
the weights are the same, bit for bit. Where torch is installed, the workers are those of its
DataLoader, otherwise those of this library.
"""

import argparse
import json
import os
import random
import signal
import subprocess
import sys
import tempfile
from dataclasses import dataclass
from importlib.util import find_spec
from pathlib import Path
from typing import Annotated, Any

import numpy as np
from numpy.typing import NDArray

import atdata

SEED = 1
N_EPOCHS = 4
BATCH_SIZE = 16
LEARNING_RATE = 0.5
SAVE_EVERY = 5
"""Steps between checkpoints; those after the last one are done again."""


@atdata.packable
class Digit:
    """A scanned digit."""

    image: Annotated[NDArray[np.uint8], atdata.Shape(8, 8)]
    label: int


@dataclass
class Checkpoint:
    """What training needs to go on: the weights, and where the reading stands."""

    weights: NDArray[np.float64]
    n_steps: int
    reading: dict[str, Any]

    def save(self, path: Path) -> None:
        """Write all of it in one step, so that weights and reading always belong together."""
        fresh = path.with_name("fresh.npz")
        np.savez(
            fresh, weights=self.weights, n_steps=self.n_steps, reading=json.dumps(self.reading)
        )
        os.replace(fresh, path)

    @classmethod
    def load(cls, path: Path) -> "Checkpoint":
        """Read what was saved last."""
        with np.load(path) as saved:
            reading = json.loads(str(saved["reading"]))
            return cls(saved["weights"], int(saved["n_steps"]), reading)


def batches_of(digits: atdata.Dataset[Digit], n_workers: int) -> Any:
    """Shuffled batches, made by some worker processes."""
    if find_spec("torch"):
        stream = digits.to_torch(BATCH_SIZE, shuffle=True, seed=SEED, typed=True)
        return stream.loader(n_workers)
    return digits.shuffled(batch_size=BATCH_SIZE, seed=SEED, workers=n_workers)


def flat(images: NDArray[np.uint8]) -> NDArray[np.float64]:
    """Images as vectors between 0 and 1, with a constant for the bias."""
    vectors = images.reshape(len(images), -1) / 16
    return np.hstack([vectors, np.ones((len(images), 1))])


def slope(weights: NDArray[np.float64], batch: atdata.SampleBatch[Digit]) -> NDArray[np.float64]:
    """The gradient of the cross entropy of a softmax regression."""
    vectors = flat(batch.image)
    scores = np.exp(vectors @ weights)
    errors = scores / scores.sum(axis=1, keepdims=True)
    errors[np.arange(len(batch)), batch.label] -= 1
    gradient: NDArray[np.float64] = vectors.T @ errors / len(batch)
    return gradient


def learn(folder: Path, n_workers: int, *, aloud: bool = False) -> Checkpoint:
    """Learn the digits, from where an earlier run in the same folder stopped."""
    digits = atdata.Dataset[Digit](sorted(folder.parent.glob("digits-*.tar")))
    batches = batches_of(digits, n_workers)
    weights, n_steps = np.zeros((65, 10)), 0
    saved = folder / "checkpoint.npz"
    if saved.exists():
        before = Checkpoint.load(saved)
        weights, n_steps = before.weights, before.n_steps
        batches.load_state_dict(before.reading)
    for epoch in range(batches.epoch, N_EPOCHS):
        batches.set_epoch(epoch)
        for batch in batches:
            weights -= LEARNING_RATE * slope(weights, batch)
            n_steps += 1
            if n_steps % SAVE_EVERY == 0:
                Checkpoint(weights, n_steps, batches.state_dict()).save(saved)
                if aloud:
                    print(f"step {n_steps}", flush=True)
    last = Checkpoint(weights, n_steps, batches.state_dict())
    last.save(saved)
    return last


def started(folder: Path, n_workers: int) -> subprocess.Popen[str]:
    """Learn in another process, the first of a group of its own."""
    command = [sys.executable, __file__, "--learn", str(folder), "--workers", str(n_workers)]
    return subprocess.Popen(command, stdout=subprocess.PIPE, text=True, start_new_session=True)


def killed(folder: Path, n_workers: int, n_steps: int) -> None:
    """Learn so many steps and be killed, with all workers, as by a machine that fails."""
    with started(folder, n_workers) as process:
        assert process.stdout is not None
        for line in process.stdout:
            if line == f"step {n_steps}\n":
                os.killpg(process.pid, signal.SIGKILL)
    if process.returncode != -signal.SIGKILL:
        raise SystemExit(f"the process ended by itself: {process.returncode}")


def finished(folder: Path, n_workers: int) -> None:
    """Learn to the end."""
    with started(folder, n_workers) as process:
        process.communicate()
    if process.returncode:
        raise SystemExit(f"the process failed: {process.returncode}")


def written(folder: Path) -> int:
    """Write the digits as shards."""
    from sklearn.datasets import load_digits  # noqa: PLC0415  takes longer than learning does

    bunch: Any = load_digits()
    scanned = zip(bunch.images.astype(np.uint8), bunch.target.tolist(), strict=True)
    digits = (Digit(image, label) for image, label in scanned)
    return len(atdata.write_samples(digits, folder / "digits.tar", maxcount=250))


def run(folder: Path) -> None:
    """Learn undisturbed, learn with an interruption, and compare."""
    n_digits = written(folder)
    n_batches = -(-n_digits // BATCH_SIZE)
    print(f"{n_digits} digits make {n_batches} batches in each of {N_EPOCHS} epochs")
    for name in ("undisturbed", "disturbed"):
        (folder / name).mkdir()

    whole = learn(folder / "undisturbed", 0)
    print(f"undisturbed:             {whole.n_steps} steps")

    middle = random.randrange(n_batches, 2 * n_batches) // SAVE_EVERY * SAVE_EVERY
    killed(folder / "disturbed", 2, middle)
    saved = Checkpoint.load(folder / "disturbed/checkpoint.npz")
    epoch, delivered = saved.reading["epoch"], saved.reading["delivered"]
    print(f"killed, with 2 workers:  {saved.n_steps} steps saved, ", end="")
    print(f"{delivered} digits into epoch {epoch}")

    finished(folder / "disturbed", 1)
    resumed = Checkpoint.load(folder / "disturbed/checkpoint.npz")
    print(f"gone on, with 1 worker:  {resumed.n_steps} steps")

    if resumed.weights.tobytes() != whole.weights.tobytes():
        raise SystemExit("the weights differ")
    print("the weights are the same, bit for bit")


def main() -> None:
    """Show all of it, or be one of the processes that learn."""
    parser = argparse.ArgumentParser(description="Kill a training, and let it go on.")
    parser.add_argument("--learn", type=Path, metavar="DIR", help=argparse.SUPPRESS)
    parser.add_argument("--workers", type=int, default=0, help=argparse.SUPPRESS)
    given = parser.parse_args()
    if given.learn is not None:
        learn(given.learn, given.workers, aloud=True)
        return
    with tempfile.TemporaryDirectory() as temporary:
        run(Path(temporary))


if __name__ == "__main__":
    main()
