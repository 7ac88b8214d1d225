"""Measures workloads: in this process, or as processes of their own with all that these start."""

from __future__ import annotations

import json
import os
import subprocess
import tempfile
import threading
import time
from dataclasses import dataclass, field
from pathlib import Path
from typing import TYPE_CHECKING, Self

from bench.results import Side, TableFacts

if TYPE_CHECKING:
    from collections.abc import Callable, Mapping
    from types import TracebackType

    from pyiceberg.table import Table

_SAMPLE_SECONDS = 0.02
_TICKS = os.sysconf("SC_CLK_TCK")


@dataclass(frozen=True)
class Command:
    """A workload in a process of its own.

    Arguments:
        words: the program and its arguments. Its last line of output may be JSON with ``seconds``: those
            of the work without the start of the process.
        folder: where it runs.
        environment: what it has beside this process's.
    """

    words: tuple[str, ...]
    folder: Path
    environment: Mapping[str, str] = field(default_factory=dict)


@dataclass(frozen=True)
class Fresh:
    """A workload in a process of its own that is made anew for each round, such as with a new folder.

    Arguments:
        make: called outside of what is measured.
    """

    make: Callable[[], Command]


@dataclass(frozen=True)
class Reading:
    """What one round took: seconds by the clock, CPU seconds, MB at most; and without the process's start."""

    seconds: float
    cpu: float
    peak_mb: float
    alone: float | None = None


class WorkFailedError(RuntimeError):
    """A process of a workload failed; with the end of what it wrote."""


class _Tree:
    """Looks at a process and its descendants again and again: their memory, and their CPU seconds.

    By ``/proc`` itself: to find descendants, psutil looks at every process of the machine, which at 50 times
    a second would disturb what is measured; and it does not tell the high-water mark.
    """

    def __init__(self, pid: int) -> None:
        self._pid = pid
        self._over = threading.Event()
        self._thread = threading.Thread(target=self._watch, daemon=True)
        self._cpu: dict[int, float] = {}
        self.peak_kb = 0

    def __enter__(self) -> Self:
        self._thread.start()
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self._over.set()
        self._thread.join()

    @property
    def cpu(self) -> float:
        """CPU seconds of all that was seen."""
        return sum(self._cpu.values())

    def _watch(self) -> None:
        while not self._over.is_set():
            self._look()
            self._over.wait(_SAMPLE_SECONDS)

    def _look(self) -> None:
        held = 0
        for pid in _with_descendants(self._pid):
            try:
                words = Path(f"/proc/{pid}/stat").read_text(encoding="ascii").rpartition(")")[2].split()
                held += int(words[21]) * os.sysconf("SC_PAGE_SIZE") // 1024
                self._cpu[pid] = (int(words[11]) + int(words[12])) / _TICKS
                if pid == self._pid:
                    self.peak_kb = max(self.peak_kb, _high_water_kb(pid))
            except (OSError, IndexError):
                continue  # it has ended meanwhile
        self.peak_kb = max(self.peak_kb, held)


def _with_descendants(pid: int) -> list[int]:
    found, waiting = [], [pid]
    while waiting:
        one = waiting.pop()
        found.append(one)
        for children in Path(f"/proc/{one}/task").glob("*/children"):
            try:
                waiting.extend(map(int, children.read_text(encoding="ascii").split()))
            except OSError:
                continue  # the thread has ended meanwhile
    return found


def _high_water_kb(pid: int) -> int:
    """Return the most that a process ever held. Not ``ru_maxrss``, which starts with what its parent held."""
    status = Path(f"/proc/{pid}/status").read_text(encoding="ascii", errors="replace")
    return next((int(line.split()[1]) for line in status.splitlines() if line.startswith("VmHWM:")), 0)


