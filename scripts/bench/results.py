"""The model of what a benchmark measured, which pytest-benchmark keeps in ``extra_info``."""

from __future__ import annotations

import math
import statistics
from collections.abc import Mapping  # noqa: TC003 (pydantic reads it)
from typing import TYPE_CHECKING, Annotated, Any, Literal, Self

from pydantic import BaseModel, ConfigDict, Field, TypeAdapter, model_validator

if TYPE_CHECKING:
    from collections.abc import Sequence

KEY = "result"
"""The key of a result in ``extra_info``."""


class _Frozen(BaseModel):
    model_config = ConfigDict(frozen=True, extra="forbid")


class TableFacts(_Frozen):
    """What a workload left behind.

    Arguments:
        rows: of the table.
        checksum: a sum over hashes of whole rows; equal tables have equal sums.
        bytes_written: of all files in the table's folder.
        files: data files of the current snapshot.
        snapshots: that the table lists.
    """

    rows: int
    checksum: str
    bytes_written: int
    files: int
    snapshots: int

    @property
    def content(self) -> tuple[int, str]:
        """What has to be equal on both sides."""
        return self.rows, self.checksum


class Side(_Frozen):
    """One of the workloads that were done in turns.

    Arguments:
        seconds: of each round, by the clock; of a process from its start to its end.
        cpu: of each round, seconds at work on whatever core, with all descendants.
        peak_mb: the most memory of the process and its descendants, in MB.
        alone: of each round, seconds without the start of the process, where it tells them.
        process: whether each round was a process of its own. Otherwise ``peak_mb`` is of one warm process.
        table: what it left behind.
    """

    seconds: tuple[float, ...] = Field(min_length=1)
    cpu: tuple[float, ...] = Field(min_length=1)
    peak_mb: float
    alone: tuple[float, ...] = ()
    process: bool = False
    table: TableFacts | None = None

    @property
    def median(self) -> float:
        """The median of the seconds."""
        return statistics.median(self.seconds)

    @property
    def least_cpu(self) -> float:
        """The least CPU seconds, which other work on the machine disturbs least."""
        return min(self.cpu)


Measure = Literal["wall", "best", "CPU", "alone", "peak MB", "seconds", "seconds more"]
_UNITS: Mapping[str, str] = {"peak MB": " MB", "seconds": " s", "seconds more": " s"}


class Target(_Frozen):
    """A number that is aimed at.

    Arguments:
        measure: of what. ``wall``, ``best``, ``CPU`` and ``alone`` are ratios to ``beside``: of medians, of
            the shortest rounds, of the least CPU seconds, and of medians without the start of processes.
            ``seconds more`` is the difference of medians; ``peak MB`` and ``seconds`` are of the side itself.
        most: what it may be at most.
        side: of which side.
        beside: beside which.
    """

    measure: Measure
    most: float
    side: str = "ours"
    beside: str | None = None

    @model_validator(mode="after")
    def _is_complete(self) -> Self:
        if self.measure not in {"peak MB", "seconds"} and self.beside is None:
            raise ValueError(f"A target of {self.measure!r} needs `beside`")
        return self

    def text(self) -> str:
        """Say it, such as ``wall ≤ 0.8 of limit``."""
        if self.measure in _UNITS:
            more = f" than {self.beside}" if self.beside else ""
            return f"{self.measure.removesuffix(' MB')}{more} ≤ {self.most:g}{_UNITS[self.measure]}"
        return f"{self.measure} ≤ {self.most:g} of {self.beside}"


class Comparison(_Frozen):
    """Workloads that were done in turns.

    Arguments:
        kind: tells it from other results.
        group: the part of the report.
        title: of the work; unique.
        ours: the side that the others stand beside.
        sides: by name.
        targets: what is aimed at.
        missing: by name of a peer that was not run, the reason.
        scale: how much of the full work was done.
    """

    kind: Literal["comparison"] = "comparison"
    group: str
    title: str
    ours: str = "ours"
    sides: dict[str, Side]
    targets: tuple[Target, ...] = ()
    missing: dict[str, str] = {}
    scale: str = "full"

    @model_validator(mode="after")
    def _names_are_sides(self) -> Self:
        named = {self.ours, *(t.side for t in self.targets), *(t.beside for t in self.targets if t.beside)}
        if unknown := named - set(self.sides):
            raise ValueError(f"{self.title}: no such side: {sorted(unknown)}")
        return self

    def ratio(self, side: str, beside: str, measure: Measure = "wall") -> float:
        """Return how many times as much one side takes as another."""
        one, other = self.sides[side], self.sides[beside]
        match measure:
            case "wall":
                return one.median / other.median
            case "best":
                return min(one.seconds) / min(other.seconds)
            case "CPU":
                return one.least_cpu / other.least_cpu
            case "alone":
                return statistics.median(one.alone) / statistics.median(other.alone)
        raise ValueError(f"{measure!r} is no ratio")

    def measured(self, target: Target) -> float:
        """Return what was measured for a target."""
        side = self.sides[target.side]
        match target.measure:
            case "peak MB":
                return side.peak_mb
            case "seconds":
                return side.median
            case "seconds more":
                return side.median - self.sides[target.beside or ""].median
        return self.ratio(target.side, target.beside or "", target.measure)

    def ratios(self) -> dict[str, float]:
        """Return the wall ratio of ours to each other side."""
        return {name: self.ratio(self.ours, name) for name in self.sides if name != self.ours}

    @property
    def equal(self) -> bool | None:
        """Whether all sides that left a table left equal rows; None where fewer than two did."""
        contents = [side.table.content for side in self.sides.values() if side.table is not None]
        return len(set(contents)) == 1 if len(contents) > 1 else None


