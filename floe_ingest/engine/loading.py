"""Loads one source: a dlt pipeline on the Iceberg destination, tried again where that can help."""

from __future__ import annotations

import logging
import re
import shutil
import threading
import time
from dataclasses import asdict, dataclass, field, replace
from functools import cache
from typing import TYPE_CHECKING, Any

from tenacity import Retrying, retry_if_exception, stop_after_attempt, wait_exponential, wait_random

from floe_ingest.dataplane.connection import DataPlaneSettings
from floe_ingest.engine.bulk import BulkLanding
from floe_ingest.engine.categories import categorize, chain, describe, retry_after
from floe_ingest.engine.contracts import Contract, contract_text, violation
from floe_ingest.engine.cursors import CursorReading, CursorTarget
from floe_ingest.engine.resources import (
    Destination,
    aim,
    as_source,
    check_tables,
    key_columns,
    leaves_out_seen,
    loaded_resources,
    merges,
    selected,
)
from floe_ingest.engine.row_versions import made_version
from floe_ingest.errors import PluginError, SchemaError
from floe_ingest.redaction import guard_logger, redacted_traceback
from floe_ingest.telemetry import Events, metrics, span
from floe_ingest_hookspecs import ErrorCategory, SourceResult, TableResult

if TYPE_CHECKING:
    from collections.abc import Callable, Iterable, Mapping

    from dlt import Pipeline
    from dlt.extract import DltResource, DltSource

    from floe_ingest.config import RetryConfig, SourceConfig
    from floe_ingest.destination.target import Target
    from floe_ingest.engine.collector import ProgressCollector
    from floe_ingest.engine.progress import Progress
    from floe_ingest.engine.side_by_side import Stop
    from floe_ingest.engine.workdir import RunFolder
    from floe_ingest.plugins import Plugins
    from floe_ingest_hookspecs import Cursor, LoadError, RunContext, SourceRequest

# Tracebacks go by the standard library, which is silent where nobody set it up.
trace = logging.getLogger(__name__)

_MAX_DELAY_SECONDS = 60.0
_MAX_RETRY_AFTER_SECONDS = 600.0
"""A server that wants to be left alone for longer is not waited for: the run fails, and says so."""


@dataclass(frozen=True, slots=True)
class Handed:
    """What an orchestrator brings along for a source, instead of what a plugin would build.

    Arguments:
        pipeline: the pipeline to run, on the Iceberg destination; the engine's own without one.
        build: makes the source, anew for each try; the plugin of its type does without one.
        repeatable: whether ``build`` gives the rows again when it is called again.
        resources: names of the resources to load; all where empty.
    """

    pipeline: Pipeline | None = None
    build: Callable[[], Any] | None = None
    repeatable: bool = True
    resources: tuple[str, ...] = ()

    def name_for(self, request: SourceRequest) -> str:
        """Return the name of the pipeline: by source and whole destination, so that no two share a state."""
        if self.pipeline is not None:
            return str(self.pipeline.pipeline_name)
        return pipeline_name(request.name, request.destination_table)


@dataclass(frozen=True, slots=True)
class SourceJob:
    """Everything that loading one source needs.

    Arguments:
        config: the source as the user wrote it.
        request: the source as its plugin gets it.
        context: the run, with this source in it.
        catalog_name, catalog_properties: see ``open_catalog``.
        retry: how often, and after how long, a transient failure is tried again.
        folder: the working folder of this source in this run.
        plugins, progress: whom to ask, and whom to tell.
        stop: says when the run is to end.
        memory_limit: of each DuckDB connection, as "256MB".
        handed: what an orchestrator brings along.
    """

    config: SourceConfig
    request: SourceRequest
    context: RunContext
    catalog_name: str
    catalog_properties: Mapping[str, str]
    retry: RetryConfig
    folder: RunFolder
    plugins: Plugins
    progress: Progress
    stop: Stop
    memory_limit: str
    handed: Handed = field(default_factory=Handed)

    @property
    def destination(self) -> Destination:
        """Where this source goes."""
        return Destination.parse(self.request.destination_table)

    @property
    def pipeline_name(self) -> str:
        """The name of the dlt pipeline."""
        return self.handed.name_for(self.request)

    @property
    def events(self) -> Events:
        """The log of this source."""
        return Events(source=self.request.name, pipeline=self.pipeline_name, run_id=self.context.run_id)

    @property
    def target(self) -> Target:
        """The namespace that this source loads into."""
        from floe_ingest.destination.target import Target

        return Target(self.catalog_name, self.catalog_properties, self.destination.namespace)


