"""What every doctest finds: a folder of its own, `tmp`."""

from pathlib import Path

import pytest


@pytest.fixture(autouse=True)
def _doctest_folder(
    doctest_namespace: dict[str, object], tmp_path_factory: pytest.TempPathFactory
) -> None:
    """Give doctests a temporary folder."""
    if "tmp" not in doctest_namespace:
        doctest_namespace["tmp"] = Path(tmp_path_factory.mktemp("doctest"))
