"""Calls that must end: a probe that hangs is given up, whatever it hangs in."""

from __future__ import annotations

import contextvars
import threading
from typing import TYPE_CHECKING, Generic, TypeVar

if TYPE_CHECKING:
    from collections.abc import Callable

T = TypeVar("T")

PROBE_SECONDS = 10.0
"""How long a probe of a source or of the catalog may take."""


class OutOfTimeError(Exception):
    """A call did not end in time. It may still be running, in a thread that ends with the process."""


class BackgroundCall(Generic[T]):
    """A call under way in a thread that holds up neither its caller nor the end of the process.

    A thread cannot be stopped: a call that hangs in a driver goes on in the background.
    """

    def __init__(self, call: Callable[[], T]) -> None:
        self._call = call
        self._returned: list[T] = []
        self._raised: list[BaseException] = []
        context = contextvars.copy_context()
        self._thread = threading.Thread(
            target=context.run, args=(self._run,), name="floe-ingest-probe", daemon=True
        )
        self._thread.start()

    @property
    def ended(self) -> bool:
        """Whether the call has ended, well or not."""
        return not self._thread.is_alive()

    def wait(self, seconds: float) -> T:
        """Return what the call returns, or raise what it raises.

        Raises:
            OutOfTimeError: it has not ended within ``seconds``.
        """
        self._thread.join(seconds)
        if self._raised:
            raise self._raised[0]
        if not self._returned:
            raise OutOfTimeError
        return self._returned[0]

    def _run(self) -> None:
        try:
            self._returned.append(self._call())
        except BaseException as error:  # noqa: BLE001 (raised again in the caller's thread)
            self._raised.append(error)


def within(seconds: float, call: Callable[[], T]) -> T:
    """Return what ``call`` returns, or raise what it raises, within ``seconds``.

    Raises:
        OutOfTimeError: the call has not ended.
    """
    return BackgroundCall(call).wait(seconds)