def pipeline_name(source: str, destination_table: str) -> str:
    """Return a pipeline name for a source and its destination.

    Example:
        >>> pipeline_name("shop", "bronze.shop_{resource}")
        'shop__bronze__shop_resource'
    """
    readable = destination_table.replace(".", "__").replace("{resource}", "resource")
    return re.sub(r"[^A-Za-z0-9_]+", "_", f"{source}__{readable}").strip("_")


def load_source(job: SourceJob) -> SourceResult:
    """Load a source; failures become part of the result.

    A try that fails transiently is repeated with a fresh source; what it had committed is skipped, by
    the run id in the tables.

    Raises:
        KeyboardInterrupt: the run was interrupted.
    """
    started = time.monotonic()
    attempt = _Attempt(job)
    errors: tuple[LoadError, ...] = ()
    attributes = source_attributes(job.config, job.request, job.handed)
    with span("source", {**attributes, "ingestion.run_id": job.context.run_id}) as traced:
        job.events.info("source is loaded", source_type=job.request.source_type)
        try:
            for trial in _retrying(job):
                with trial:
                    attempt.run()
        except Exception as error:  # noqa: BLE001 (whatever fails a source becomes its result)
            _raise_if_interrupted(error, job)
            trace.debug("source %s failed\n%s", job.request.name, redacted_traceback(error))
            errors = (attempt.locate(error, _told(error, job)),)
            _tell_refusal(error, job)
        finally:
            _forget_trace(job)
        tables = attempt.tables(failed=bool(errors))
        if errors and any(table.committed for table in tables):
            errors = tuple(_partial(error, tables) for error in errors)
        seconds = time.monotonic() - started
        traced.finish(tables, errors, seconds)
        _tell_end(job, tables, errors, seconds)
        metrics().count(tables, errors, seconds, attributes)
    return SourceResult(
        name=job.request.name,
        success=not errors,
        duration_seconds=seconds,
        tables=tables,
        errors=errors,
    )


def _forget_trace(job: SourceJob) -> None:
    """Remove the trace that dlt keeps of its last run: it holds exceptions as they were raised."""
    from dlt.pipeline.trace import TRACE_FILE_NAME

    (job.folder.pipelines / job.pipeline_name / TRACE_FILE_NAME).unlink(missing_ok=True)


def source_attributes(
    config: SourceConfig, request: SourceRequest, handed: Handed
) -> dict[str, str | bool | int | float]:
    """Return what spans and metrics say of a source."""
    attributes: dict[str, str | bool | int | float] = {
        "ingestion.source_name": request.name,
        "ingestion.source_type": request.source_type,
        "ingestion.destination_table": request.destination_table,
        "ingestion.pipeline_name": handed.name_for(request),
        "ingestion.schema_contract": contract_text(config.schema_contract),
    }
    if config.write_mode is not None:
        attributes["ingestion.write_mode"] = config.write_mode
    return attributes


def _tell_refusal(error: Exception, job: SourceJob) -> None:
    """Log the change of a schema that a contract refused."""
    refused = next((cause for cause in chain(error) if isinstance(cause, SchemaError)), None)
    if refused is not None:
        contract = contract_text(job.config.schema_contract)
        job.events.error("schema change is refused", schema_contract=contract, error=str(refused))


def _tell_end(
    job: SourceJob, tables: tuple[TableResult, ...], errors: tuple[LoadError, ...], seconds: float
) -> None:
    for error in errors:
        job.events.error(
            "source failed", category=str(error.category), error_type=error.type, error=error.message
        )
    if not errors:
        job.events.info(
            "source is done",
            rows_loaded=sum(table.rows_loaded for table in tables),
            bytes_written=sum(table.bytes_written for table in tables),
            duration_seconds=round(seconds, 3),
        )


def _told(error: Exception, job: SourceJob) -> LoadError:
    return describe(error, categorize(error, job.plugins, job.context))


def _partial(error: LoadError, tables: Iterable[TableResult]) -> LoadError:
    """Say which tables hold the load and which do not."""
    done = ", ".join(table.table for table in tables if table.committed)
    missing = ", ".join(table.table for table in tables if not table.committed)
    message = f"{error.message}\nCommitted: {done}. Not committed: {missing}. A re-run completes the load."
    category = error.category if error.category is ErrorCategory.CONFIGURATION else ErrorCategory.PARTIAL
    return replace(error, category=category, message=message)


