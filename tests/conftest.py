"""Hypothesis profiles: `fast` while working, `ci` by default, `deep` for a long search."""

import os

from hypothesis import HealthCheck, settings

# Started by `uv run`, Ray would have its workers start by it too, each in an environment of its
# own that is installed first. It reads this when it is imported.
os.environ["RAY_ENABLE_UV_RUN_RUNTIME_ENV"] = "0"

settings.register_profile(
    "ci",
    deadline=None,
    derandomize=True,
    max_examples=60,
    suppress_health_check=[HealthCheck.too_slow, HealthCheck.function_scoped_fixture],
)
settings.register_profile("fast", settings.get_profile("ci"), max_examples=10)
settings.register_profile("deep", settings.get_profile("ci"), max_examples=2000, derandomize=False)
settings.load_profile(os.environ.get("HYPOTHESIS_PROFILE", "ci"))
