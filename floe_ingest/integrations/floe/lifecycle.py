"""What is open between ``startup`` and ``shutdown``, and until when."""

from __future__ import annotations

import threading
from contextlib import ExitStack, contextmanager
from typing import TYPE_CHECKING

from floe_ingest.errors import NotStartedError

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator


class Lifecycle:
    """Starts and stops, any number of times, also for several orchestrator runs in one process.

    floe keeps one plugin for a process, and each orchestrator run starts and stops it. So each thread that
    has started it holds it: it stops when the last one lets go. A stop by a thread that holds nothing ends it
    for all, since floe's registry starts and stops plugins in threads that live for that call alone. Work
    under way is never cut off: what it uses is closed when it ends.
    """

    def __init__(self) -> None:
        self._lock = threading.RLock()
        self._holders: set[threading.Thread] = set()
        self._open: ExitStack | None = None
        self._ending: list[ExitStack] = []
        self._working = 0

    @property
    def started(self) -> bool:
        """Whether ``start`` was called, and no ``stop`` since."""
        return self._open is not None

    def start(self, fill: Callable[[ExitStack], None]) -> bool:
        """Start; return whether that was needed.

        Arguments:
            fill: opens what is used until the stop. If it raises, nothing has been started.
        """
        with self._lock:
            if self._open is None:
                with ExitStack() as stack:
                    fill(stack)
                    self._open = stack.pop_all()
                self._holders = {threading.current_thread()}
                return True
            self._holders.add(threading.current_thread())
            return False

    def stop(self) -> bool:
        """Stop, unless others hold the plugin; return whether it has stopped."""
        caller = threading.current_thread()
        with self._lock:
            if self._open is None:
                return False
            if caller in self._holders:
                self._holders.discard(caller)
                if any(thread.is_alive() for thread in self._holders):
                    return False
            self._ending.append(self._open)
            self._open = None
            self._holders.clear()
            self._close_if_idle()
        return True

    @contextmanager
    def working(self, what: str) -> Iterator[None]:
        """Keep open what is open, for as long as the context lasts.

        Raises:
            NotStartedError: nothing was started.
        """
        with self._lock:
            if self._open is None:
                raise NotStartedError(f"Call startup() before {what}(): the plugin is not started.")
            self._working += 1
        try:
            yield
        finally:
            with self._lock:
                self._working -= 1
                self._close_if_idle()

    def _close_if_idle(self) -> None:
        if self._working == 0:
            while self._ending:
                self._ending.pop().close()
