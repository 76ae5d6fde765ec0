"""Every provider passes the suite that is shipped, on real servers."""

from functools import partial
from pathlib import Path

import pytest

from atdata.providers import MemoryProvider, PostgresProvider, RedisProvider, SqliteProvider
from atdata.testing.providers import ProviderFactory, ProviderSuite


class TestMemory(ProviderSuite):
    """In memory, where each process has a store of its own."""

    is_shared = False

    @pytest.fixture
    def provider_factory(self) -> ProviderFactory:
        provider = MemoryProvider()
        return lambda: provider


class TestSqlite(ProviderSuite):
    """In a file."""

    @pytest.fixture
    def provider_factory(self, tmp_path: Path) -> ProviderFactory:
        return partial(SqliteProvider, tmp_path / "index.db")


class TestPostgres(ProviderSuite):
    """In PostgreSQL."""

    @pytest.fixture
    def provider_factory(self, postgres_dsn: str) -> ProviderFactory:
        return partial(PostgresProvider, postgres_dsn)


class TestRedis(ProviderSuite):
    """In Valkey, or the Redis that `$REDIS_BIN` names."""

    @pytest.fixture
    def provider_factory(self, redis_url: str) -> ProviderFactory:
        return partial(RedisProvider, redis_url)
