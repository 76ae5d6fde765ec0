"""What `import atdata` costs: no third-party module, no numpy, little time."""

import json
import resource
import subprocess
import sys

import pytest

# What each may load besides the standard library. numpy waits until there is an array.
MSGPACK = ["msgspec", "typing_extensions"]
LIGHT: dict[str, list[str]] = {
    "atdata": [],
    "atdata._exceptions": [],
    "atdata._logging": [],
    "atdata._protocols": [],
    "atdata._type_utils": [],
    "atdata.lens": [],
    "atdata.sample.base": MSGPACK,
    "atdata.sample.dynamic": MSGPACK,
    "atdata.sample.packable": MSGPACK,
}

IMPORT = """
import json, sys, time
before = set(sys.modules)
began = time.process_time()
import {module}
seconds = time.process_time() - began
loaded = {{name.partition(".")[0] for name in set(sys.modules) - before}}
others = loaded - sys.stdlib_module_names - {{"atdata"}}
print(json.dumps([seconds, sorted(others)]))
"""


def cost_of(module: str) -> tuple[float, list[str]]:
    """CPU seconds to import a module in a fresh interpreter, and what it loads of others."""
    run = [sys.executable, "-c", IMPORT.format(module=module)]
    seconds, others = json.loads(subprocess.run(run, check=True, capture_output=True).stdout)
    return seconds, others


@pytest.mark.parametrize("module", LIGHT)
def test_a_light_module_loads_no_more_than_it_must(module: str) -> None:
    """Nothing that was installed is loaded until it is needed, numpy least of all."""
    _, others = cost_of(module)

    assert set(others) <= set(LIGHT[module])


def test_importing_atdata_takes_less_than_a_tenth_of_a_second() -> None:
    """A program that may not need a dataset at all does not pay for one."""
    best = min(cost_of("atdata")[0] for _ in range(5))

    assert best < 0.1


def test_help_takes_less_than_half_a_second() -> None:
    """The command line answers at once."""
    best = min(cpu_seconds([sys.executable, "-m", "atdata.cli", "--help"]) for _ in range(3))

    assert best < 0.5


def cpu_seconds(command: list[str]) -> float:
    """CPU time of a finished program, its start included."""
    before = resource.getrusage(resource.RUSAGE_CHILDREN)
    subprocess.run(command, check=True, capture_output=True)
    after = resource.getrusage(resource.RUSAGE_CHILDREN)
    return after.ru_utime + after.ru_stime - before.ru_utime - before.ru_stime
