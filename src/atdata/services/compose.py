"""The same three servers as containers: the text of a compose file."""

import json
from collections.abc import Mapping
from typing import Any

from atdata.services.process import HOST

IMAGES = {
    "redis": "redis:7.4.2-alpine",
    "postgres": "postgres:17.4-alpine",
    "s3": "minio/minio:RELEASE.2025-04-22T22-12-26Z",
}
"""What runs: a version each, so that every day and every machine has the same."""

_PORTS = {"redis": 6379, "postgres": 5432, "s3": 9000}

# Passwords come from the environment of the container; `$$` is a dollar for its shell.
_SERVICES: Mapping[str, Mapping[str, Any]] = {
    "redis": {
        "command": [
            "sh",
            "-c",
            'printf "requirepass %s\\n" "$$REDIS_PASSWORD" > /tmp/redis.conf && '
            "exec redis-server /tmp/redis.conf --appendonly yes --maxmemory-policy noeviction",
        ],
        "environment": {"REDIS_PASSWORD": "${REDIS_PASSWORD:?}"},
        "volumes": ["redis:/data"],
        "healthcheck": {
            "test": ["CMD-SHELL", 'REDISCLI_AUTH="$$REDIS_PASSWORD" redis-cli ping | grep PONG']
        },
    },
    "postgres": {
        "environment": {
            "POSTGRES_USER": "atdata",
            "POSTGRES_DB": "postgres",
            "POSTGRES_PASSWORD": "${POSTGRES_PASSWORD:?}",
            "POSTGRES_INITDB_ARGS": "--encoding=UTF8 --auth=scram-sha-256",
        },
        "volumes": ["postgres:/var/lib/postgresql/data"],
        "healthcheck": {"test": ["CMD", "pg_isready", "-U", "atdata"]},
    },
    "s3": {
        "entrypoint": ["sh", "-c", "mkdir -p /data/atdata && exec minio server /data"],
        "environment": {
            "MINIO_ROOT_USER": "${S3_ACCESS_KEY:?}",
            "MINIO_ROOT_PASSWORD": "${S3_SECRET_KEY:?}",
        },
        "volumes": ["s3:/data"],
        "healthcheck": {"test": ["CMD", "mc", "ready", "local"]},
    },
}


def compose_text(ports: Mapping[str, int], project: str = "atdata") -> str:
    """A compose file, as JSON, which is YAML too.

    It holds no secret: `REDIS_PASSWORD`, `POSTGRES_PASSWORD`, `S3_ACCESS_KEY` and `S3_SECRET_KEY`
    are taken from the environment, and no container starts without them.

    Args:
        ports: The services wanted, each with its port on loopback.
        project: What containers and volumes are named after.

    Examples:
        >>> text = compose_text({"redis": 7000})
        >>> "127.0.0.1:7000:6379" in text, "postgres" in text
        (True, False)
    """
    services = {
        kind: {
            "image": IMAGES[kind],
            "ports": [f"{HOST}:{port}:{_PORTS[kind]}"],
            "restart": "unless-stopped",
            **_SERVICES[kind],
            "healthcheck": {"interval": "1s", "retries": 60, **_SERVICES[kind]["healthcheck"]},
        }
        for kind, port in ports.items()
    }
    document = {"name": project, "services": services, "volumes": {kind: {} for kind in ports}}
    return json.dumps(document, indent=2) + "\n"
