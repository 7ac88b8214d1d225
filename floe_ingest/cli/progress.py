"""A run as it goes on, on stderr: a live display in a terminal, plain lines elsewhere."""

from __future__ import annotations

import contextlib
import threading
import time
from collections import Counter
from dataclasses import dataclass, field
from typing import TYPE_CHECKING

from rich.filesize import decimal
from rich.progress import Progress as RichProgress
from rich.progress import ProgressColumn, SpinnerColumn, Task, TextColumn, TimeElapsedColumn
from rich.text import Text

from floe_ingest.cli.render import count, seconds, stderr_console

if TYPE_CHECKING:
    from collections.abc import Iterator, Mapping
    from types import TracebackType
    from typing import Self

    from rich.console import Console
    from rich.progress import TaskID

    from floe_ingest.engine.progress import Phase, Progress, Sizes
    from floe_ingest_hookspecs import SourceResult

INTERVAL_SECONDS = 10.0


@contextlib.contextmanager
def reporter(*, interval: float = INTERVAL_SECONDS) -> Iterator[Progress]:
    """Yield a listener for a run: live where stderr is a terminal that can redraw, else plain lines.

    Arguments:
        interval: seconds between two plain lines of a phase that goes on.
    """
    console = stderr_console()
    # A dumb terminal cannot move its cursor; rich counts it as not interactive.
    listener = LiveLines(console) if console.is_interactive else PlainLines(console, interval=interval)
    with listener:
        yield listener


def _finished(result: SourceResult) -> Text:
    if result.success:
        loaded = f"{count(len(result.tables), 'table')}, {count(result.rows_loaded, 'row')}"
        return Text.assemble((result.name, "bold"), f": {loaded} in {seconds(result.duration_seconds)}")
    return Text.assemble((f"{result.name}: failed", "bold red"), f" after {seconds(result.duration_seconds)}")


def _header(source: str, source_type: str) -> Text:
    return Text.assemble((source, "bold"), f" ({source_type})")


@dataclass(slots=True)
class _Measured:
    """The bytes of a source by resource, looked up at most once a second."""

    sizes: Sizes = dict
    found: Mapping[str, int] = field(default_factory=dict)
    looked: float = float("-inf")

    def now(self) -> Mapping[str, int]:
        if time.monotonic() - self.looked >= 1:
            self.found, self.looked = self.sizes(), time.monotonic()
        return self.found


class _BytesColumn(ProgressColumn):
    """The bytes of a resource, or those of a whole source where a line is one of a source."""

    def render(self, task: Task) -> Text:
        measured: _Measured = task.fields["measured"]
        name: str | None = task.fields["resource"]
        found = measured.now()
        size = sum(found.values()) if name is None else found.get(name, 0)
        return Text(decimal(size) if size else "", style="cyan")


class _RowsColumn(ProgressColumn):
    def render(self, task: Task) -> Text:
        return Text(count(int(task.completed), "row") if task.completed else "", style="cyan")


class _RateColumn(ProgressColumn):
    def render(self, task: Task) -> Text:
        speed = task.finished_speed or task.speed
        return Text(f"{int(speed):,} rows/s" if speed else "", style="dim")


class LiveLines:
    """A line for each source under way, and one for each of its resources where they are several.

    They are redrawn in place; headers and outcomes scroll above them.

    Arguments:
        console: a terminal.
    """

    def __init__(self, console: Console) -> None:
        self._console = console
        self._display = RichProgress(
            SpinnerColumn(),
            TextColumn("{task.description}", markup=False, style="bold"),
            TextColumn("{task.fields[phase]}", markup=False),
            _RowsColumn(),
            _BytesColumn(),
            _RateColumn(),
            TimeElapsedColumn(),
            console=console,
            transient=True,
        )
        self._tasks: dict[str, TaskID] = {}
        self._measured: dict[str, _Measured] = {}
        self._resources: dict[str, dict[str, TaskID]] = {}
        self._lock = threading.Lock()

    def __enter__(self) -> Self:
        self._display.start()
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self._display.stop()

    def run_started(self, run_id: str, sources: tuple[str, ...]) -> None:
        """Say which run begins."""
        self._console.print(Text(f"run {run_id}: {count(len(sources), 'source')}", style="dim"))

    def source_started(self, source: str, source_type: str) -> None:
        """Print a source's header and begin its line."""
        self._console.print(_header(source, source_type))
        self._measured[source], self._resources[source] = _Measured(), {}
        self._tasks[source] = self._line(source, source, None)

    def _line(self, source: str, description: str, resource: str | None, *, visible: bool = True) -> TaskID:
        measured = self._measured[source]
        return self._display.add_task(
            description, total=None, phase="", measured=measured, resource=resource, visible=visible
        )

    def measured(self, source: str, sizes: Sizes) -> None:
        """Show the bytes as well."""
        self._measured[source].sizes = sizes

    def phase(self, source: str, phase: Phase) -> None:
        """Show the phase. A retry reads the source again, so its count begins anew."""
        if phase != "retry":
            self._display.update(self._tasks[source], phase=phase)
            return
        self._display.reset(self._tasks[source], phase=phase)
        for line in self._resources[source].values():
            self._display.reset(line)

    def rows(self, source: str, resource: str, count: int) -> None:
        """Count rows."""
        self._display.advance(self._tasks[source], count)
        lines = self._resources[source]
        if resource not in lines:
            with self._lock:
                lines[resource] = self._line(source, f"  {resource}", resource, visible=False)
                if len(lines) > 1:
                    for line in lines.values():
                        self._display.update(line, visible=True)
        self._display.advance(lines[resource], count)

    def source_finished(self, result: SourceResult) -> None:
        """Replace the source's lines by its outcome."""
        task = self._tasks.pop(result.name, None)
        if task is not None:
            for line in [task, *self._resources.pop(result.name).values()]:
                self._display.remove_task(line)
        self._console.print(_finished(result))


