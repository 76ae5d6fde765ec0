"""The README's and the docs' Python runs as it stands, and type-checks as a user's code would.

The blocks of a page that are fenced as `python` are one program, run in order as one module in an
empty folder. A block without prompts is run; one with `>>>` is run as a doctest and must give what
it shows.
"""

import doctest
import json
import os
import re
import subprocess
import sys
import textwrap
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path
from types import ModuleType

import pytest

ROOT = Path(__file__).parents[2]
PAGES = [ROOT / "README.md", *sorted((ROOT / "docs").rglob("*.md"))]
FENCED = re.compile(r"^ *```(?:python|pycon|py)\b[^\n]*\n(.*?)^ *```", re.MULTILINE | re.DOTALL)
OPTIONAL = ("grain", "jax", "ray", "torch", "torchdata")
IMPORTED = re.compile(rf"^(?:import|from) ({'|'.join(OPTIONAL)})\b", re.MULTILINE)
DOCTEST_OPTIONS = doctest.NORMALIZE_WHITESPACE | doctest.ELLIPSIS


@dataclass(frozen=True, slots=True)
class Block:
    """A piece of a page's program."""

    line: int
    code: str

    @property
    def has_prompts(self) -> bool:
        """Whether it shows what it prints."""
        return ">>> " in self.code

    def statements(self) -> Iterator[tuple[int, str]]:
        """Its source without prompts and output, each part with its line in the page."""
        if self.has_prompts:
            for example in doctest.DocTestParser().get_examples(self.code):
                yield self.line + example.lineno, example.source
        else:
            yield self.line, self.code


def blocks(page: Path) -> list[Block]:
    """The page's Python, in order."""
    text = page.read_text()
    return [
        Block(text.count("\n", 0, found.start(1)), textwrap.dedent(found[1]))
        for found in FENCED.finditer(text)
    ]


def libraries(page: Path) -> set[str]:
    """Libraries that a page's Python imports and that need not be installed."""
    sources = (source for block in blocks(page) for _, source in block.statements())
    return set(IMPORTED.findall("\n".join(sources)))


def module_name(page: Path) -> str:
    """A name for the page's program that no real module has."""
    return "page_" + re.sub(r"\W", "_", page.relative_to(ROOT).with_suffix("").as_posix())


def page_id(page: Path) -> str:
    """The page as tests name it."""
    return page.relative_to(ROOT).as_posix()


@pytest.mark.filterwarnings("ignore::DeprecationWarning:ray.data.context")
@pytest.mark.parametrize("page", [page for page in PAGES if blocks(page)], ids=page_id)
def test_each_page_runs_from_top_to_bottom(
    page: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """A reader who types a page's code in gets what the page says."""
    for library in sorted(libraries(page)):
        pytest.importorskip(library, reason=f"{library} is not installed")
    program = ModuleType(module_name(page))
    monkeypatch.setitem(sys.modules, program.__name__, program)
    monkeypatch.chdir(tmp_path)
    if "ray" in libraries(page):  # a reader's program is the main one, which Ray sends along
        pytest.importorskip("ray.cloudpickle").register_pickle_by_value(program)

    for block in blocks(page):
        if block.has_prompts:
            run_with_prompts(block, program, page)
        else:
            code = "\n" * block.line + block.code  # errors then point into the page
            exec(compile(code, page, "exec", dont_inherit=True), program.__dict__)


def run_with_prompts(block: Block, program: ModuleType, page: Path) -> None:
    """Run a block as a doctest in the page's program."""
    test = doctest.DocTestParser().get_doctest(
        block.code, program.__dict__, page.name, str(page), block.line
    )
    test.globs = program.__dict__  # the parser made a copy
    runner = doctest.DebugRunner(optionflags=DOCTEST_OPTIONS)
    try:
        runner.run(test, clear_globs=False)
    except doctest.DocTestFailure as failure:
        at = block.line + failure.example.lineno + 1
        pytest.fail(f"{page}:{at}: wanted\n{failure.example.want}got\n{failure.got}")
    except doctest.UnexpectedException as raised:
        raise raised.exc_info[1] from None


@pytest.fixture(scope="module")
def programs(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A folder with each page's program as a file, on the lines where the page has it.

    Without pages on libraries that are large and need not be there: what is known of their types
    would differ from machine to machine.
    """
    folder = tmp_path_factory.mktemp("pages")
    for page in (page for page in PAGES if not libraries(page)):
        lines = [""] * (page.read_text().count("\n") + 1)
        for block in blocks(page):
            for at, source in block.statements():
                lines[at : at + source.count("\n")] = source.splitlines()
        if any(lines):
            (folder / f"{module_name(page)}.py").write_text("\n".join(lines).rstrip() + "\n")
    return folder


def test_the_pages_pass_mypy(programs: Path) -> None:
    """mypy, in strict mode, has nothing to say about what users are shown."""
    command = [sys.executable, "-m", "mypy", "--config-file", "pyproject.toml", programs]

    run = subprocess.run(command, cwd=ROOT, capture_output=True, text=True, check=False)

    assert run.returncode == 0, run.stdout + run.stderr


def test_the_pages_pass_pyright(programs: Path) -> None:
    """pyright, in strict mode, has nothing to say about what users are shown."""
    settings = {
        "include": ["."],
        "typeCheckingMode": "strict",
        "reportMissingTypeStubs": False,
        "reportUnusedExpression": False,  # at a prompt, an expression shows its value
        "reportUnknownMemberType": False,
        "reportUnknownVariableType": False,
        "reportUnknownArgumentType": False,
    }
    (programs / "pyrightconfig.json").write_text(json.dumps(settings))
    pyright = [sys.executable, "-m", "pyright", "--pythonpath", sys.executable]
    quiet = {**os.environ, "PYRIGHT_PYTHON_IGNORE_WARNINGS": "1"}
    there = subprocess.run(
        [*pyright, "--version"], env=quiet, capture_output=True, text=True, check=False
    )
    if there.returncode:
        pytest.skip("pyright cannot fetch its program here")

    run = subprocess.run(
        [*pyright, "-p", programs], env=quiet, capture_output=True, text=True, check=False
    )

    assert run.returncode == 0, run.stdout + run.stderr
