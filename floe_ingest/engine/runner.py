"""Runs the sources of a configuration, each on its own, and tells what became of them."""

from __future__ import annotations

import difflib
import logging
import shutil
import tempfile
import time
from concurrent.futures import ThreadPoolExecutor
from contextlib import contextmanager
from dataclasses import dataclass, field, replace
from datetime import UTC, datetime
from functools import partial
from pathlib import Path
from typing import TYPE_CHECKING, Any

import structlog

from floe_ingest.config import resolve_catalog, resolve_source, validate_config
from floe_ingest.config.environment import expand
from floe_ingest.config.secrets import secret_leaves, secrets_in
from floe_ingest.dataplane.connection import share_of_memory
from floe_ingest.destination.catalogs import catalogs_in_use
from floe_ingest.engine.check import probe as probe_source
from floe_ingest.engine.check import told_missing
from floe_ingest.engine.cursors import within_range
from floe_ingest.engine.libraries import import_libraries
from floe_ingest.engine.loading import Handed, SourceJob, load_source, source_attributes
from floe_ingest.engine.progress import Silent
from floe_ingest.engine.side_by_side import Stop, cores, side_by_side
from floe_ingest.engine.sizes import bytes_so_far
from floe_ingest.engine.workdir import check_run_id, new_run_id, run_folder, storage_errors
from floe_ingest.errors import (
    ConfigProblem,
    ConfigurationError,
    InvalidConfigError,
    PluginError,
    SourceConfigurationError,
)
from floe_ingest.plugins import load_plugins
from floe_ingest.redaction import keeping_secret, redacted_traceback
from floe_ingest.telemetry import span
from floe_ingest_hookspecs import RunContext, RunResult, SourceResult

if TYPE_CHECKING:
    from collections.abc import Iterator, Mapping, Sequence

    from floe_ingest.config import DltIngestionConfig, SourceConfig
    from floe_ingest.engine.progress import Progress
    from floe_ingest.plugins import Plugins
    from floe_ingest_hookspecs import SourceRequest

log = structlog.get_logger(__name__)
trace = logging.getLogger(__name__)

WORK_FOLDER = ".floe-ingest"


@dataclass(frozen=True, slots=True)
class PreparedSource:
    """A source whose configuration is resolved.

    Arguments:
        config: as the user wrote it.
        request: as its plugin gets it.
        handed: what an orchestrator brings along.
    """

    config: SourceConfig
    request: SourceRequest
    handed: Handed = field(default_factory=Handed)


@dataclass(frozen=True, slots=True)
class Prepared:
    """A configuration whose every part is resolved: from here on, only loading can fail."""

    config: DltIngestionConfig
    sources: tuple[PreparedSource, ...]
    catalog_name: str
    catalog_properties: Mapping[str, str]


def run(
    config: DltIngestionConfig,
    *,
    sources: Sequence[str] | None = None,
    resources: Mapping[str, Sequence[str]] | None = None,
    run_id: str | None = None,
    full_refresh: bool = False,
    cursor_range: tuple[Any, Any] | None = None,
    jobs: int | None = None,
    plugins: Plugins | None = None,
    progress: Progress | None = None,
) -> RunResult:
    """Load the sources of a configuration, side by side.

    Each source has its own dlt pipeline and thread; one that fails does not stop the others. A
    configuration from a file keeps its working folder beside that file, in ``.floe-ingest``: after a crash
    the next run goes on where this one stopped.

    Arguments:
        config: from ``load_config``, or made in Python.
        sources: names of the sources to load; all by default.
        resources: by source, the names of the resources to load; all of a source that is not in it.
        run_id: names this logical execution. A table that carries it is skipped, so a run can be
            repeated under its id without loading anything twice.
        full_refresh: replace every table, and forget cursors.
        cursor_range: load just the rows whose ``cursor_field`` is from the first value up to the second,
            itself left out, and put them in the place of those that the tables have of that range. Cursors
            stay where they are. For partitions of an orchestrator: any range can be loaded, in any order.
        jobs: how many sources load at once; as many as there are cores by default. DuckDB's memory is
            divided over them.
        plugins: from ``load_plugins``; a fresh manager by default.
        progress: is told what happens meanwhile.

    Returns:
        One entry a source. Failures of sources are in it, not raised.

    Raises:
        ConfigurationError: the configuration, or the run id, cannot work. Nothing was loaded.
        PluginError: a plugin does not keep the contract. Nothing was loaded.
        KeyboardInterrupt: the run was interrupted. All sources end within seconds.
        ValueError: ``jobs`` is less than one, or a range is asked for together with a full refresh.
    """
    if jobs is not None and jobs < 1:
        raise ValueError(f"jobs must be at least 1, got {jobs}")
    if run_id is not None:
        check_run_id(run_id)
    if cursor_range is not None and full_refresh:
        raise ValueError("cursor_range loads a part of a table, full_refresh all of it: choose one")
    plugins = plugins or load_plugins()
    with keeping_secret(secrets_written(config)):
        prepared = _selected(_prepare(config, sources, plugins), resources or {})
        if cursor_range is not None:
            prepared = _within(prepared, cursor_range)
        with keeping_secret(secrets_of(prepared)):
            probe_all(prepared, plugins)
            return run_prepared(
                prepared,
                run_id=run_id,
                full_refresh=full_refresh,
                jobs=jobs,
                plugins=plugins,
                progress=progress or Silent(),
            )


