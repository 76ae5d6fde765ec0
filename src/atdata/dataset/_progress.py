"""Progress of long work, on stderr and only where somebody looks at it."""

import sys
import time
from importlib import import_module
from types import TracebackType
from typing import Any, Self


class Progress:
    """A counter of samples that is shown after a second, if stderr is a terminal.

    Args:
        what: What is being done.
        enabled: Show it; None means if stderr is a terminal.
    """

    def __init__(self, what: str, *, enabled: bool | None = None) -> None:
        self._what = what
        self._enabled = sys.stderr.isatty() if enabled is None else enabled
        self._began = time.monotonic()
        self._done = 0
        self._bar: Any = None
        self._task: Any = None

    def advance(self, n: int) -> None:
        """Count some more samples."""
        self._done += n
        if not self._enabled:
            return
        if self._bar is None and time.monotonic() - self._began > 1.0:
            self._start()
        if self._bar is not None:
            self._bar.update(self._task, completed=self._done)

    def _start(self) -> None:
        rich = import_module("rich.progress")  # loaded only when there is something to show
        console = import_module("rich.console").Console(stderr=True)
        columns = (
            rich.SpinnerColumn(),
            rich.TextColumn("{task.description}"),
            rich.TextColumn("{task.completed:,.0f} samples"),
            rich.TimeElapsedColumn(),
        )
        self._bar = rich.Progress(*columns, console=console, transient=True)
        self._task = self._bar.add_task(self._what, total=None)
        self._bar.start()

    def __enter__(self) -> Self:
        return self

    def __exit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        trace: TracebackType | None,
    ) -> None:
        if self._bar is not None:
            self._bar.stop()
