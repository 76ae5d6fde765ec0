"""The program that starts a server and keeps watch over it.

It is run by its path, with the standard library alone, and takes one JSON document as its
argument. It prints the server's process id. The server is stopped as soon as standard input closes
or the parent is gone, even where the parent was killed, and its temporary folder is removed. A
server that may stay is left alone once a byte comes.
"""

import ctypes
import fcntl
import json
import os
import select
import shutil
import signal
import subprocess
import sys
import time
from collections.abc import Callable
from typing import Any

_PR_SET_PDEATHSIG = 1
_LOOK = 0.5
"""Seconds between two looks for the parent: a fork of it may hold the pipe open."""

_GRACE = 15.0
_PATIENCE = 1.5
"""How long a server of before, whose parent was killed, may take to be gone."""


def main(argument: str) -> int:
    """Start what the document says; see `atdata.services.process.Program` for its fields."""
    wanted: dict[str, Any] = json.loads(argument)
    os.umask(0o077)
    lock = os.open(wanted["lock"], os.O_RDWR | os.O_CREAT, 0o600)
    if not _is_ours(lock):
        sys.exit(f"another server uses the folder {wanted['folder']}")
    with open(wanted["log"], "ab") as log:
        server = subprocess.Popen(  # noqa: S603  our own document
            wanted["command"],
            cwd=wanted["folder"],
            stdin=subprocess.DEVNULL,
            stdout=log,
            stderr=log,
            pass_fds=[lock],  # held as long as the server lives, whoever else does
            start_new_session=True,
            user=wanted["user"],
            group=wanted["group"],
            extra_groups=None if wanted["user"] is None else [],
            preexec_fn=None if wanted["may_stay"] else _end_with_parent(),  # noqa: PLW1509
        )
    os.write(1, b"%d\n" % server.pid)
    try:
        if _may_leave(server, wanted["parent"]):
            os._exit(0)
        _end(server, wanted["signal"])
    finally:
        if wanted["remove"]:
            shutil.rmtree(wanted["remove"], ignore_errors=True)
    return 0


def _is_ours(lock: int) -> bool:
    end = time.monotonic() + _PATIENCE
    while True:
        try:
            fcntl.flock(lock, fcntl.LOCK_EX | fcntl.LOCK_NB)
        except BlockingIOError:
            if time.monotonic() > end:
                return False
            time.sleep(0.05)
        else:
            return True


def _end_with_parent() -> Callable[[], None] | None:
    """What has Linux end the server when this process is killed; elsewhere nothing does."""
    if sys.platform != "linux":
        return None
    prctl = ctypes.CDLL(None).prctl
    return lambda: prctl(_PR_SET_PDEATHSIG, signal.SIGKILL)


def _may_leave(server: subprocess.Popen[bytes], parent: int) -> bool:
    """Watch until something ends, or the parent says that the server may stay."""
    while server.poll() is None and os.getppid() == parent:
        if select.select([0], [], [], _LOOK)[0]:
            return bool(os.read(0, 1))
    return False


def _end(server: subprocess.Popen[bytes], how: int) -> None:
    if server.poll() is None:
        server.send_signal(how)
    try:
        server.wait(_GRACE)
    except subprocess.TimeoutExpired:
        server.kill()
        server.wait()


if __name__ == "__main__":
    sys.exit(main(sys.argv[1]))
