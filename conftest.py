"""What every doctest finds: a folder of its own, `tmp`."""

from importlib.util import find_spec
from pathlib import Path

import pytest

ADAPTERS = Path(__file__).parent / "src/atdata/adapters"
# What an adapter imports as soon as it is imported itself.
LIBRARIES = {"torch.py": "torch"}
collect_ignore = [
    str(ADAPTERS / name) for name, library in LIBRARIES.items() if find_spec(library) is None
]


@pytest.fixture(autouse=True)
def _doctest_folder(
    doctest_namespace: dict[str, object], tmp_path_factory: pytest.TempPathFactory
) -> None:
    """Give doctests a temporary folder."""
    if "tmp" not in doctest_namespace:
        doctest_namespace["tmp"] = Path(tmp_path_factory.mktemp("doctest"))
