"""The example of the README, run as a user runs it: a process of its own, in its own folder."""

import re
import subprocess
import sys
from pathlib import Path

import numpy as np
import pytest

import atdata

load_digits = pytest.importorskip("sklearn.datasets").load_digits

EXAMPLE = Path(__file__).parents[2] / "examples" / "digits.py"


def run_example(*arguments: str | Path, cwd: Path) -> "subprocess.CompletedProcess[str]":
    """Run the example with warnings as errors."""
    command = [sys.executable, "-W", "error", EXAMPLE, *arguments]
    return subprocess.run(
        command, cwd=cwd, capture_output=True, text=True, check=False, timeout=300
    )


@pytest.fixture(scope="module")
def kept(
    tmp_path_factory: pytest.TempPathFactory,
) -> "tuple[Path, subprocess.CompletedProcess[str]]":
    """A run that keeps its shards, and the folder where they are."""
    folder = tmp_path_factory.mktemp("digits")
    return folder / "out", run_example("--out", folder / "out", cwd=folder)


def test_the_example_ends_with_an_accuracy_above_95_percent(
    kept: "tuple[Path, subprocess.CompletedProcess[str]]",
) -> None:
    """What was written, shuffled and viewed is good enough to learn from."""
    _, run = kept

    last = run.stdout.splitlines()[-1] if run.stdout else ""

    assert run.returncode == 0, run.stderr
    accuracy = re.fullmatch(r"test accuracy: (\d\.\d{4})", last)
    assert accuracy is not None, run.stdout
    assert float(accuracy[1]) > 0.95


def test_the_example_says_nothing_on_stderr(
    kept: "tuple[Path, subprocess.CompletedProcess[str]]",
) -> None:
    """Nothing warns, and no progress is drawn where nobody looks."""
    _, run = kept

    assert run.stderr == ""


def test_the_shards_hold_every_digit_once(
    kept: "tuple[Path, subprocess.CompletedProcess[str]]",
) -> None:
    """Training and test shards together are the 1,797 images, so none is in both."""
    folder, _ = kept
    with atdata.Index(path=folder / "digits.db") as index:
        train, test = index.open("digits/train@1.0.0"), index.open("digits/test")

    stored = sorted((digit.label, digit.image.tobytes()) for digit in train.concat(test))

    assert (len(train), len(test)) == (1437, 360)
    images, labels = load_digits().images.astype(np.uint8), load_digits().target.tolist()
    assert stored == sorted(zip(labels, map(np.ndarray.tobytes, images), strict=True))


def test_a_wrong_option_is_a_usage_error(tmp_path: Path) -> None:
    """Exit code 2 and a usage line, as every program gives."""
    run = run_example("--no-such-option", cwd=tmp_path)

    assert run.returncode == 2
    assert "usage:" in run.stderr