@dataclass(slots=True)
class _UnderWay:
    phase: str = "started"
    rows: Counter[str] = field(default_factory=Counter)
    measured: _Measured = field(default_factory=_Measured)
    started: float = field(default_factory=time.monotonic)
    told: float = field(default_factory=time.monotonic)


class PlainLines:
    """A line at each change, and one every ``interval`` seconds while nothing changes.

    The latter come from a thread of its own: a bulk load reports nothing for as long as it takes.

    Arguments:
        console: where to print.
        interval: seconds between two lines about a source.
    """

    def __init__(self, console: Console, *, interval: float = INTERVAL_SECONDS) -> None:
        self._console = console
        self._interval = interval
        self._under_way: dict[str, _UnderWay] = {}
        self._lock = threading.Lock()
        self._ended = threading.Event()
        self._clock = threading.Thread(target=self._repeat, name="floe-ingest-progress", daemon=True)

    def __enter__(self) -> Self:
        self._clock.start()
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self._ended.set()
        self._clock.join()

    def run_started(self, run_id: str, sources: tuple[str, ...]) -> None:
        """Say which run begins."""
        self._console.print(f"run {run_id}: {count(len(sources), 'source')}")

    def source_started(self, source: str, source_type: str) -> None:
        """Print a source's header."""
        with self._lock:
            self._under_way[source] = _UnderWay()
            self._console.print(_header(source, source_type))

    def phase(self, source: str, phase: Phase) -> None:
        """Print the phase. A retry reads the source again, so its count begins anew."""
        with self._lock:
            state = self._under_way[source]
            state.phase = phase
            if phase == "retry":
                state.rows.clear()
            self._tell(source, state)

    def measured(self, source: str, sizes: Sizes) -> None:
        """Tell the bytes as well."""
        with self._lock:
            self._under_way[source].measured.sizes = sizes

    def rows(self, source: str, resource: str, count: int) -> None:
        """Count rows; they show in the next line."""
        with self._lock:
            self._under_way[source].rows[resource] += count

    def source_finished(self, result: SourceResult) -> None:
        """Print the outcome."""
        with self._lock:
            self._under_way.pop(result.name, None)
            self._console.print(_finished(result))

    def _repeat(self) -> None:
        # Looks more often than it speaks, so that a line is at most a tenth of the interval late.
        while not self._ended.wait(self._interval / 10):
            with self._lock:
                due = time.monotonic() - self._interval
                for source, state in self._under_way.items():
                    if state.told <= due:
                        self._tell(source, state)

    def _tell(self, source: str, state: _UnderWay) -> None:
        state.told = time.monotonic()
        elapsed = state.told - state.started
        sizes = state.measured.now()
        parts = [state.phase, *_amounts(state.rows.total(), sum(sizes.values()), elapsed), seconds(elapsed)]
        self._console.print(Text.assemble((source, "bold"), ": ", ", ".join(parts)))
        if len(state.rows) > 1:
            for resource, rows in sorted(state.rows.items()):
                amounts = _amounts(rows, sizes.get(resource, 0), elapsed)
                self._console.print(Text.assemble((source, "bold"), f" {resource}: ", ", ".join(amounts)))


def _amounts(rows: int, size: int, elapsed: float) -> list[str]:
    """Return rows, bytes and rate in words, as far as there are any."""
    parts = [count(rows, "row")] if rows else []
    parts += [decimal(size)] if size else []
    return parts + ([f"{int(rows / max(elapsed, 0.001)):,} rows/s"] if rows else [])
