"""Runs the sources of a run side by side, in threads, and ends them all when the run is interrupted."""

from __future__ import annotations

import contextvars
import os
import queue
import signal
import threading
from contextlib import contextmanager
from typing import TYPE_CHECKING, TypeVar

from floe_ingest.dataplane.connection import interrupt_queries

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator, Sequence

T = TypeVar("T")

GRACE_SECONDS = 5.0
"""How long an interrupted run waits for its sources to end in order."""


def cores() -> int:
    """Return how many cores this process may use."""
    return len(os.sched_getaffinity(0)) if hasattr(os, "sched_getaffinity") else os.cpu_count() or 1


class Stop:
    """Tells the sources of a run that it is to end."""

    def __init__(self) -> None:
        self._requested = threading.Event()

    @property
    def requested(self) -> bool:
        """Whether the run is to end."""
        return self._requested.is_set()

    def request(self) -> None:
        """Ask every source to end: at its next item, step or pause, and in the middle of a query."""
        self._requested.set()
        interrupt_queries()

    def sleep(self, seconds: float) -> None:
        """Wait, unless the run is to end.

        Raises:
            KeyboardInterrupt: the run is to end.
        """
        self._requested.wait(seconds)
        self.check()

    def check(self) -> None:
        """Go on, unless the run is to end.

        Raises:
            KeyboardInterrupt: the run is to end.
        """
        if self.requested:
            raise KeyboardInterrupt


def side_by_side(works: Sequence[Callable[[], T]], jobs: int, stop: Stop) -> list[T]:
    """Do all works, ``jobs`` at once, and return what they return, in their order.

    Arguments:
        works: each runs in a thread; an exception of one ends all.
        jobs: how many at once, at least one.
        stop: asked of the works when the caller is interrupted, or one of them fails.

    Raises:
        BaseException: what interrupted the caller, or what a work raised first. Works that have not ended
            within ``GRACE_SECONDS`` are left behind, in threads that do not hold up the end of the process.
    """
    waiting: queue.SimpleQueue[int] = queue.SimpleQueue()
    ended: queue.SimpleQueue[BaseException | None] = queue.SimpleQueue()
    results: dict[int, T] = {}
    for number in range(len(works)):
        waiting.put(number)

    def work() -> None:
        try:
            while not stop.requested:
                number = waiting.get_nowait()
                results[number] = works[number]()
        except queue.Empty:
            ended.put(None)
        except BaseException as error:  # noqa: BLE001 (raised again in the caller's thread)
            ended.put(error)
        else:
            ended.put(None)

    threads = [
        threading.Thread(
            target=contextvars.copy_context().run, args=(work,), name=f"floe-ingest-{number}", daemon=True
        )
        for number in range(max(1, min(jobs, len(works))))
    ]
    try:
        for thread in threads:
            thread.start()
        for _ in threads:
            if (error := ended.get()) is not None:
                raise error
    except BaseException:
        _end(threads, stop)
        raise
    return [results[number] for number in range(len(works))]


def _end(threads: Sequence[threading.Thread], stop: Stop) -> None:
    """Ask the threads to end, and wait for them, but not for long."""
    with _dlt_ends():
        for _ in range(int(GRACE_SECONDS * 10)):
            stop.request()  # each time: a query may have begun since
            alive = [thread for thread in threads if thread.is_alive()]
            if not alive:
                return
            alive[0].join(0.1)


@contextmanager
def _dlt_ends() -> Iterator[None]:
    """Make dlt's own loops and pauses end, as they do where they see a signal: that is the main thread."""
    from dlt.common.runtime import signals

    signals.set_received_signal(signal.SIGINT)
    signals.wake_all()
    try:
        yield
    finally:
        signals.set_received_signal(0)