def _retrying(job: SourceJob) -> Retrying:
    def transient(error: BaseException) -> bool:
        if not isinstance(error, Exception) or _interruption(error) or job.stop.requested:
            return False
        if not job.handed.repeatable or (retry_after(error) or 0) > _MAX_RETRY_AFTER_SECONDS:
            return False
        return categorize(error, job.plugins, job.context) is ErrorCategory.TRANSIENT

    def tell(state: Any) -> None:
        error = _told(state.outcome.exception(), job)
        job.events.warning(
            "source is tried again",
            attempt=state.attempt_number,
            pause_seconds=round(state.next_action.sleep, 1),
            error=error.message,
        )
        metrics().retries.add(1, {"ingestion.source_type": job.request.source_type})
        job.progress.phase(job.request.name, "retry")

    def pause(state: Any) -> float:
        # What a server asks for goes before what we would do; the random part keeps clients apart.
        return max(backoff(state), (retry_after(state.outcome.exception()) or 0) + spread(state))

    delay = job.retry.initial_delay_seconds
    spread = wait_random(0, delay)
    backoff = wait_exponential(multiplier=delay, max=_MAX_DELAY_SECONDS) + spread
    return Retrying(
        retry=retry_if_exception(transient),
        wait=pause,
        stop=stop_after_attempt(job.retry.max_retries + 1),
        sleep=job.stop.sleep,
        before_sleep=tell,
        reraise=True,
    )


def _interruption(error: BaseException) -> KeyboardInterrupt | None:
    return next((cause for cause in chain(error) if isinstance(cause, KeyboardInterrupt)), None)


def _raise_if_interrupted(error: Exception, job: SourceJob) -> None:
    """dlt wraps an interrupt like any failure, and a query ends by an error: both must end the run."""
    if (interruption := _interruption(error)) or job.stop.requested:
        raise KeyboardInterrupt from interruption


