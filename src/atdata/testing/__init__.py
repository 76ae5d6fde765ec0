"""For tests of code that uses atdata, and for those who write backends of their own.

`samples(T)` and `values(annotation)` are Hypothesis strategies; `make_samples(T)` does without.
`make_dataset` and `mock_index` make small datasets and catalogues, and `tmp_dataset` and
`tmp_index` are fixtures of them. `ProviderSuite` and `DataStoreSuite` are what every provider and
every store passes. Each is loaded when it is first used, with `hypothesis` and `pytest`.
"""

from importlib import import_module
from typing import Any

from atdata._lazy import require
from atdata.testing.made import make_samples as make_samples

_HOMES = {
    "DataStoreSuite": "stores",
    "ProviderSuite": "providers",
    "make_dataset": "catalogue",
    "mock_index": "catalogue",
    "samples": "strategies",
    "tmp_dataset": "catalogue",
    "tmp_index": "catalogue",
    "values": "strategies",
}


def __getattr__(name: str) -> Any:
    if name not in _HOMES:
        raise AttributeError(f"module {__name__!r} has no attribute {name!r}")
    require("hypothesis", extra="testing")
    return getattr(import_module(f"atdata.testing.{_HOMES[name]}"), name)
