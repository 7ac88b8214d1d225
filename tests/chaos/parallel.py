"""Processes that load into one table at once, while servers and the processes themselves die."""

from __future__ import annotations

import json
import os
import subprocess
import sys
import time
from collections import Counter
from dataclasses import dataclass, field
from random import Random
from typing import TYPE_CHECKING, Any

from chaos.faults import DISK_FULL, LOADER_KILLED, draw
from chaos.worker import BATCH, SHARED_IDS, Worker

if TYPE_CHECKING:
    from collections.abc import Callable, Mapping
    from pathlib import Path

    from chaos.faults import Fault
    from chaos.world import World

TABLE = "shared"
_END_SECONDS = 180
_CATEGORIES = {"transient", "permanent"}


@dataclass
class ParallelTally:
    """What happened.

    Arguments:
        loads: that ended, well or not.
        failed: of these.
        looks: how often the table was read and compared while processes were at work.
    """

    processes: int
    loads: int = 0
    failed: int = 0
    rows: int = 0
    injected: Counter[str] = field(default_factory=Counter)
    looks: int = 0
    lost: int = 0
    doubled: int = 0
    seconds: float = 0.0
    wrong: list[str] = field(default_factory=list)


class Parallel:
    """Processes on one table; half of them append, half upsert, some ids belong to all that upsert.

    Arguments:
        world, lake: where the table is.
        folder: for the processes' folders.
        seed: of the faults.
        processes: how many.
        say: takes lines of the log.
    """

    def __init__(
        self, world: World, lake: str, folder: Path, seed: int, processes: int, say: Callable[[str], None]
    ) -> None:
        self._world, self._lake = world, lake
        self._random = Random(seed)  # noqa: S311 (chaos has to be repeatable)
        self._say = say
        self._workers = [Worker(number, folder / f"worker_{number}") for number in range(processes)]
        self._running: dict[int, subprocess.Popen[bytes]] = {}
        self.tally = ParallelTally(processes)

    def run(self, seconds: float) -> ParallelTally:
        """Run for a time; then wait until each process has landed what it began, and compare."""
        started = time.monotonic()
        for worker in self._workers:
            worker.prepare(self._world.properties(self._lake))
            self._start(worker)
        try:
            self._disturb(started + seconds)
            self._world.heal()
            self._finish()
        finally:
            for process in self._running.values():
                process.kill()
                process.wait()
        self._count_loads()
        self._compare(self._read())
        self.tally.seconds = time.monotonic() - started
        return self.tally

    def _start(self, worker: Worker) -> None:
        command = [sys.executable, "-m", "chaos.worker", str(worker.folder), str(worker.number)]
        # It finds what this process finds: under pytest that is more than the environment says.
        environment = {**os.environ, "PYTHONPATH": os.pathsep.join(sys.path)}
        with (worker.folder / "log").open("ab") as log:
            self._running[worker.number] = subprocess.Popen(command, stdout=log, stderr=log, env=environment)

    def _disturb(self, end: float) -> None:
        servers = ("minio", "rest" if self._lake == "rest" else "postgres")
        while time.monotonic() < end:
            fault = draw(self._random, servers)
            self._say(f"{TABLE}: {fault}")
            self.tally.injected[fault.kind] += 1
            self._meet(fault)
            time.sleep(self._random.uniform(1.0, 6.0))
            self._look()
            self._see_that_all_run()

    def _meet(self, fault: Fault) -> None:
        if fault.kind == LOADER_KILLED:
            worker = self._random.choice(self._workers)
            self._running[worker.number].kill()
            self._running[worker.number].wait()
            self._start(worker)
            return
        fault.begin(self._world)
        try:
            time.sleep(fault.seconds or 3.0)
        finally:
            fault.end(self._world)

    def _see_that_all_run(self) -> None:
        for worker in self._workers:
            process = self._running[worker.number]
            if process.poll() is not None:
                log = (worker.folder / "log").read_text(encoding="utf-8", errors="replace")
                self._wrong(f"process {worker.number} ended with {process.returncode}: {log[-3000:]}")
                self._start(worker)

    def _finish(self) -> None:
        end = time.monotonic() + _END_SECONDS
        for worker in self._workers:
            (worker.folder / "stop").touch()
        for worker in self._workers:
            try:
                code = self._running[worker.number].wait(max(1.0, end - time.monotonic()))
            except subprocess.TimeoutExpired:
                self._wrong(f"process {worker.number} has not landed what it began: {_newest(worker)}")
                continue
            if code != 0:
                self._wrong(f"process {worker.number} ended with {code}")

    def _read(self) -> Counter[tuple[int, int]]:
        read = self._world.read(self._lake, TABLE, "SELECT id, ver FROM t")
        if read is None:
            return Counter()
        return Counter(zip(read["id"].to_pylist(), read["ver"].to_pylist(), strict=True))

    def _look(self) -> None:
        """Compare while processes are at work: no id is there twice, and an append is there whole or not."""
        done = {worker.number: worker.done for worker in self._workers}
        found = self._read()
        self.tally.looks += 1
        ids = Counter(key for key, _ in found.elements())
        if twice := [key for key, count in ids.items() if count > 1]:
            self.tally.doubled += len(twice)
            self._wrong(f"ids that are there twice: {sorted(twice)[:20]}")
        for worker in self._workers:
            if not worker.appends:
                continue
            for number in range(1, worker.begun + 1):
                there = sum(found[row] for row in worker.batch(number).items())
                if there not in (0, BATCH) or (number <= done[worker.number] and there == 0):
                    self.tally.lost += BATCH - there
                    self._wrong(f"process {worker.number}, batch {number}: {there} rows of {BATCH}")

    def _compare(self, found: Counter[tuple[int, int]]) -> None:
        """Compare at the end: each id has its newest version, once."""
        expected: dict[int, int] = {}
        shared: set[int] = set()
        for worker in self._workers:
            for number in range(1, worker.done + 1):
                expected |= worker.batch(number)
                shared.add(number * 100 + worker.number)
        # Which of several processes wrote an id of all of them last, nobody but the table knows.
        known = Counter(
            {(key, version): count for (key, version), count in found.items() if key >= SHARED_IDS}
        )
        own = Counter({(key, version): 1 for key, version in expected.items() if key >= SHARED_IDS})
        of_all = Counter(
            {(key, version): count for (key, version), count in found.items() if key < SHARED_IDS}
        )
        wanted = {key for key in expected if key < SHARED_IDS}
        unknown = [row for row in of_all if row[1] not in shared]
        lost = (own - known).total() + len(wanted - {key for key, _ in of_all})
        doubled = (known - own).total() + of_all.total() - len(wanted)
        self.tally.rows = found.total()
        self.tally.lost += lost
        self.tally.doubled += doubled
        if lost or doubled or unknown:
            self._wrong(f"at the end: {lost} rows lost, {doubled} too many, of no load: {unknown[:10]}")

    def _count_loads(self) -> None:
        for worker in self._workers:
            for load in _loads(worker):
                self.tally.loads += 1
                self.tally.failed += bool(load["errors"])
                for error in load["errors"]:
                    if error["category"] not in _CATEGORIES or (
                        error["category"] == "permanent" and not self.tally.injected[DISK_FULL]
                    ):
                        self._wrong(f"process {worker.number}: {error}")

    def _wrong(self, what: str) -> None:
        self._say(f"WRONG: {what}")
        self.tally.wrong.append(what)


def _loads(worker: Worker) -> list[Mapping[str, Any]]:
    file = worker.folder / "loads.jsonl"
    return (
        [json.loads(line) for line in file.read_text(encoding="utf-8").splitlines()] if file.exists() else []
    )


def _newest(worker: Worker) -> object:
    return (_loads(worker) or ["nothing"])[-1]
