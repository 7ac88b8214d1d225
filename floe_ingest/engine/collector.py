"""dlt's progress events, passed on to ``Progress``, and each of its steps as a span."""

from __future__ import annotations

from collections import Counter
from contextlib import ExitStack
from typing import TYPE_CHECKING

from dlt.common.runtime.collector_base import Collector

from floe_ingest.telemetry import span

if TYPE_CHECKING:
    from types import TracebackType

    from floe_ingest.engine.progress import Phase, Progress
    from floe_ingest.engine.side_by_side import Stop

_PHASES: dict[str, Phase] = {"extract": "extract", "normalize": "normalize", "load": "load"}
_NOT_TABLES = frozenset({"Resources", "Files", "Items", "Jobs", "Failed"})


class ProgressCollector(Collector):
    """Tells the phases of a source, and the rows of each table as they are extracted.

    Being called between items and jobs, it is also where a source ends whose run is interrupted.
    """

    def __init__(self, progress: Progress, source: str, stop: Stop) -> None:
        self._progress = progress
        self._source = source
        self._stop_of_run = stop
        self._phase: Phase | None = None
        self._rows: Counter[str] = Counter()
        self._spans = ExitStack()

    def rows_of(self, table: str) -> int:
        """Return how many rows of a table were extracted."""
        return self._rows[table]

    def update(
        self,
        name: str,
        inc: int = 1,
        total: int | None = None,  # noqa: ARG002
        inc_total: int | None = None,  # noqa: ARG002
        message: str | None = None,  # noqa: ARG002
        label: str | None = None,  # noqa: ARG002
    ) -> None:
        """Receive a count. While extracting, names that are not dlt's own counters are tables."""
        self._stop_of_run.check()
        if self._phase == "extract" and name not in _NOT_TABLES and not name.startswith("_dlt_") and inc:
            self._rows[name] += inc
            self._progress.rows(self._source, name, inc)

    def _start(self, step: str) -> None:
        self._phase = _PHASES.get(step.split(" ", 1)[0].lower())
        if self._phase is not None:
            self._spans.enter_context(span(self._phase, {"ingestion.source_name": self._source}))
            self._progress.phase(self._source, self._phase)

    def _stop(self) -> None:
        self._phase = None

    def __exit__(
        self,
        exc_type: type[BaseException] | None,
        exc_val: BaseException | None,
        exc_tb: TracebackType | None,
    ) -> None:
        """End a step; its span fails with the step."""
        self._stop()
        spans, self._spans = self._spans, ExitStack()
        spans.__exit__(exc_type, exc_val, exc_tb)
