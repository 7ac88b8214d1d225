"""Calls that must end: a probe that hangs is given up, whatever it hangs in."""

from __future__ import annotations

import contextvars
import threading
from typing import TYPE_CHECKING, TypeVar

if TYPE_CHECKING:
    from collections.abc import Callable

T = TypeVar("T")

PROBE_SECONDS = 10.0
"""How long a probe of a source or of the catalog may take."""


class OutOfTimeError(Exception):
    """A call did not end in time. It may still be running, in a thread that ends with the process."""


def within(seconds: float, call: Callable[[], T]) -> T:
    """Return what ``call`` returns, or raise what it raises, within ``seconds``.

    A thread cannot be stopped: a call that hangs in a driver goes on in the background, and holds up neither
    the caller nor the end of the process.

    Raises:
        OutOfTimeError: the call has not ended.
    """
    returned: list[T] = []
    raised: list[BaseException] = []

    def run() -> None:
        try:
            returned.append(call())
        except BaseException as error:  # noqa: BLE001 (raised again in the caller's thread)
            raised.append(error)

    context = contextvars.copy_context()
    thread = threading.Thread(target=context.run, args=(run,), name="floe-ingest-probe", daemon=True)
    thread.start()
    thread.join(seconds)
    if raised:
        raise raised[0]
    if not returned:
        raise OutOfTimeError
    return returned[0]
