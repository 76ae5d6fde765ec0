"""What every test may ask for: real servers; and what every doctest finds: a folder, `tmp`."""

import signal
from importlib.util import find_spec
from pathlib import Path

import pytest

pytest_plugins = ["atdata.testing.servers"]

# A job in the background ignores Ctrl-C, and so would all programs that tests start and interrupt.
if signal.getsignal(signal.SIGINT) is signal.SIG_IGN:
    signal.signal(signal.SIGINT, signal.default_int_handler)

ADAPTERS = Path(__file__).parent / "src/atdata/adapters"
# What an adapter imports as soon as it is imported itself.
LIBRARIES = {"torch.py": "torch"}
collect_ignore = [
    str(ADAPTERS / name) for name, library in LIBRARIES.items() if find_spec(library) is None
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
