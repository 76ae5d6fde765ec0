"""The S3 server as a program: OpenStack Swift's four servers in one process.

`python -m atdata.services.swift PLAN.json`. It needs no root, no `/etc/swift` and no memcached,
only a folder on a file system with extended attributes. Swift and eventlet are imported when it
runs: eventlet puts its own sockets and threads in place of Python's, for the whole process.
"""

import json
import os
import sys
import warnings
from dataclasses import asdict, dataclass, field
from importlib import import_module
from pathlib import Path
from typing import Any

_STORES = ("account", "container", "object")
_HOST = "127.0.0.1"
_SALT = b"atdata"
"""Part of where each object lies: data of before are found only by the same."""

# `copy` stands before `slo`, or a copy of a multipart object is a copy of its list of parts.
_PIPELINE = (
    "catch_errors gatekeeper healthcheck listing_formats bulk s3api tempauth copy slo "
    "versioned_writes symlink proxy-server"
)
_OPTIONS = {
    "s3api": "s3_acl = false\nallow_multipart_uploads = true\ndns_compliant_bucket_names = true\n",
    "versioned_writes": "allow_versioned_writes = true\nallow_object_versioning = true\n",
}


@dataclass(frozen=True, slots=True)
class Plan:
    """What the program is to serve.

    Attributes:
        folder: Where objects and settings lie.
        port: Where it listens, on loopback.
        account: The account; with the user it is the access key, `account:user`.
        user: The user.
        secret: The secret key.
        region: The region it says it is in.
    """

    folder: str
    port: int
    account: str
    user: str
    secret: str = field(repr=False)
    region: str

    def to_json(self) -> str:
        """The plan as the program reads it."""
        return json.dumps(asdict(self))


def proxy_config(plan: Plan) -> str:
    """The settings of the server that clients talk to."""
    options = {
        **_OPTIONS,
        "s3api": f"location = {plan.region}\n{_OPTIONS['s3api']}",
        "tempauth": f"user_{plan.account}_{plan.user} = {plan.secret} .admin\n",
    }
    filters = "".join(
        f"[filter:{name}]\nuse = egg:swift#{name}\n{options.get(name, '')}"
        for name in _PIPELINE.split()[:-1]
    )
    return (
        f"{_common(plan, plan.port)}[pipeline:main]\npipeline = {_PIPELINE}\n"
        "[app:proxy-server]\nuse = egg:swift#proxy\n"
        f"allow_account_management = true\naccount_autocreate = true\n{filters}"
    )


def store_config(plan: Plan, name: str, port: int) -> str:
    """The settings of one of the servers behind it."""
    return (
        f"{_common(plan, port)}[pipeline:main]\npipeline = {name}-server\n"
        f"[app:{name}-server]\nuse = egg:swift#{name}\ndisable_fallocate = true\n"
    )


def _common(plan: Plan, port: int) -> str:
    return (
        f"[DEFAULT]\nswift_dir = {plan.folder}\ndevices = {plan.folder}/srv\n"
        f"mount_check = false\nbind_ip = {_HOST}\nbind_port = {port}\n"
        "log_level = ERROR\nlog_name = swift\n"
    )


class _Quiet:
    def write(self, *_: object) -> None:
        pass

    def flush(self) -> None:
        pass


def main(plan_path: str) -> None:
    """Serve until the process is ended."""
    warnings.simplefilter("ignore")
    eventlet: Any = import_module("eventlet")
    eventlet.patcher.monkey_patch(all=False, socket=True, select=True, thread=True, time=True)
    wsgi: Any = import_module("eventlet.wsgi")
    utils: Any = import_module("swift.common.utils")
    utils.HASH_PATH_PREFIX = utils.HASH_PATH_SUFFIX = _SALT
    utils.validate_hash_conf = _nothing
    serving: Any = import_module("swift.common.wsgi")
    serving.validate_configuration = _nothing  # it would insist on /etc/swift/swift.conf

    plan = Plan(**json.loads(Path(plan_path).read_bytes()))
    folder = Path(plan.folder)
    (folder / "srv" / "d1").mkdir(parents=True, exist_ok=True)
    sockets = {name: eventlet.listen((_HOST, 0), reuse_port=False) for name in _STORES}
    for name, listener in sockets.items():
        port = listener.getsockname()[1]
        _save_ring(folder / f"{name}.ring.gz", port)
        (folder / f"{name}.conf").write_text(store_config(plan, name, port))
    sockets["proxy"] = eventlet.listen((_HOST, plan.port), reuse_port=False)
    (folder / "proxy.conf").write_text(proxy_config(plan))
    running = [
        eventlet.spawn(
            wsgi.server,
            listener,
            serving.loadapp(str(folder / f"{name}.conf"), global_conf={"log_level": "ERROR"}),
            _Quiet(),
            protocol=serving.SwiftHttpProtocol,
            max_size=256,
            log_output=False,
        )
        for name, listener in sockets.items()
    ]
    (folder / "ready").write_text(str(os.getpid()))
    for server in running:
        server.wait()


def _save_ring(path: Path, port: int) -> None:
    """Write down where the one store of a kind is."""
    ring: Any = import_module("swift.common.ring")
    builder = ring.RingBuilder(4, 1, 1)
    place = {"ip": _HOST, "port": port, "replication_ip": _HOST, "replication_port": port}
    builder.add_dev({**place, "region": 1, "zone": 1, "device": "d1", "weight": 1, "meta": ""})
    builder.rebalance(seed=1)
    builder.get_ring().save(str(path))


def _nothing(*_: object, **__: object) -> None:
    pass


if __name__ == "__main__":
    main(sys.argv[1])
