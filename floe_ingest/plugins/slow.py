"""Tells which plugin the others wait for."""

from __future__ import annotations

import threading
from contextlib import contextmanager
from typing import TYPE_CHECKING

import structlog

from floe_ingest.plugins.info import told

if TYPE_CHECKING:
    from collections.abc import Iterator

    from floe_ingest.plugins.info import PluginInfo

SLOW_SECONDS = 8.0
"""After how long a plugin is slow: a little before a probe is given up."""


@contextmanager
def watched(info: PluginInfo, what: str) -> Iterator[None]:
    """Log one warning if what is done meanwhile takes longer than ``SLOW_SECONDS``.

    Nothing is stopped: a thread cannot be, and a plugin that is imported or called in a thread of its own
    could wait for locks that its caller holds.

    Arguments:
        info: of the plugin that is waited for.
        what: a hook, or ``import``.
    """
    timer = threading.Timer(SLOW_SECONDS, _warn, (info, what))
    timer.daemon = True
    timer.start()
    try:
        yield
    finally:
        timer.cancel()
        timer.join()


def _warn(info: PluginInfo, what: str) -> None:
    structlog.get_logger(__name__).warning(
        "plugin_is_slow",
        **told(info),
        waiting_for=what,
        seconds=SLOW_SECONDS,
        advice="it is waited for; FLOE_INGEST_PLUGINS can name the plugins that may load, without this one",
    )