def run_prepared(
    prepared: Prepared,
    *,
    plugins: Plugins,
    run_id: str | None = None,
    full_refresh: bool = False,
    jobs: int | None = None,
    progress: Progress | None = None,
) -> RunResult:
    """Load sources whose configuration is resolved. Arguments and result are those of ``run``."""
    import_libraries()
    config, progress = prepared.config, progress or Silent()
    context = RunContext(
        run_id=run_id or new_run_id(),
        started_at=datetime.now(UTC),
        sources=tuple(source.request.name for source in prepared.sources),
        full_refresh=full_refresh,
    )
    started = time.monotonic()
    progress.run_started(context.run_id, context.sources)
    plugins.before_run(context)
    at_once = min(jobs or cores(), len(prepared.sources))
    with (
        catalogs_in_use(),
        _work_root(config) as root,
        span("run", _attributes(prepared, context)) as traced,
    ):
        share = share_of_memory(config.memory_limit, at_once)
        running = _Run(prepared, context, root, run_id, plugins, progress, Stop(), share)
        works = [partial(_run_source, running, source) for source in prepared.sources]
        results = side_by_side(works, at_once, running.stop)
        traced.finish(
            [table for result in results for table in result.tables],
            [error for result in results for error in result.errors],
            time.monotonic() - started,
        )
    outcome = RunResult(context.run_id, all(result.success for result in results), tuple(results))
    plugins.after_run(context, outcome)
    return outcome


def _attributes(prepared: Prepared, context: RunContext) -> dict[str, str | bool | int | float]:
    """Return what the span of a run says; of a run of one source, what that source's span says."""
    attributes: dict[str, str | bool | int | float] = {"ingestion.run_id": context.run_id}
    if len(prepared.sources) == 1:
        [source] = prepared.sources
        attributes |= source_attributes(source.config, source.request, source.handed)
    return attributes


def _within(prepared: Prepared, cursor_range: tuple[Any, Any]) -> Prepared:
    """Return sources that are read in a range of their cursors alone."""
    start, end = cursor_range
    narrowed = (
        replace(source, request=within_range(source.request, start, end)) for source in prepared.sources
    )
    return replace(prepared, sources=tuple(narrowed))


def _selected(prepared: Prepared, resources: Mapping[str, Sequence[str]]) -> Prepared:
    """Return sources of which the resources that were asked for are loaded alone."""
    _choose(prepared.config, list(resources))
    chosen = (
        replace(source, handed=replace(source.handed, resources=tuple(resources.get(source.config.name, ()))))
        for source in prepared.sources
    )
    return replace(prepared, sources=tuple(chosen))


def _prepare(config: DltIngestionConfig, sources: Sequence[str] | None, plugins: Plugins) -> Prepared:
    validate_config(config, plugins)
    chosen = _choose(config, sources)
    catalog = resolve_catalog(config)
    properties = plugins.destination_config(catalog)
    requests = []
    for source in chosen:
        plugins.require(source.source_type)
        requests.append(PreparedSource(source, resolve_source(source, config, plugins)))
    return Prepared(config, tuple(requests), catalog.name, properties)


def _choose(config: DltIngestionConfig, names: Sequence[str] | None) -> list[SourceConfig]:
    known = [source.name for source in config.sources]
    if not known:
        raise InvalidConfigError([ConfigProblem("sources", "has no source. Add one to load.")])
    for name in names or ():
        if name not in known:
            near = difflib.get_close_matches(name, known, n=1)
            hint = f" Did you mean {near[0]!r}?" if near else ""
            raise InvalidConfigError(
                [
                    ConfigProblem(
                        "sources", f"there is no source {name!r}.{hint} There is: {', '.join(known)}."
                    )
                ]
            )
    return [source for source in config.sources if not names or source.name in names]


