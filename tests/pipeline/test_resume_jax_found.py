"""What the JAX adapter's tests found elsewhere."""

import subprocess
import sys
from pathlib import Path

import pytest

import atdata
from atdata import DictSample


def test_a_state_of_a_mixture_of_another_seed_is_refused(tmp_path: Path) -> None:
    """The mixture's own seed chooses its members' orders, so it is part of what is read."""
    parts = [
        atdata.write_samples(
            [DictSample(n=i + first) for i in range(50)], tmp_path / f"{first}.tar"
        )
        for first in (0, 1000)
    ]
    one, other = (
        atdata.mix(dict.fromkeys(parts, 1), seed=seed).shuffled(seed=5) for seed in (1, 2)
    )
    some = iter(one)
    assert len([next(some) for _ in range(10)]) == 10

    with pytest.raises(ValueError, match="cannot resume"):
        other.load_state_dict(one.state_dict())


IN_A_SCRIPT = """
import cloudpickle, sys
import atdata

@atdata.packable
class Point:
    x: float

open(sys.argv[1], "wb").write(cloudpickle.dumps((Point, Point(1.0))))
"""
ELSEWHERE = """
import pickle, sys
import atdata

Point, point = pickle.load(open(sys.argv[1], "rb"))
assert atdata.unpack(Point, atdata.pack(point)) == point
assert isinstance(point, atdata.PackableSample)
"""


def test_a_type_of_a_script_reaches_workers_by_value(tmp_path: Path) -> None:
    """Grain, Ray and others send what a script or a notebook defines with cloudpickle."""
    pytest.importorskip("cloudpickle", reason="cloudpickle comes with Grain and Ray")

    for code in (IN_A_SCRIPT, ELSEWHERE):
        command = [sys.executable, "-c", code, str(tmp_path / "type.pickle")]
        run = subprocess.run(command, capture_output=True, text=True, check=False)
        assert run.returncode == 0, run.stderr
