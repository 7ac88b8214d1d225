"""Loads by the command, one after the other, each of which meets a fault."""

from __future__ import annotations

import json
import signal
import subprocess
import sys
import threading
import time
from collections import Counter
from dataclasses import dataclass, field
from random import Random
from typing import TYPE_CHECKING, Any

from chaos.faults import LOADER_KILLED, Fault, draw
from chaos.feeds import KINDS, feeds

if TYPE_CHECKING:
    from collections.abc import Callable, Iterable, Iterator, Sequence
    from pathlib import Path

    from chaos.feeds import Feed, Row
    from chaos.world import World

LOAD_SECONDS = 240
"""More than any load takes: what reaches it hangs."""


@dataclass(frozen=True)
class Ended:
    """How a load ended.

    Arguments:
        code: the command's exit code; negative where a signal ended it, None where it hung.
        errors: as ``--json`` tells them.
        log: standard error.
    """

    code: int | None
    errors: Sequence[dict[str, str]]
    log: str
    seconds: float


@dataclass
class Tally:
    """What happened in a row of loads.

    Arguments:
        loads: that met a fault.
        injected, failed: loads by the kind of their fault: all, and those that failed.
        lost, doubled: rows, in all comparisons together.
        wrong: what must not happen, in words.
    """

    loads: int = 0
    runs: int = 0
    rows: int = 0
    injected: Counter[str] = field(default_factory=Counter)
    failed: Counter[str] = field(default_factory=Counter)
    lost: int = 0
    doubled: int = 0
    seconds: float = 0.0
    wrong: list[str] = field(default_factory=list)


