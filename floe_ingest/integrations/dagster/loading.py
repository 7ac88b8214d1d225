"""One step: the selected tables of a source are loaded, and told of."""

from __future__ import annotations

import time
from contextlib import contextmanager
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

from dagster import AssetObservation, MaterializeResult

from floe_ingest.config import resolve_catalog
from floe_ingest.config.secrets import secret_leaves
from floe_ingest.destination.catalogs import catalogs_in_use
from floe_ingest.engine import run
from floe_ingest.engine.progress import Silent
from floe_ingest.engine.resources import Destination
from floe_ingest.engine.runner import secrets_written
from floe_ingest.errors import IngestionError
from floe_ingest.integrations.dagster.checks import checked
from floe_ingest.integrations.dagster.faults import failure_of, refusal_of
from floe_ingest.integrations.dagster.metadata import metadata_of
from floe_ingest.integrations.dagster.partitions import range_of, run_id_of
from floe_ingest.redaction import keeping_secret, redact_chain

if TYPE_CHECKING:
    from collections.abc import Iterator, Mapping

    from dagster import AssetExecutionContext, AssetKey

    from floe_ingest.config import DltIngestionConfig, SourceConfig
    from floe_ingest.destination.target import Target
    from floe_ingest.engine.progress import Phase
    from floe_ingest.integrations.dagster.parts import Part
    from floe_ingest.plugins import Plugins
    from floe_ingest_hookspecs import SourceResult, TableResult


class PhaseTimes(Silent):
    """Measures how long each phase of a load lasts, in seconds, over all its tries."""

    def __init__(self) -> None:
        self.seconds: dict[str, float] = {}
        self._current: tuple[str, float] | None = None

    def phase(self, source: str, phase: Phase) -> None:  # noqa: ARG002
        """See ``Progress``."""
        self._end()
        self._current = (phase, time.monotonic())

    def source_finished(self, result: SourceResult) -> None:  # noqa: ARG002
        """See ``Progress``."""
        self._end()

    def _end(self) -> None:
        if self._current is not None:
            name, began = self._current
            self.seconds[name] = self.seconds.get(name, 0.0) + time.monotonic() - began
        self._current = None


@dataclass(frozen=True)
class Step:
    """What a step needs.

    Arguments:
        config: the whole configuration.
        source: the source that it loads.
        parts: by the keys of their assets.
        plugins: that load it.
        observe_unchanged: see ``definitions``.
    """

    config: DltIngestionConfig
    source: SourceConfig
    parts: Mapping[AssetKey, Part]
    plugins: Plugins
    observe_unchanged: bool

    def load(self, context: AssetExecutionContext) -> Iterator[Any]:
        """Load the selected tables, then check them; yield what became of each.

        Raises:
            Failure: the load failed. What was committed before is told first.
        """
        chosen = {key: part for key, part in self.parts.items() if key in context.selected_asset_keys}
        with self._target() as target:
            if chosen:
                times = PhaseTimes()
                result = self._run(context, chosen, times)
                for key, part in chosen.items():
                    tables = [table for table in result.tables if part.owns(table.table) and table.committed]
                    if tables:
                        yield self._told(key, tables, target, times)
                if not result.success:
                    raise failure_of(result.errors, self.source.name)
            for check in context.selected_asset_check_keys:
                yield checked(check.name, check.asset_key, self.parts[check.asset_key], target)

    def _run(
        self, context: AssetExecutionContext, chosen: Mapping[AssetKey, Part], times: PhaseTimes
    ) -> SourceResult:
        names = [part.resource for part in chosen.values() if part.resource is not None]
        try:
            outcome = run(
                self.config,
                sources=[self.source.name],
                resources={self.source.name: names},
                run_id=run_id_of(context),
                cursor_range=range_of(context, self.source),
                plugins=self.plugins,
                progress=times,
            )
        except IngestionError as error:
            redact_chain(error)
            raise refusal_of(error, self.source.name) from error
        [result] = outcome.sources
        return result

    def _told(
        self,
        key: AssetKey,
        tables: list[TableResult],
        target: Target,
        times: PhaseTimes,
    ) -> Any:
        metadata = metadata_of(tables, target, times.seconds)
        unchanged = all(table.snapshot_id is None for table in tables)
        if unchanged and self.observe_unchanged and self.source.partitions is None:
            return AssetObservation(key, metadata=metadata, description="Nothing was new.")
        return MaterializeResult(asset_key=key, metadata=metadata)

    @contextmanager
    def _target(self) -> Iterator[Target]:
        """Give the namespace that the source loads into, with its catalog open meanwhile.

        Raises:
            Failure: the configuration of the catalog cannot work.
        """
        # It imports pyiceberg, which definitions do without.
        from floe_ingest.destination.target import Target

        with keeping_secret(secrets_written(self.config)), catalogs_in_use():
            try:
                catalog = resolve_catalog(self.config)
                properties = self.plugins.destination_config(catalog)
            except IngestionError as error:
                redact_chain(error)
                raise refusal_of(error, self.source.name) from error
            with keeping_secret(secret_leaves(dict(properties))):
                namespace = Destination.parse(self.source.destination_table).namespace
                yield Target(catalog.name, properties, namespace)
