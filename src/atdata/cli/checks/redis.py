"""Whether a Redis server keeps what it is given."""

import secrets
from typing import Any

from atdata._lazy import require
from atdata.cli.checks import Check, Checks, fail, judge, n_bytes, ok, warn, without_secrets

_PATIENCE = 5.0
_OLDEST = (6, 2)  # GETDEL, and what scripts may do
_FULL = 0.9


def checks(url: str) -> Checks:
    """Look at a server; one key that nobody has is written, read and deleted."""
    redis = require("redis", extra="redis")
    try:
        client: Any = redis.Redis.from_url(
            url,
            socket_timeout=_PATIENCE,
            socket_connect_timeout=_PATIENCE,
            decode_responses=True,
            retry=None,
        )
    except ValueError as error:
        fact = without_secrets(error, url)
        yield fail("connection", fact, "Write it so: redis://:PASSWORD@HOST:PORT/0")
        return
    with client:
        try:
            client.ping()
            info: dict[str, Any] = client.info()
        except redis.AuthenticationError as error:
            fact = without_secrets(error, url)
            yield fail(
                "connection", fact, "Check user and password; see requirepass and ACL LIST."
            )
            return
        except redis.RedisError as error:
            fact = without_secrets(error, url)
            yield fail(
                "connection", fact, "Check that it runs, its address, and redis: or rediss:."
            )
            return
        yield ok("connection", f"answers, {client.dbsize()} keys in this database")
        yield _version(info)
        yield _persistence(client, info, redis.RedisError)
        yield _policy(info)
        yield _memory(info)
        yield _writable(client, redis.RedisError, url)


def _version(info: dict[str, Any]) -> Check:
    name = "Valkey" if "valkey_version" in info else "Redis"
    version = str(info.get("valkey_version") or info.get("redis_version") or "unknown")
    numbers = tuple(int(part) for part in version.split(".")[:2] if part.isdigit())
    return judge(numbers >= _OLDEST, "version", f"{name} {version}", "Update it to 6.2 or newer.")


def _persistence(client: Any, info: dict[str, Any], refused: type[Exception]) -> Check:
    if info.get("aof_enabled"):
        fine = info.get("aof_last_write_status") == "ok"
        return judge(
            fine, "persistence", "AOF", "Its last write failed: look at the server's disk."
        )
    try:
        schedule = str(client.config_get("save").get("save", ""))
    except refused:
        return warn("persistence", "AOF off, RDB not told", "Make sure that AOF or RDB is on.")
    if not schedule:
        return fail(
            "persistence",
            "AOF and RDB are off",
            "A restart loses everything: CONFIG SET appendonly yes, and CONFIG REWRITE.",
        )
    if info.get("rdb_last_bgsave_status") != "ok":
        return fail(
            "persistence", "RDB, the last one failed", "Look at the server's disk and log."
        )
    return warn(
        "persistence",
        f"RDB ({schedule}), AOF off",
        "A crash loses what came after the last snapshot: CONFIG SET appendonly yes.",
    )


def _policy(info: dict[str, Any]) -> Check:
    policy = str(info.get("maxmemory_policy", "unknown"))
    return judge(
        policy == "noeviction" or policy.startswith("volatile-"),
        "eviction",
        policy,
        "Entries may vanish when memory is full: CONFIG SET maxmemory-policy noeviction.",
    )


def _memory(info: dict[str, Any]) -> Check:
    used, most = int(info.get("used_memory", 0)), int(info.get("maxmemory", 0))
    fact = f"{n_bytes(used)} of {n_bytes(most) if most else 'no limit'}"
    return judge(
        not most or used < _FULL * most,
        "memory",
        fact,
        "Raise maxmemory, or delete what is not needed.",
        worst="fail" if most and used >= most else "warn",
    )


def _writable(client: Any, refused: type[Exception], url: str) -> Check:
    key = f"atdata:probe:{secrets.token_hex(8)}"
    try:
        client.set(key, "1", ex=60)
        kept = client.get(key) == "1"
        client.delete(key)
    except refused as error:
        fact = without_secrets(error, url)
        return fail("writable", fact, "Use the primary, and an account that may write.")
    return judge(kept, "writable", "yes" if kept else "a key is not kept", "Look at the server.")
