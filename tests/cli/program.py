"""The real program in a process of its own, and shards for it to look at."""

import json
import os
import pty
import subprocess
import sys
import tarfile
from contextlib import redirect_stderr, redirect_stdout
from dataclasses import dataclass
from io import BytesIO, StringIO
from pathlib import Path
from typing import Any, NoReturn

import msgspec
import numpy as np
from numpy.typing import NDArray

import atdata

VECTORS = Path(__file__).parents[1] / "vectors"
COMMAND = [sys.executable, "-W", "error", "-m", "atdata.cli"]

_PROXIES = {"HTTP_PROXY", "HTTPS_PROXY", "ALL_PROXY"}
ENVIRONMENT = {
    name: value
    for name, value in os.environ.items()
    if name.upper() not in _PROXIES | {"FORCE_COLOR", "COLUMNS", "TTY_COMPATIBLE"}
}


@atdata.packable
class Picture:
    """A sample with an array, bytes and text."""

    image: NDArray[np.uint8]
    label: int
    note: str
    raw: bytes


def pictures(n: int) -> list[Picture]:
    """Samples that differ."""
    return [
        Picture(np.full((2, 3), i, np.uint8), i, f"picture {i}", bytes(range(i % 40)))
        for i in range(n)
    ]


def run(*args: object, cwd: Path | None = None, **environment: str) -> Any:
    """Run the program; its stdout and stderr come as text."""
    return subprocess.run(
        [*COMMAND, *map(str, args)],
        cwd=cwd,
        env={**ENVIRONMENT, **environment},
        stdin=subprocess.DEVNULL,
        capture_output=True,
        encoding="utf-8",
        timeout=60,
        check=False,
    )


def strict_json(text: str) -> Any:
    """Parse JSON as the standard has it: no NaN, no Infinity."""

    def refuse(constant: str) -> NoReturn:
        raise ValueError(f"{constant} is no JSON")

    return json.loads(text, parse_constant=refuse)


def write_tar(path: Path, members: dict[str, Any]) -> Path:
    """A plain tar as anyone may write it: names, and what is packed under them."""
    with tarfile.open(path, "w") as archive:
        for name, value in members.items():
            payload = msgspec.msgpack.encode(value)
            member = tarfile.TarInfo(name)
            member.size = len(payload)
            archive.addfile(member, BytesIO(payload))
    return path


def damage(path: Path, at: int) -> Path:
    """The same file with one bit turned over."""
    data = bytearray(path.read_bytes())
    data[at] ^= 1
    path.write_bytes(data)
    return path


def is_harmless(text: str) -> bool:
    """Whether a terminal would only show it."""
    return all(c.isprintable() or c == "\n" for c in text)


def in_a_terminal(args: list[str], columns: int, typed: str = "") -> tuple[str, int]:
    """What the program writes to a terminal of this width, and its exit code."""
    ours, theirs = pty.openpty()
    environment = {**ENVIRONMENT, "TERM": "xterm", "COLUMNS": str(columns)}
    stdin = theirs if typed else subprocess.DEVNULL
    os.write(ours, typed.encode())
    with subprocess.Popen(
        [*COMMAND, *args], stdin=stdin, stdout=theirs, stderr=theirs, env=environment
    ) as program:
        os.close(theirs)
        pieces: list[bytes] = []
        try:
            while piece := os.read(ours, 4096):
                pieces.append(piece)
        except OSError:
            pass  # how a terminal says that its program has ended
        finally:
            os.close(ours)
    return b"".join(pieces).decode(), program.returncode


@dataclass(frozen=True, slots=True)
class Done:
    """What a call of the program came to."""

    returncode: int
    stdout: str
    stderr: str


def call(*args: object) -> Done:
    """Call the program in this process, where that is enough: it takes much less time."""
    stdout, stderr = StringIO(), StringIO()
    with redirect_stdout(stdout), redirect_stderr(stderr):
        code = atdata.main(list(map(str, args)))
    return Done(code, stdout.getvalue(), stderr.getvalue())


@atdata.packable
class Point:
    """Somewhere on a line."""

    name: str
    x: float


def write_lab(folder: Path) -> Path:
    """A catalogue with two versions of pictures, points, and samples without a type."""
    db = folder / "lab.db"
    with atdata.Index(path=db) as index:
        index.write(pictures(2), name="vision/pictures", version="1.0.0", tags=["vision", "small"])
        index.write(
            pictures(5),
            name="vision/pictures",
            version="1.1.0",
            tags=["vision", "large"],
            description="Pictures of numbers",
            license="MIT",
            metadata={"size": [2, 3]},
            maxcount=3,
        )
        index.write([Point("a", 1.0), Point("b", 2.0)], name="points")
        index.write([atdata.DictSample(n=7)], name="seven")
    return db
