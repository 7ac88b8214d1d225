"""Whether the plugin could load now: packages by looking, the catalog by asking, all within a time limit."""

from __future__ import annotations

import threading
import time
from dataclasses import dataclass
from datetime import UTC, datetime
from importlib.metadata import version
from typing import TYPE_CHECKING, Any

from floe_core.plugin_metadata import HealthState, HealthStatus

from floe_ingest.engine.bounded import BackgroundCall, OutOfTimeError
from floe_ingest.redaction import redact

if TYPE_CHECKING:
    from collections.abc import Collection

    from floe_ingest.plugins import Plugins
    from floe_ingest_hookspecs import CatalogRequest

MIN_SECONDS, MAX_SECONDS, DEFAULT_SECONDS = 0.1, 10.0, 5.0


def checked_timeout(timeout: float | None) -> float:
    """Return the seconds that a check may take.

    Raises:
        ValueError: it is not between 0.1 and 10 seconds.
    """
    seconds = DEFAULT_SECONDS if timeout is None else timeout
    if not MIN_SECONDS <= seconds <= MAX_SECONDS:
        raise ValueError(f"timeout must be between {MIN_SECONDS} and {MAX_SECONDS} seconds, got {timeout}")
    return seconds


@dataclass(frozen=True, slots=True)
class _Part:
    state: HealthState
    told: str


class HealthCheck:
    """Asks the catalog in a thread, one at a time: a catalog that hangs costs one thread, not one a check."""

    def __init__(self) -> None:
        self._lock = threading.Lock()
        self._calls: dict[tuple[Any, ...], BackgroundCall[str]] = {}

    def run(
        self, catalog: CatalogRequest, plugins: Plugins, used_types: Collection[str], seconds: float
    ) -> HealthStatus:
        """Return what was found.

        Arguments:
            catalog: the catalog that loads go to.
            plugins: know the source types.
            used_types: source types that are configured; what they lack makes the plugin degraded.
            seconds: how long this may take.
        """
        started, checked_at = time.monotonic(), datetime.now(UTC)
        parts: dict[str, _Part] = {"dlt": _Part(HealthState.HEALTHY, version("dlt"))}
        for name in plugins.source_types():
            missing = plugins.missing_requirements(name)
            told = "; ".join(f"needs {part.import_name}: {part.install}" for part in missing)
            degraded = bool(missing) and name in used_types
            state = HealthState.DEGRADED if degraded else HealthState.HEALTHY
            parts[f"source_type.{name}"] = _Part(state, told or "ready")
        parts["catalog"] = self._ask(catalog, plugins, seconds - (time.monotonic() - started))
        details: dict[str, Any] = {name: part.told for name, part in parts.items()}
        details["checked_at"] = checked_at
        details["timeout"] = seconds
        details["response_time_ms"] = (time.monotonic() - started) * 1000
        return HealthStatus(*_overall(parts), details)

    def _ask(self, catalog: CatalogRequest, plugins: Plugins, seconds: float) -> _Part:
        from floe_ingest.engine.check import reach_catalog

        key = (catalog.name, catalog.type, tuple(sorted(catalog.properties.items())))
        with self._lock:
            call = self._calls.get(key)
            if call is None or call.ended:
                call = BackgroundCall(lambda: reach_catalog(catalog, plugins))
                self._calls[key] = call
        try:
            return _Part(HealthState.HEALTHY, call.wait(max(0.0, seconds)))
        except OutOfTimeError:
            return _Part(HealthState.UNHEALTHY, f"{catalog.name!r} has not answered in time")
        except Exception as error:  # noqa: BLE001 (whatever keeps the catalog from answering is its health)
            return _Part(HealthState.UNHEALTHY, redact(f"{type(error).__name__}: {error}"))


def _overall(parts: dict[str, _Part]) -> tuple[HealthState, str]:
    for state in (HealthState.UNHEALTHY, HealthState.DEGRADED):
        found = [f"{name}: {part.told}" for name, part in parts.items() if part.state is state]
        if found:
            return state, "; ".join(found)
    return HealthState.HEALTHY, "ready to load"


def not_started() -> HealthStatus:
    """Return the health of a plugin before ``startup``."""
    return HealthStatus(
        HealthState.UNHEALTHY,
        "not started: call startup() first",
        {"reason": "not_started", "checked_at": datetime.now(UTC), "response_time_ms": 0.0},
    )