def probe_all(prepared: Prepared, plugins: Plugins) -> None:
    """Find what is wrong in the configuration of any source before the first byte moves.

    A source that cannot be reached just now is left to its load, which tries more than once. So is one whose
    plugin fails in the probe: that says nothing of what was configured, and nothing of the other sources.

    Raises:
        ConfigurationError: of the first source that has one.
    """

    import_libraries()

    def probe(request: SourceRequest) -> ConfigurationError | None:
        try:
            found = probe_source(request, plugins)
        except ConfigurationError as error:
            return error
        except PluginError as error:
            log.warning(
                "a probe failed; the source is loaded without it", source=request.name, error=str(error)
            )
            return None
        except Exception as error:  # noqa: BLE001 (the load will meet it, and tell)
            trace.debug("probe of %s failed\n%s", request.name, redacted_traceback(error))
            return None
        # A permission may be granted by the time of the load, which tells if it was not.
        parts = [part for part in (found.missing if found else ()) if part.kind != "permission"]
        if parts:
            told = [told_missing(part, request.name).message for part in parts]
            return SourceConfigurationError("\n".join(told))
        return None

    requests = [source.request for source in prepared.sources if source.handed.build is None]
    if not requests:
        return
    with ThreadPoolExecutor(max_workers=min(8, len(requests))) as pool:
        for error in pool.map(probe, requests):
            if error is not None:
                raise error


def secrets_of(prepared: Prepared) -> tuple[str, ...]:
    """Return every secret that a prepared configuration holds."""
    found = [secret for source in prepared.sources for secret in secrets_in(source.request.config)]
    return (*found, *secret_leaves(dict(prepared.catalog_properties)))


def secrets_written(config: DltIngestionConfig) -> list[str]:
    """Return the secrets of a configuration before it is resolved, since resolving may fail."""
    written = [config.catalog_config or {}, *(source.source_config for source in config.sources)]
    return [secret for part in written for secret in (*expand(part).secrets, *secret_leaves(part))]


@contextmanager
def _work_root(config: DltIngestionConfig) -> Iterator[Path]:
    """Give the folder of working folders; one for this run alone where there is no file to keep it by."""
    if config.path is not None:
        root = config.folder / WORK_FOLDER
        with storage_errors():
            root.mkdir(mode=0o700, exist_ok=True)
        yield root
        return
    root = Path(tempfile.mkdtemp(prefix="floe-ingest-"))
    try:
        yield root
    finally:
        shutil.rmtree(root, ignore_errors=True)


class _SourceFailedError(Exception):
    """Ends the working folder's context so that it keeps the folder; carries the result."""

    def __init__(self, result: SourceResult) -> None:
        self.result = result


@dataclass(frozen=True, slots=True)
class _Run:
    """What the sources of one run have in common."""

    prepared: Prepared
    context: RunContext
    root: Path
    run_id: str | None
    plugins: Plugins
    progress: Progress
    stop: Stop
    memory_limit: str


def _run_source(run: _Run, source: PreparedSource) -> SourceResult:
    run.progress.source_started(source.request.name, source.request.source_type)
    result = _load(run, source)
    run.progress.source_finished(result)
    return result


def _load(run: _Run, source: PreparedSource) -> SourceResult:
    request = source.request
    try:
        with run_folder(run.root, request.name, run.run_id, run.context.run_id) as folder:
            request = replace(request, work_folder=folder.scratch / "source")
            if folder.resumed:
                log.warning("an unfinished run is gone on with", source=request.name, run_id=folder.run_id)
            run.progress.measured(request.name, partial(bytes_so_far, folder))
            job = SourceJob(
                config=source.config,
                request=request,
                context=replace(run.context, run_id=folder.run_id, source=request),
                catalog_name=run.prepared.catalog_name,
                catalog_properties=run.prepared.catalog_properties,
                retry=run.prepared.config.retry_config,
                folder=folder,
                plugins=run.plugins,
                progress=run.progress,
                stop=run.stop,
                memory_limit=run.memory_limit,
                handed=source.handed,
            )
            result = _enriched(load_source(job), job.context, run.plugins)
            if folder.resumed and folder.run_id != run.context.run_id:
                result = replace(result, extra={**result.extra, "resumed_run_id": folder.run_id})
            if not result.success:
                raise _SourceFailedError(result)
            return result
    except _SourceFailedError as failed:
        return failed.result


def _enriched(result: SourceResult, context: RunContext, plugins: Plugins) -> SourceResult:
    extra = plugins.enrich_result(context, result)
    return replace(result, extra=extra) if extra else result
