"""When sources are loaded: by the clock, and when files come."""

from __future__ import annotations

import hashlib
from typing import TYPE_CHECKING

from dagster import (
    AssetSelection,
    RunRequest,
    ScheduleDefinition,
    SensorDefinition,
    SkipReason,
    TimeWindowPartitionsDefinition,
    partition_loading_context,
)

from floe_ingest.config import resolve_source
from floe_ingest.engine.runner import secrets_written
from floe_ingest.integrations.dagster.parts import safe
from floe_ingest.redaction import keeping_secret, redact_chain

if TYPE_CHECKING:
    from collections.abc import Iterator

    from dagster import AssetsDefinition

    from floe_ingest.config import DltIngestionConfig, SourceConfig
    from floe_ingest.plugins import Plugins


def schedule_of(source: SourceConfig, assets: AssetsDefinition) -> Iterator[ScheduleDefinition]:
    """Yield the schedule of a source, if it has one.

    A partitioned source loads its last whole partition at each tick; with ranges, each of them.
    """
    if source.schedule is None:
        return
    partitions = assets.partitions_def

    def ask(context):  # type: ignore[no-untyped-def]  # Dagster resolves annotations at run time
        now = context.scheduled_execution_time
        if partitions is None:
            yield RunRequest()
            return
        keys = partitions.get_partition_keys()
        if isinstance(partitions, TimeWindowPartitionsDefinition):
            with partition_loading_context(effective_dt=now):
                last = partitions.get_last_partition_key()
            keys = [last] if last else []
        if not keys:
            yield SkipReason("No partition has ended yet.")
        for key in keys:
            yield RunRequest(run_key=f"{now.isoformat()}-{key}", partition_key=key)

    yield ScheduleDefinition(
        name=f"schedule_{safe(source.name)}",
        cron_schedule=source.schedule,
        target=AssetSelection.assets(*assets.keys),
        execution_fn=ask,
        execution_timezone="UTC",
        description=f"Loads {source.name}.",
    )


def sensor_of(
    config: DltIngestionConfig, source: SourceConfig, assets: AssetsDefinition, plugins: Plugins
) -> Iterator[SensorDefinition]:
    """Yield a sensor on the files of a filesystem source without partitions."""
    if source.source_type != "filesystem" or source.partitions is not None:
        return

    def look(context):  # type: ignore[no-untyped-def]  # Dagster resolves annotations at run time
        seen = _fingerprint(config, source, plugins)
        if seen is None:
            return SkipReason("There is no file.")
        if seen == context.cursor:
            return SkipReason("No file is new.")
        context.update_cursor(seen)
        return RunRequest(run_key=f"{source.name}-{seen}")

    yield SensorDefinition(
        name=f"new_files_{safe(source.name)}",
        evaluation_fn=look,
        target=AssetSelection.assets(*assets.keys),
        minimum_interval_seconds=60,
        description=f"Loads {source.name} when a file is new or has changed.",
    )


def _fingerprint(config: DltIngestionConfig, source: SourceConfig, plugins: Plugins) -> str | None:
    """Return what changes when a file comes, goes or changes; None without any file."""
    from floe_ingest_sources.filesystem.files import listings_of

    with keeping_secret(secrets_written(config)):
        try:
            request = resolve_source(source, config, plugins)
            found = [file for listing in listings_of(request) for file in listing.files]
        except Exception as error:
            redact_chain(error)  # Dagster keeps it, with its causes
            raise
    if not found:
        return None
    digest = hashlib.sha256()
    for file in sorted(found, key=lambda file: file.name):
        digest.update(f"{file.name}\0{file.size}\0{file.modified_ns}\n".encode())
    return digest.hexdigest()[:32]
