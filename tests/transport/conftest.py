"""The web server that the tests of this folder read from."""

from collections.abc import Iterator
from pathlib import Path

import pytest
from tests.http_server import FileServer, serving

from atdata.transport import http


@pytest.fixture
def server(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Iterator[FileServer]:
    """A server of a folder of its own, reached without any proxy."""
    for name in (
        "http_proxy",
        "https_proxy",
        "all_proxy",
        "HTTP_PROXY",
        "HTTPS_PROXY",
        "ALL_PROXY",
    ):
        monkeypatch.delenv(name, raising=False)
    with serving(tmp_path / "served") as server:
        yield server
        http.close()
