"""The program as a whole: how it starts, how it ends, and where it writes."""

import resource
import signal
import socket
import subprocess
import sys
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import pytest
from tests.cli.program import COMMAND, ENVIRONMENT, pictures, run, strict_json
from typer.main import get_command

import atdata
from atdata.cli.app import app


def cpu_seconds_of_help() -> float:
    before = resource.getrusage(resource.RUSAGE_CHILDREN)
    subprocess.run([*COMMAND, "--help"], check=True, capture_output=True, env=ENVIRONMENT)
    after = resource.getrusage(resource.RUSAGE_CHILDREN)
    return after.ru_utime + after.ru_stime - before.ru_utime - before.ru_stime


def test_help_takes_little_time() -> None:
    """Help comes at once: less than half a second of CPU, at best of three."""
    best = min(cpu_seconds_of_help() for _ in range(3))

    assert best < 0.5


def test_the_program_starts_without_numpy_and_rich() -> None:
    """What only some commands need is loaded by those commands."""
    code = "import sys, atdata.cli; print({'numpy', 'rich', 'msgspec'} & set(sys.modules))"

    loaded = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True)

    assert loaded.stdout == "set()\n"


def test_help_names_the_commands() -> None:
    """Help is on stdout, and is no failure."""
    done = run("--help")

    assert done.returncode == 0
    assert done.stderr == ""
    listed = {line.split()[0] for line in done.stdout.partition("Commands:\n")[2].splitlines()}
    assert listed == {
        "version", "inspect", "preview", "ls", "search", "show", "versions", "verify", "add",
        "label", "rename", "rm", "gc", "codegen", "schema", "local", "diagnose", "manifest",
        "query",
    }  # fmt: skip


def commands(group: Any, names: tuple[str, ...] = ()) -> Iterator[tuple[tuple[str, ...], Any]]:
    for name, command in group.commands.items():
        if hasattr(command, "commands"):
            yield from commands(command, (*names, name))
        else:
            yield (*names, name), command


@pytest.mark.parametrize(
    "command", [pytest.param(it, id=" ".join(names)) for names, it in commands(get_command(app))]
)
def test_every_command_has_help_and_json(command: Any) -> None:
    """A program can read what any command prints."""
    assert command.help
    assert "--json" in {flag for param in command.params for flag in param.opts}


def test_a_command_loads_nothing_that_it_does_not_use(tmp_path: Path) -> None:
    """Drawing, the web and other databases stay out of a listing."""
    atdata.Index(path=tmp_path / "x.db").write([atdata.DictSample(n=1)], name="a")
    others = {"rich.console", "rich.table", "httpcore2", "redis", "psycopg", "pyarrow"}
    code = f"import sys, atdata; atdata.main(sys.argv[1:]); print({others} & set(sys.modules))"

    done = subprocess.run(
        [sys.executable, "-c", code, "ls", "--db", tmp_path / "x.db"],
        capture_output=True,
        text=True,
        check=True,
    )

    assert done.stdout.splitlines()[1:] == [
        "a     1       1        3072   DictSample@1.0.0",
        "set()",
    ]


@pytest.mark.parametrize(
    "args",
    [
        [],
        ["inspect"],
        ["preview"],
        ["nope"],
        ["inspect", "--nope", "a.tar"],
        ["inspect", "a-{1.tar"],
        ["preview", "-n", "0", "a.tar"],
        ["preview", "--skip", "-1", "a.tar"],
        ["preview", "--fields", " , ", "a.tar"],
        ["preview", "--key", "a", "--skip", "1", "a.tar"],
    ],
    ids=" ".join,
)
def test_arguments_that_make_no_sense_end_with_2(args: list[str]) -> None:
    """A wrong call is told from failed data, and leaves stdout alone."""
    done = run(*args)

    assert done.returncode == 2
    assert done.stdout == ""
    assert "Traceback" not in done.stderr
    assert done.stderr


@pytest.mark.parametrize(
    ("argument", "said"),
    [
        ("missing.tar", "no such file"),
        ("pipe:ls", "not opened"),
        ("-", ""),
        ("", "names no file"),
        ("empty", "holds no *.tar"),
        ("x" * 300 + ".tar", ""),
    ],
)
@pytest.mark.parametrize("command", ["inspect", "preview"])
def test_what_cannot_be_read_ends_with_1(
    command: str, argument: str, said: str, tmp_path: Path
) -> None:
    """The reason is one message, without a traceback."""
    (tmp_path / "empty").mkdir()

    done = run(command, "--", argument, cwd=tmp_path)

    assert done.returncode == 1
    assert said in done.stderr
    assert done.stderr.strip()
    assert "Traceback" not in done.stderr