class _Attempt:
    """The tries of one source: what they share is which tables and loads they were about."""

    def __init__(self, job: SourceJob) -> None:
        self._job = job
        self._load_ids: list[str] = []
        self._roots: list[str] = []
        self._tables: list[str] = []
        self._tries = 0
        self._collector: ProgressCollector | None = None

    def run(self) -> None:
        """Try once: finish what an earlier try left half loaded, then extract and load the rest."""
        self._tries += 1
        if self._tries == 1:
            self._try()
            return
        job = self._job
        attributes = source_attributes(job.config, job.request, job.handed)
        with span("retry", {**attributes, "ingestion.attempt": self._tries}):
            self._try()

    def _try(self) -> None:
        self._job.stop.check()
        pipeline = self._pipeline()
        if pipeline.has_pending_data:
            self._remember(pipeline, pipeline.run(None))
        source = self._source(self._known_tables(pipeline))
        if self._tries > 1 or self._job.folder.resumed:
            self._skip_done(source, pipeline.pipeline_name)
        if loaded_resources(source):
            try:
                self._remember(pipeline, pipeline.run(source))
            except SystemExit as error:
                raise self._exit(error) from error
            except Exception as error:
                refused = violation(error)
                if refused is None and not any(isinstance(cause, SchemaError) for cause in chain(error)):
                    raise
                # The package holds what was refused: it must not be loaded by a later try.
                if self._job.handed.pipeline is None:
                    shutil.rmtree(self._job.folder.pipelines, ignore_errors=True)
                elif pipeline.has_pending_data:
                    pipeline.abort_packages()
                if refused is None:
                    raise
                raise refused from error

    def _exit(self, error: SystemExit) -> BaseException:
        """Return what becomes of an exit: in the thread of a source, the code of that source asked for it.

        It would end the run of all sources, and by exit(0) as if all were loaded.
        """
        if threading.current_thread() is threading.main_thread():
            return error  # here it may be the answer of a program to a signal
        plugin = self._job.plugins.source_type(self._job.request.source_type).plugin
        return PluginError(
            f"Plugin {plugin}: its source ended by SystemExit ({error.code!r}). A source that cannot go on "
            "raises an exception that says why"
        )

    def locate(self, error: Exception, told: LoadError) -> LoadError:
        """Add which resource failed, and after how many rows."""
        resource = next((pipe for cause in chain(error) if (pipe := getattr(cause, "pipe_name", None))), "")
        if not resource or self._collector is None:
            return told
        table = self._job.destination.table_of(resource)
        rows = self._collector.rows_of(table)
        where = f"Resource {resource!r} had given {rows:,} rows by then; none of them is in its table."
        return replace(told, resource=resource, rows=rows, message=f"{told.message}\n{where}")

    def tables(self, *, failed: bool) -> tuple[TableResult, ...]:
        """Return what the tables say of this run, roots first."""
        target, job = self._job.target, self._job
        results = []
        for table in dict.fromkeys([*self._roots, *self._tables]):
            name = ".".join((*target.namespace, table))
            try:
                found = target.find(
                    table, job.pipeline_name, load_ids=self._load_ids, run_id=job.context.run_id
                )
            except Exception as error:  # noqa: BLE001 (the failure that matters is told already)
                job.events.warning("table cannot be looked at after the load", table=name)
                trace.debug("table %s cannot be looked at\n%s", name, redacted_traceback(error))
                found = None
            if found is not None:
                results.append(TableResult(name, found.rows, found.bytes, found.snapshot_id, committed=True))
            elif table in self._roots:
                results.append(TableResult(name, 0, 0, None, committed=not failed))
        return tuple(results)

    def _pipeline(self) -> Pipeline:
        from floe_ingest.engine.collector import ProgressCollector
        from floe_ingest.engine.pipelines import new_pipeline, prepare_pipeline

        job = self._job
        guard_logger("dlt")
        self._collector = ProgressCollector(job.progress, job.request.name, job.stop)
        pipeline = job.handed.pipeline or new_pipeline(
            job.pipeline_name,
            job.folder.pipelines,
            job.destination.namespace,
            job.catalog_name,
            job.catalog_properties,
        )
        prepare_pipeline(
            pipeline,
            run_id=job.context.run_id,
            scratch=job.folder.scratch,
            memory_limit=job.memory_limit,
            collector=self._collector,
        )
        # The state is wiped by dlt; the rows are replaced in the commit, since every table is.
        pipeline.refresh = "drop_data" if job.context.full_refresh else None
        return pipeline

    def _known_tables(self, pipeline: Pipeline) -> frozenset[str]:
        """Return the tables that were loaded before, where a contract asks for it."""
        config = self._job.config
        options = [config, *config.resources.values()]
        if all(Contract.of(option.schema_contract).evolves for option in options):
            return frozenset()
        pipeline.sync_destination()
        return frozenset(name for schema in pipeline.schemas.values() for name in schema.tables)

    def _source(self, known_tables: frozenset[str]) -> DltSource:
        job = self._job
        build = job.handed.build
        built = build() if build is not None else job.plugins.build_source(job.request)
        registered = job.plugins.source_type(job.request.source_type)
        source = as_source(built, job.request.name, registered.plugin)
        if job.handed.resources:
            source = selected(source, job.handed.resources)
        check_tables(source, job.config, job.destination)
        bulk = build is None and "bulk" in registered.source_type.capabilities
        aim(
            source,
            job.config,
            job.destination,
            self._landing if bulk else None,
            cursor_of=job.request.cursor_of,
            known_tables=known_tables,
            full_refresh=job.context.full_refresh,
            run_id=job.context.run_id,
        )
        self._roots = [str(resource.table_name) for resource in loaded_resources(source).values()]
        return source

    def _landing(
        self,
        table: str,
        resource: DltResource,
        contract: Contract,
        cursor: Cursor | None,
        hand_to_dlt: Callable[[], object],
    ) -> BulkLanding:
        folder = self._job.folder
        settings = DataPlaneSettings(self._job.memory_limit, folder.scratch / "spill")
        reading = None
        if cursor is not None:
            seen_folder = folder.scratch / "seen"
            target = CursorTarget(
                settings,
                lambda seen: self._job.target.rows_from(table, **asdict(seen), folder=seen_folder),
                lambda: leaves_out_seen(resource),
                seen_folder,
            )
            reading = CursorReading(cursor, resource.name, target)
        return BulkLanding(
            table=table,
            hint=lambda columns: resource.apply_hints(columns=columns),
            in_order=lambda: merges(resource),
            columns_for=self._job.target.columns_for,
            variants=lambda name, columns: self._job.target.variants(name, columns, key_columns(resource)),
            schema_for=self._job.target.schema_for,
            existing=self._job.target.columns_of,
            options=lambda name: self._job.target.file_options(name, resource.compute_table_schema()),
            contract=contract,
            hand_to_dlt=cache(hand_to_dlt),
            folder=folder.landing,
            settings=settings,
            version=cache(lambda: made_version(resource)),
            reading=reading,
        )

    def _skip_done(self, source: DltSource, pipeline: str) -> None:
        """Leave out resources whose table holds this run already."""
        for name, resource in loaded_resources(source).items():
            table = str(resource.table_name)
            if self._job.target.find(table, pipeline, load_ids=(), run_id=self._job.context.run_id):
                self._job.events.info("table holds this run already", table=table)
                source.resources[name].selected = False

    def _remember(self, pipeline: Pipeline, info: Any) -> None:
        self._load_ids += info.loads_ids if info is not None else []
        for schema in pipeline.schemas.values():
            self._tables += [str(table["name"]) for table in schema.data_tables(seen_data_only=True)]
