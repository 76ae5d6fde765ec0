"""Places that records are kept in: the rows of a catalogue, in memory or in a database.

`create_provider` makes one by name. The libraries that PostgreSQL and Redis need are loaded when
a provider of theirs is made.
"""

from atdata.providers.base import IndexProvider as IndexProvider
from atdata.providers.factory import create_provider as create_provider
from atdata.providers.memory import MemoryProvider as MemoryProvider
from atdata.providers.postgres import PostgresProvider as PostgresProvider
from atdata.providers.redis import RedisProvider as RedisProvider
from atdata.providers.sqlite import SqliteProvider as SqliteProvider