class Point(_Frozen):
    """What one size of the work took: seconds by the clock, CPU seconds, and MB at most."""

    size: float = Field(gt=0)
    seconds: float = Field(gt=0)
    cpu: float
    peak_mb: float = Field(gt=0)


def exponent(sizes: Sequence[float], values: Sequence[float]) -> float:
    """Return the exponent ``e`` of ``values = c * sizes ** e``, by a line through their logs."""
    import numpy as np

    return float(np.polyfit(np.log(sizes), np.log(values), 1)[0])


class Growth(_Frozen):
    """What the same work took at several sizes.

    Arguments:
        axis: what grows, such as ``rows``.
        points: at least two, in order of size.
        most: the exponent that time may have at most: 1 for work that grows with the size, and a margin.
        most_memory: the exponent that memory may have at most.
    """

    kind: Literal["growth"] = "growth"
    group: str = "Growth"
    title: str
    axis: str
    points: tuple[Point, ...] = Field(min_length=2)
    most: float
    most_memory: float
    scale: str = "full"

    def _exponent(self, values: Sequence[float], last: int = 0) -> float:
        """``last``: of how many of the largest points; 0: of all."""
        sizes = [point.size for point in self.points]
        return exponent(sizes[-last:], values[-last:])

    @property
    def time(self) -> float:
        """The exponent of time over all points."""
        return self._exponent([point.seconds for point in self.points])

    @property
    def last_time(self) -> float:
        """The exponent of time over the two largest points: the fixed cost hides less there."""
        return self._exponent([point.seconds for point in self.points], 2)

    @property
    def memory(self) -> float:
        """The exponent of memory over all points."""
        return self._exponent([point.peak_mb for point in self.points])

    @property
    def last_memory(self) -> float:
        """The exponent of memory over the two largest points."""
        return self._exponent([point.peak_mb for point in self.points], 2)

    def problems(self) -> list[str]:
        """Say what grows faster than it may."""
        looked_at = {
            "time": (self.time, self.most),
            "time of the largest": (self.last_time, self.most),
            "memory": (self.memory, self.most_memory),
            "memory of the largest": (self.last_memory, self.most_memory),
        }
        return [
            f"{self.title}: {name} grows with the {self.axis} to the {value:.2f}, at most {most:g} is due"
            for name, (value, most) in looked_at.items()
            if not math.isfinite(value) or value > most
        ]


Result = Annotated[Comparison | Growth, Field(discriminator="kind")]
_RESULT: TypeAdapter[Comparison | Growth] = TypeAdapter(Result)


class Machine(_Frozen):
    """Where it was measured, with what."""

    processor: str
    cores: int
    memory_gb: float
    system: str
    python: str
    versions: dict[str, str]


class Report(_Frozen):
    """All results of one run of the benchmarks.

    Arguments:
        command: by which it was made.
        scale: ``full``, or a smaller one, whose figures say little.
        taken: the day, as ISO date.
        commit: of the project, with ``+`` where files had been changed.
        complete: whether no benchmark failed, be it for what it measured or otherwise.
    """

    command: str
    scale: str
    taken: str
    commit: str
    machine: Machine
    complete: bool = True
    results: tuple[Result, ...]

    @property
    def comparisons(self) -> list[Comparison]:
        """The results that compare."""
        return [result for result in self.results if isinstance(result, Comparison)]

    @property
    def growths(self) -> list[Growth]:
        """The results that tell growth."""
        return [result for result in self.results if isinstance(result, Growth)]


def results_of(document: Mapping[str, Any]) -> tuple[Comparison | Growth, ...]:
    """Return the results in a JSON of pytest-benchmark. A benchmark that failed early has none.

    Raises:
        ValueError: two have one title.
    """
    found: dict[str, Comparison | Growth] = {}
    for benchmark in document["benchmarks"]:
        if KEY not in benchmark["extra_info"]:
            continue
        result = _RESULT.validate_python(benchmark["extra_info"][KEY])
        if result.title in found:
            raise ValueError(f"Two benchmarks are called {result.title!r}")
        found[result.title] = result
    return tuple(found.values())
