"""The suite's assertions show what they compare, as those of tests do."""

import pytest

PARTS = ("rows", "searches", "records", "processes", "machine")

pytest.register_assert_rewrite(*(f"atdata.testing._provider_{part}" for part in PARTS))
