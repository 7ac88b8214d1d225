"""Data of the benchmarks, and how they measure: side by side, in one process or in processes of their own."""

from __future__ import annotations

import json
import os
import statistics
import subprocess
import sys
from dataclasses import dataclass, field
from pathlib import Path
from typing import TYPE_CHECKING, Any

import pytest

_HERE = Path(__file__).parent
sys.path.insert(0, str(_HERE))  # for `workloads`, which children run as a script

from workloads import timed  # noqa: E402

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator, Sequence

_DATA = _HERE / "data"
_SCALE = "0.2"


@pytest.fixture(autouse=True)
def _own_home(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Iterator[None]:
    """Keep dlt's global folder, its telemetry and the shell's plugin filter out of the figures."""
    from floe_ingest.destination.catalogs import close_catalogs

    monkeypatch.setenv("DLT_DATA_DIR", str(tmp_path / "dlt-data"))
    monkeypatch.setenv("RUNTIME__DLTHUB_TELEMETRY", "false")
    monkeypatch.delenv("FLOE_INGEST_PLUGINS", raising=False)
    yield
    close_catalogs()


@pytest.fixture(scope="session")
def lineitem() -> Path:
    """TPC-H's largest table, 1.2 million rows of 16 columns; made once, and kept."""
    folder = _DATA / f"tpch-{_SCALE}"
    file = folder / "lineitem.parquet"
    if not file.exists():
        folder.mkdir(parents=True, exist_ok=True)
        generator = str(Path(sys.executable).with_name("tpchgen-cli"))
        command = [generator, "parquet", "-s", _SCALE, "--tables=lineitem", f"--output-dir={folder}"]
        subprocess.run(command, check=True, stdout=subprocess.DEVNULL)
    return file


@pytest.fixture(scope="session")
def lineitem_slice(lineitem: Path) -> Callable[[int], Path]:
    """Give a file with the first rows of ``lineitem``; 0 gives all of it."""

    def cut(rows: int) -> Path:
        import pyarrow.parquet as pq

        if not rows:
            return lineitem
        file = _DATA / f"tpch-{_SCALE}-{rows}" / "lineitem.parquet"
        if not file.exists():
            file.parent.mkdir(parents=True, exist_ok=True)
            unfinished = file.with_suffix(".unfinished")
            # In row groups of the same size as before: it limits how many threads can read.
            group = pq.read_metadata(lineitem).row_group(0).num_rows
            pq.write_table(pq.read_table(lineitem).slice(0, rows), unfinished, row_group_size=group)
            unfinished.replace(file)
        return file

    return cut


@dataclass
class SideBySide:
    """Seconds of several workloads, taken in turns, so that what disturbs one disturbs the others too.

    Arguments:
        seconds: by workload: of each round, by the clock.
        cpu: by workload: of each round, those that its processes were at work, on whatever core.
    """

    seconds: dict[str, list[float]] = field(default_factory=dict)
    cpu: dict[str, list[float]] = field(default_factory=dict)

    def median(self, name: str) -> float:
        """Return the median of a workload."""
        return statistics.median(self.seconds[name])

    def ratio(self, name: str, base: str) -> float:
        """Return how many times as long as ``base`` a workload takes, by their medians."""
        return self.median(name) / self.median(base)

    def ratio_of_best(self, name: str, base: str) -> float:
        """Return the ratio of the shortest rounds, which other work on the machine disturbs least."""
        return min(self.seconds[name]) / min(self.seconds[base])

    def ratio_of_cpu(self, name: str, base: str) -> float:
        """Return the ratio of the least CPU seconds, which say what is left where other cores are taken."""
        return min(self.cpu[name]) / min(self.cpu[base])


@pytest.fixture
def side_by_side(benchmark: Any) -> Callable[..., SideBySide]:
    """Measure workloads in turns. The first is the benchmark's own; the others are beside it.

    Each is done ``warm`` times before the rounds that count. Medians go into ``extra_info``.
    """

    def measure(
        rounds: int,
        warm: int,
        works: dict[str, Callable[[], object]],
        rests: Callable[[], object] | None = None,
    ) -> SideBySide:
        done: dict[str, list[float]] = {name: [] for name in works}
        cpu: dict[str, list[float]] = {name: [] for name in works}
        (first, first_work), *others = works.items()

        def take(name: str, work: Callable[[], object]) -> None:
            before = os.times()
            done[name].append(timed(work))
            cpu[name].append(sum(os.times()[:4]) - sum(before[:4]))

        def beside() -> None:
            for name, work in others:
                take(name, work)
            if rests is not None:
                rests()

        def own() -> None:
            take(first, first_work)

        for _ in range(warm):
            beside()
            own()
        for taken in (*done.values(), *cpu.values()):
            taken.clear()
        benchmark.pedantic(own, setup=beside, rounds=rounds, iterations=1, warmup_rounds=0)
        result = SideBySide(done, cpu)
        for name in done:
            benchmark.extra_info[f"{name} (median s)"] = round(result.median(name), 4)
            benchmark.extra_info[f"{name} (least CPU s)"] = round(min(cpu[name]), 3)
        return result

    return measure


@dataclass(frozen=True)
class Child:
    """What a workload took in a process of its own."""

    seconds: float
    peak_mb: float


@pytest.fixture
def child() -> Callable[..., Child]:
    """Run a workload (see ``workloads.main``) in a process of its own."""

    def run(kind: str, file: Path, lake: Path, *further: str) -> Child:
        words = [sys.executable, str(_HERE / "workloads.py"), kind, str(file), str(lake), *further]
        done = subprocess.run(words, check=True, capture_output=True, text=True)
        return Child(**json.loads(done.stdout.splitlines()[-1]))

    return run


@pytest.fixture
def process(tmp_path: Path) -> Callable[[Sequence[str]], Callable[[], None]]:
    """Give a function that runs a command of this environment to its end."""

    def of(words: Sequence[str]) -> Callable[[], None]:
        program = str(Path(sys.executable).with_name(words[0]))

        def run() -> None:
            subprocess.run(
                [program, *words[1:]],
                check=True,
                stdout=subprocess.DEVNULL,
                cwd=tmp_path,
                env=dict(os.environ),
            )

        return run

    return of