def read_process(command: Command, seconds: float = 900) -> Reading:
    """Run a process to its end.

    Raises:
        WorkFailedError: it failed, or took longer than ``seconds``.
    """
    with tempfile.TemporaryFile() as output, tempfile.TemporaryFile() as errors:
        started = time.perf_counter()
        process = subprocess.Popen(
            command.words,
            stdin=subprocess.DEVNULL,
            stdout=output,
            stderr=errors,
            cwd=command.folder,
            env={**os.environ, **command.environment},
        )
        timer = threading.Timer(seconds, process.kill)
        timer.start()
        with _Tree(process.pid) as tree:
            _, status, usage = os.wait4(process.pid, 0)
            taken = time.perf_counter() - started
        timer.cancel()
        process.returncode = os.waitstatus_to_exitcode(status)
        output.seek(0)
        written = output.read().decode(errors="replace")
        if process.returncode != 0:
            errors.seek(0)
            said = (written + errors.read().decode(errors="replace"))[-3000:]
            raise WorkFailedError(f"{command.words[:2]} ended with {process.returncode}: {said}")
    # What a process did not wait for is not in its own count, as Spark's JVM is not in that of its Python.
    cpu = max(usage.ru_utime + usage.ru_stime, tree.cpu)
    return Reading(taken, cpu, tree.peak_kb / 1024, _told_seconds(written))


def _told_seconds(written: str) -> float | None:
    lines = written.strip().splitlines()
    try:
        told = json.loads(lines[-1]) if lines else None
    except ValueError:
        return None
    return float(told["seconds"]) if isinstance(told, dict) and "seconds" in told else None


def read_call(work: Callable[[], object]) -> Reading:
    """Do a workload in this process; the memory is that of the whole, warm process while it lasts."""
    Path("/proc/self/clear_refs").write_text("5", encoding="ascii")  # the high-water mark begins anew
    with _Tree(os.getpid()) as tree:
        before, started = os.times(), time.perf_counter()
        work()
        taken = time.perf_counter() - started
        cpu = sum(os.times()[:4]) - sum(before[:4])
    peak = max(tree.peak_kb, _high_water_kb(os.getpid()))
    return Reading(taken, cpu, peak / 1024)


def side_of(readings: list[Reading], *, process: bool, table: TableFacts | None = None) -> Side:
    """Put the rounds of a workload together."""
    return Side(
        seconds=tuple(round(reading.seconds, 4) for reading in readings),
        cpu=tuple(round(reading.cpu, 3) for reading in readings),
        peak_mb=round(max(reading.peak_mb for reading in readings), 1),
        alone=tuple(round(reading.alone, 4) for reading in readings if reading.alone is not None),
        process=process,
        table=table,
    )


def table_facts(table: Table, columns: Mapping[str, str] | None = None) -> TableFacts:
    """Read a table back.

    Arguments:
        table: on local storage.
        columns: those that are compared, by name, with the DuckDB type that they are cast to, so that tools
            that choose other types for the same values can be compared. None: all, as they are.
    """
    import duckdb

    from bench.tables import folder_of

    chosen = columns or {field.name: "" for field in table.schema().fields}
    values = ", ".join(f'"{name}"::{kind}' if kind else f'"{name}"' for name, kind in sorted(chosen.items()))
    scan = table.scan(selected_fields=tuple(chosen))
    with duckdb.connect(":memory:") as connection:
        connection.execute("SET TimeZone = 'UTC'")
        connection.register("rows_of", scan.to_arrow_batch_reader())
        row = connection.execute(f"SELECT count(*), sum(hash({values})::HUGEINT) FROM rows_of").fetchone()
    if row is None:  # pragma: no cover - an aggregate gives a row
        raise RuntimeError("No count")
    return TableFacts(
        rows=int(row[0]),
        checksum=str(row[1] or 0),
        bytes_written=sum(file.stat().st_size for file in folder_of(table).rglob("*") if file.is_file()),
        files=len(list(scan.plan_files())),
        snapshots=len(table.metadata.snapshots),
    )
