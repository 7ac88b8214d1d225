"""Exceptions that real libraries raise, and what the engine makes of them."""

from __future__ import annotations

from datetime import UTC, datetime
from typing import TYPE_CHECKING, Any

from floe_ingest import ErrorCategory, RunContext
from floe_ingest.engine.categories import categorize
from floe_ingest.plugins import load_plugins

if TYPE_CHECKING:
    from collections.abc import Callable

CONTEXT = RunContext("run", datetime.now(UTC), ("source",))


def category(error: BaseException) -> ErrorCategory:
    """Return the category of a failure, without any plugin."""
    return categorize(error, load_plugins(entry_points=False), CONTEXT)


def raised_by(call: Callable[[], Any]) -> BaseException:
    """Return the exception that a call raises, inside dlt's and our wrappers' kind of chain."""
    try:
        call()
    except Exception as error:  # noqa: BLE001 (whatever it is, it is looked at)
        outer = RuntimeError("the load failed")
        outer.__cause__ = error
        return outer
    raise AssertionError("nothing was raised")
