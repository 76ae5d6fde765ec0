"""What every test may ask for: real servers; and what every doctest finds: a folder, `tmp`."""

import signal
from importlib.util import find_spec
from pathlib import Path

import pytest

pytest_plugins = ["atdata.testing.servers"]

# A job in the background ignores Ctrl-C, and so would all programs that tests start and interrupt.
if signal.getsignal(signal.SIGINT) is signal.SIG_IGN:
    signal.signal(signal.SIGINT, signal.default_int_handler)

ROOT = Path(__file__).parent
# What a module imports as soon as it is imported itself, as the search for doctests does.
LIBRARIES = {"src/atdata/adapters/torch.py": "torch", "tests/adapters/jax_program.py": "grain"}
collect_ignore = [
    str(ROOT / name) for name, library in LIBRARIES.items() if find_spec(library) is None
]


@pytest.fixture(autouse=True)
def _doctest_folder(
    request: pytest.FixtureRequest,
    doctest_namespace: dict[str, object],
    tmp_path_factory: pytest.TempPathFactory,
) -> None:
    """Give each doctest a temporary folder of its own."""
    if isinstance(request.node, pytest.DoctestItem):
        doctest_namespace["tmp"] = Path(tmp_path_factory.mktemp("doctest"))
