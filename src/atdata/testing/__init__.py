"""For tests of code that uses atdata: samples of any type, made up.

`samples(T)` and `values(annotation)` are Hypothesis strategies and load `hypothesis` when they are
first used; `make_samples(T)` does without.
"""

from importlib import import_module
from typing import Any

from atdata._lazy import require
from atdata.testing.made import make_samples as make_samples

_STRATEGIES = ("samples", "values")


def __getattr__(name: str) -> Any:
    if name not in _STRATEGIES:
        raise AttributeError(f"module {__name__!r} has no attribute {name!r}")
    require("hypothesis", extra="testing")
    return getattr(import_module("atdata.testing.strategies"), name)
