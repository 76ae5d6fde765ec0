"""Values made fit for terminals and for JSON, whatever they are."""

import json
from typing import Any

import numpy as np
from hypothesis import given
from hypothesis import strategies as st
from hypothesis.extra.numpy import array_dtypes, array_shapes, arrays, scalar_dtypes
from tests.cli.program import is_harmless, strict_json

from atdata.cli.values import json_value, text_value

ATOMS = (
    st.none()
    | st.booleans()
    | st.integers(-(2**63), 2**64 - 1)
    | st.floats()
    | st.text()
    | st.binary()
    | st.complex_numbers()
    | arrays(scalar_dtypes() | array_dtypes(), array_shapes(min_dims=0, min_side=0))
)
VALUES = st.recursive(
    ATOMS, lambda inner: st.lists(inner) | st.dictionaries(st.text(), inner), max_leaves=20
)


@given(value=VALUES)
def test_any_value_is_json(value: Any) -> None:
    """A strict parser takes it."""
    text = json.dumps(json_value(value), allow_nan=False)

    assert strict_json(text) == json_value(value)


@given(value=VALUES)
def test_any_value_is_one_harmless_line(value: Any) -> None:
    """No control character is left, and nothing is long."""
    text = text_value(value)

    assert is_harmless(text)
    assert "\n" not in text
    assert len(text) < 20_000


def test_elements_of_an_array_that_are_large_are_not_made() -> None:
    """A few elements may be megabytes each."""
    array = np.zeros(2, [("x", "f8", (1000,))])

    assert json_value(array)["head"] == []
    assert text_value(array).endswith("…")
