"""What a run tells while it goes on. The engine speaks; the CLI (or nobody) listens."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from typing import TYPE_CHECKING, Literal, Protocol

if TYPE_CHECKING:
    from floe_ingest_hookspecs import SourceResult

Sizes = Callable[[], Mapping[str, int]]
Phase = Literal["extract", "normalize", "load", "retry"]


class Progress(Protocol):
    """Receives the events of a run. Sources load side by side: each calls from a thread of its own."""

    def run_started(self, run_id: str, sources: tuple[str, ...]) -> None:
        """A run begins over these sources, in this order."""

    def source_started(self, source: str, source_type: str) -> None:
        """A source begins."""

    def measured(self, source: str, sizes: Sizes) -> None:
        """From now on, ``sizes`` tells the bytes that a source has written, by resource; "" for the rest."""

    def phase(self, source: str, phase: Phase) -> None:
        """A source enters a phase."""

    def rows(self, source: str, resource: str, count: int) -> None:
        """``count`` further rows of a resource were extracted."""

    def source_finished(self, result: SourceResult) -> None:
        """A source ended, well or not."""


class Silent:
    """Listens to nothing: the default of the Python API."""

    def run_started(self, run_id: str, sources: tuple[str, ...]) -> None:
        """See ``Progress``."""

    def source_started(self, source: str, source_type: str) -> None:
        """See ``Progress``."""

    def measured(self, source: str, sizes: Sizes) -> None:
        """See ``Progress``."""

    def phase(self, source: str, phase: Phase) -> None:
        """See ``Progress``."""

    def rows(self, source: str, resource: str, count: int) -> None:
        """See ``Progress``."""

    def source_finished(self, result: SourceResult) -> None:
        """See ``Progress``."""
