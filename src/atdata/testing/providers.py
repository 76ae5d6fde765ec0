"""The tests that every provider of records passes, for those who write another."""

from collections.abc import Generator
from typing import cast

import pytest
from hypothesis import HealthCheck, settings
from hypothesis.stateful import RuleBasedStateMachine, run_state_machine_as_test

from atdata.providers import IndexProvider
from atdata.testing._provider_machine import Machine
from atdata.testing._provider_processes import ProcessTests, ProviderFactory
from atdata.testing._provider_records import RecordTests
from atdata.testing._provider_rows import RowTests
from atdata.testing._provider_searches import SearchTests


class ProviderSuite(RowTests, SearchTests, RecordTests, ProcessTests):
    """Tests of a provider: inherit, and say how your store is opened.

    The fixture `provider_factory` gives, for each test, an empty store of its own as a function
    that opens it. Where `is_shared` is true, the function is pickled and called in other
    processes.

    Attributes:
        is_shared: Whether several processes see one store. What a store in memory cannot have
            is left out, and its tests say so.

    Examples:
        >>> from functools import partial
        >>> class TestMine(ProviderSuite):
        ...     @pytest.fixture
        ...     def provider_factory(self, tmp_path):
        ...         return partial(SqliteProvider, tmp_path / "index.db")
    """

    is_shared = True

    @pytest.fixture
    def provider_factory(self) -> ProviderFactory:
        """How to open the store of this test, empty at first."""
        raise NotImplementedError

    @pytest.fixture
    def provider(self, provider_factory: ProviderFactory) -> Generator[IndexProvider]:
        """The store, opened."""
        with provider_factory() as opened:
            yield opened

    def test_any_changes_leave_what_a_simple_model_holds(
        self, provider_factory: ProviderFactory
    ) -> None:
        """Whatever is committed, looked up, listed and searched: as in `MemoryProvider`."""

        def machine() -> RuleBasedStateMachine:
            return Machine(provider_factory)

        run_state_machine_as_test(
            cast("type[RuleBasedStateMachine]", machine),
            settings=settings(
                max_examples=12,
                stateful_step_count=12,
                deadline=None,
                suppress_health_check=[HealthCheck.too_slow, HealthCheck.data_too_large],
            ),
        )