class Loads:
    """Loads into one feed after the other, with a fault each; then the table is compared with its model.

    Arguments:
        world: the servers.
        folder: for configurations and working folders.
        seed: of all choices: feeds, data, faults and their moments. A fault's moment is a share of the time
            that an undisturbed load takes here, so that a seed means the same on a slower machine.
        say: takes lines of the log.
        kinds: of the feeds.
    """

    def __init__(
        self,
        world: World,
        folder: Path,
        seed: int,
        say: Callable[[str], None],
        kinds: Iterable[str] = tuple(KINDS),
    ) -> None:
        self._world = world
        self._random = Random(seed)  # noqa: S311 (chaos has to be repeatable)
        self._say = say
        self.feeds = feeds(world, folder, kinds)
        self.tally = Tally()
        self._calm_seconds = 0.0

    def calm(self) -> None:
        """Load each feed without a fault, which also tells how long that takes."""
        seconds = []
        for feed in self.feeds:
            before = self._next(feed)
            ended = self._attempt(feed, before, None, "undisturbed")
            if ended.code != 0:  # what comes after it would be compared with rows that never landed
                self._wrong(f"{feed.table}, undisturbed: {_told(ended)}")
            seconds.append(ended.seconds)
        self._calm_seconds = min(seconds)

    def disturbed(self, number: int, fault: Fault | None = None, feed: Feed | None = None) -> None:
        """Load once with a fault, and again without where that fails.

        Arguments:
            number: of this load, for the log.
            fault, feed: instead of ones that are drawn.
        """
        feed = feed or self._random.choice(self.feeds)
        fault = fault or draw(self._random, feed.servers)
        before = self._next(feed)
        title = f"load {number}, {feed.table}, {fault}"
        self.tally.loads += 1
        self.tally.injected[fault.kind] += 1
        ended = self._attempt(feed, before, fault, title)
        self._say(f"{title}: {_told(ended)}, {ended.seconds:.1f} s")
        if ended.code == 0:
            return
        self.tally.failed[fault.kind] += 1
        again = self._attempt(feed, before, None, f"{title}, run again")
        if again.code != 0:
            self._wrong(f"{title}: run again, it failed: {_told(again)}")

    def compare_all(self, moment: str) -> None:
        """Compare every table once more, and count their rows."""
        nothing = Ended(0, (), "", 0.0)
        for feed in self.feeds:
            self._compare(feed, feed.rows, nothing, f"{feed.table}, {moment}")
            self.tally.rows += feed.rows.total()

    def _next(self, feed: Feed) -> Counter[Row]:
        """Give the source something new; return what the table has now."""
        before = feed.rows
        feed.grow(self._random, self._random.randint(20, 600))
        feed.write_config(self._random.choice([0, 2]))
        return before

    def _attempt(self, feed: Feed, before: Counter[Row], fault: Fault | None, title: str) -> Ended:
        ended = self._run(feed, fault)
        self.tally.runs += 1
        self.tally.seconds += ended.seconds
        if ended.code not in (0, -signal.SIGKILL):
            self._look_at_errors(ended, fault, title)
        if ended.code == -signal.SIGKILL and (fault is None or fault.kind != LOADER_KILLED):
            self._wrong(f"{title}: it was killed by somebody else")
        self._compare(feed, before, ended, title)
        return ended

    def _look_at_errors(self, ended: Ended, fault: Fault | None, title: str) -> None:
        if "Traceback" in ended.log:
            self._wrong(f"{title}: a traceback: {ended.log[-3000:]}")
        if ended.code is None:
            self._wrong(f"{title}: no end after {LOAD_SECONDS} s: {ended.log[-2000:]}")
        elif ended.code != 1 or not ended.errors:
            self._wrong(f"{title}: exit code {ended.code}, errors {ended.errors}: {ended.log[-2000:]}")
        elif fault is not None and {error["category"] for error in ended.errors} != {fault.category}:
            self._wrong(f"{title}: not {fault.category}: {ended.errors}")

    def _compare(self, feed: Feed, before: Counter[Row], ended: Ended, title: str) -> None:
        found = feed.found()
        if ended.code != 0 and found == before:
            return
        lost, doubled = (feed.rows - found).total(), (found - feed.rows).total()
        self.tally.lost += lost
        self.tally.doubled += doubled
        if lost or doubled:
            self._wrong(f"{title}: {_told(ended)}, and {lost} rows are lost, {doubled} too many")

    def _run(self, feed: Feed, fault: Fault | None) -> Ended:
        command = [sys.executable, "-m", "floe_ingest.cli", "run", "ingest.yaml", "--json"]
        started = time.monotonic()
        output = {"stdout": subprocess.PIPE, "stderr": subprocess.PIPE}
        with subprocess.Popen(command, cwd=feed.folder, text=True, **output) as process:
            over = threading.Event()
            chaos = threading.Thread(target=self._disturb, args=(fault, process, over))
            chaos.start()
            try:
                document, log = process.communicate(timeout=LOAD_SECONDS)
                code: int | None = process.returncode
            except subprocess.TimeoutExpired:
                process.kill()
                document, log = process.communicate()
                code = None
            finally:
                over.set()
                chaos.join()
        return Ended(code, tuple(_errors(document)), log, time.monotonic() - started)

    def _disturb(self, fault: Fault | None, process: subprocess.Popen[str], over: threading.Event) -> None:
        if fault is None:
            return
        over.wait(fault.at * self._calm_seconds)
        if fault.kind == LOADER_KILLED:
            process.kill()
            return
        fault.begin(self._world)
        try:
            over.wait(LOAD_SECONDS if fault.seconds is None else fault.seconds)
        finally:
            fault.end(self._world)

    def _wrong(self, what: str) -> None:
        self._say(f"WRONG: {what}")
        self.tally.wrong.append(what)


def _errors(document: str) -> Iterator[dict[str, str]]:
    if not document.strip():
        return
    told: dict[str, Any] = json.loads(document)
    yield from told.get("errors", ())
    for source in told.get("sources", ()):
        yield from source["errors"]


def _told(ended: Ended) -> str:
    if ended.code == 0:
        return "landed"
    if not ended.errors:
        return f"ended by {ended.code}"
    return "; ".join(
        f"{error['category']} {error['type']}: {error['message'][:300]}" for error in ended.errors
    )