def test_version_says_what_it_runs_on() -> None:
    """The JSON and the text say the same."""
    text, document = run("version"), strict_json(run("version", "--json").stdout)

    assert list(document) == ["atdata", "python", "numpy", "platform"]
    assert document["atdata"] == atdata.__version__
    assert [line.split(maxsplit=1) for line in text.stdout.splitlines()] == [
        [name, fact] for name, fact in document.items()
    ]


def test_version_is_an_option_too() -> None:
    """`--version` is what is tried first."""
    assert run("--version").stdout == f"atdata {atdata.__version__}\n"


def test_main_returns_the_exit_code(capsys: pytest.CaptureFixture[str]) -> None:
    """A program that calls it goes on."""
    codes = [atdata.main(args) for args in (["version"], ["inspect", "missing.tar"], ["nope"])]

    assert codes == [0, 1, 2]


def test_output_that_the_encoding_lacks_is_escaped(tmp_path: Path) -> None:
    """A stdout that knows few characters does not end the program."""
    atdata.write_samples([atdata.DictSample(note="日")], tmp_path / "a.tar")

    done = run("preview", tmp_path / "a.tar", PYTHONIOENCODING="latin-1")

    assert done.returncode == 0
    assert done.stdout.splitlines()[1].split() == ["000000000", r"\u65e5"]


def test_a_broken_pipe_is_quiet(tmp_path: Path) -> None:
    """`atdata preview … | head -1` shows one line and nothing else."""
    samples = [atdata.DictSample(note="x" * 50, n=i) for i in range(5000)]
    atdata.write_samples(samples, tmp_path / "many.tar")
    command = [*COMMAND, "preview", "-n", "5000", str(tmp_path / "many.tar")]

    with subprocess.Popen(
        command, stdout=subprocess.PIPE, stderr=subprocess.PIPE, env=ENVIRONMENT
    ) as program:
        assert program.stdout is not None
        assert program.stderr is not None
        first = program.stdout.readline()
        program.stdout.close()
        said = program.stderr.read()

    assert first.split() == [b"key", b"note", b"n"]
    assert said == b""
    assert program.returncode in (0, 1)


@contextmanager
def silent_server() -> Iterator[socket.socket]:
    """A server that takes connections and never answers."""
    with socket.create_server(("127.0.0.1", 0)) as server:
        server.settimeout(30)
        yield server


def test_an_interrupt_ends_with_130() -> None:
    """Ctrl-C while a server keeps silent ends the program, without a traceback."""
    with silent_server() as server:
        url = f"http://127.0.0.1:{server.getsockname()[1]}/a.tar"
        with subprocess.Popen(
            [*COMMAND, "inspect", url],
            stdout=subprocess.PIPE,
            stderr=subprocess.PIPE,
            env=ENVIRONMENT,
        ) as program:
            connection, _ = server.accept()
            with connection:
                connection.recv(1)
                program.send_signal(signal.SIGINT)
                _, said = program.communicate(timeout=30)

    assert program.returncode == 130
    assert b"Traceback" not in said


def test_a_folder_stands_for_its_shards_in_natural_order(tmp_path: Path) -> None:
    """`p-2.tar` comes before `p-10.tar`; what is no shard, or hidden, is left out."""
    for n in (10, 2, 1):
        atdata.write_samples(pictures(n), tmp_path / f"p-{n}.tar")
    (tmp_path / ".p-3.tar").write_bytes(b"")
    (tmp_path / "notes.txt").write_bytes(b"")

    document = strict_json(run("inspect", "--json", tmp_path).stdout)

    assert [one["n_samples"] for one in document["shards"]] == [1, 2, 10]


def test_a_folder_may_have_any_name(tmp_path: Path) -> None:
    """Braces and colons in the names of a folder's shards mean nothing."""
    folder = tmp_path / "a{1,2}"
    folder.mkdir()
    (tmp_path / "plain.tar").write_bytes(b"")
    atdata.write_samples(pictures(1), folder / "x{y.tar")
    atdata.write_samples(pictures(1), folder / "c:d.tar")

    done = run("inspect", "--json", folder, cwd=tmp_path)

    assert done.returncode == 0
    assert strict_json(done.stdout)["totals"]["n_samples"] == 2
