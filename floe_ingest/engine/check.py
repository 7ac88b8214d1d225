"""Probes the catalog and every source of a configuration. Loads nothing, changes nothing."""

from __future__ import annotations

from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass
from datetime import UTC, datetime
from typing import TYPE_CHECKING, Any

from floe_ingest.config import resolve_catalog, resolve_source, validate_config
from floe_ingest.engine.bounded import PROBE_SECONDS, OutOfTimeError, within
from floe_ingest.engine.categories import categorize, chain, describe
from floe_ingest.engine.libraries import import_libraries
from floe_ingest.engine.workdir import new_run_id
from floe_ingest.errors import IngestionError, MissingPackageError, SourceConnectionError
from floe_ingest.plugins import load_plugins
from floe_ingest.redaction import redact
from floe_ingest_hookspecs import ErrorCategory, LoadError, MissingPart, RunContext

if TYPE_CHECKING:
    from floe_ingest.config import DltIngestionConfig, SourceConfig
    from floe_ingest.plugins import Plugins
    from floe_ingest_hookspecs import CatalogRequest, FoundResource, SourceCheck, SourceRequest


@dataclass(frozen=True, slots=True)
class CatalogReport:
    """What a probe found of the catalog."""

    name: str
    type: str
    success: bool
    message: str


@dataclass(frozen=True, slots=True)
class SourceReport:
    """What a probe found of one source."""

    name: str
    source_type: str
    success: bool
    resources: tuple[FoundResource, ...] = ()
    message: str = ""
    errors: tuple[LoadError, ...] = ()
    missing: tuple[MissingPart, ...] = ()


@dataclass(frozen=True, slots=True)
class CheckReport:
    """What probes found of a configuration."""

    success: bool
    catalog: CatalogReport
    sources: tuple[SourceReport, ...]

    def as_dict(self) -> dict[str, Any]:
        """Return the document that ``floe-ingest check --json`` prints: plain JSON types only."""
        catalog = self.catalog
        return {
            "success": self.success,
            "catalog": {
                "name": catalog.name,
                "type": catalog.type,
                "success": catalog.success,
                "message": catalog.message,
            },
            "sources": [_source_as_dict(source) for source in self.sources],
        }


def _source_as_dict(source: SourceReport) -> dict[str, Any]:
    return {
        "name": source.name,
        "source_type": source.source_type,
        "success": source.success,
        "message": source.message,
        "resources": [
            {
                "name": found.name,
                "columns": list(found.columns),
                "estimated_rows": found.estimated_rows,
                "detail": found.detail,
            }
            for found in source.resources
        ],
        "missing": [{"kind": part.kind, "name": part.name, "advice": part.advice} for part in source.missing],
        "errors": [
            {"category": str(error.category), "type": error.type, "message": error.message}
            for error in source.errors
        ],
    }


def check(config: DltIngestionConfig, *, plugins: Plugins | None = None) -> CheckReport:
    """Probe the catalog and every source, side by side, each within 10 seconds.

    Arguments:
        config: from ``load_config``, or made in Python.
        plugins: from ``load_plugins``; a fresh manager by default.

    Returns:
        What was found. Sources and catalogs that cannot be reached are in it, not raised.

    Raises:
        ConfigurationError: the configuration itself is wrong.
    """
    plugins = plugins or load_plugins()
    validate_config(config, plugins)
    import_libraries()
    with ThreadPoolExecutor(max_workers=8) as pool:
        catalog = pool.submit(_check_catalog, config, plugins)
        sources = tuple(pool.map(lambda source: _check_source(source, config, plugins), config.sources))
        report = catalog.result()
    return CheckReport(report.success and all(source.success for source in sources), report, sources)


def probe(request: SourceRequest, plugins: Plugins) -> SourceCheck | None:
    """Call the probe of a source, and wait no longer than a probe may take.

    Raises:
        SourceConnectionError: it has not ended in time; names the plugin.
        IngestionError: what the probe itself raised.
    """
    try:
        return within(PROBE_SECONDS, lambda: plugins.check_source(request))
    except OutOfTimeError as error:
        plugin = plugins.source_type(request.source_type).plugin
        raise SourceConnectionError(
            f"The probe of source {request.name!r} has not ended within {PROBE_SECONDS:g} seconds. Something "
            f"that it asks does not answer: a server, a folder on the network, a name server. It is "
            f"floe_ingest_check_source of plugin {plugin}."
        ) from error


def missing_parts(error: BaseException) -> tuple[MissingPart, ...]:
    """Return the packages that an error says are not installed."""
    return tuple(
        MissingPart("package", cause.import_name, cause.install)
        for cause in chain(error)
        if isinstance(cause, MissingPackageError)
    )


def told_missing(part: MissingPart, source: str) -> LoadError:
    """Return what is missing as an error of its source."""
    permission = part.kind == "permission"
    verb = {"package": "needs the Python package", "permission": "lacks the permission", "resource": "has no"}
    return LoadError(
        ErrorCategory.PERMANENT if permission else ErrorCategory.CONFIGURATION,
        "SourceConnectionError" if permission else "SourceConfigurationError",
        redact(f"Source {source!r} {verb[part.kind]} {part.name!r}. {part.advice}".strip()),
    )


def _check_catalog(config: DltIngestionConfig, plugins: Plugins) -> CatalogReport:
    request = resolve_catalog(config)
    try:
        message = within(PROBE_SECONDS, lambda: reach_catalog(request, plugins))
    except OutOfTimeError:
        late = f"has not answered within {PROBE_SECONDS:g} seconds"
        return CatalogReport(request.name, request.type, success=False, message=late)
    except IngestionError as error:
        return CatalogReport(request.name, request.type, success=False, message=str(error))
    return CatalogReport(request.name, request.type, success=True, message=message)


def reach_catalog(request: CatalogRequest, plugins: Plugins) -> str:
    """Ask a catalog for its namespaces; return what was found, in words.

    Raises:
        CatalogConnectionError, CatalogConfigurationError, MissingPackageError: it cannot be asked.
    """
    from floe_ingest.destination.catalogs import sqlite_file
    from floe_ingest.destination.target import Target

    properties = plugins.destination_config(request)
    file = sqlite_file(properties)
    if file is not None and not file.exists():
        return f"will be created in {file.parent}"
    return Target(request.name, properties, "unused").reach()


def _check_source(source: SourceConfig, config: DltIngestionConfig, plugins: Plugins) -> SourceReport:
    try:
        plugins.require(source.source_type)
        found = probe(resolve_source(source, config, plugins), plugins)
    except Exception as error:  # noqa: BLE001 (any failure of a source is its report)
        context = RunContext(new_run_id(), datetime.now(UTC), (source.name,))
        told = describe(error, categorize(error, plugins, context))
        return SourceReport(
            *(source.name, source.source_type), success=False, missing=missing_parts(error), errors=(told,)
        )
    if found is None:
        message = "has no probe; the configuration is valid"
        return SourceReport(source.name, source.source_type, success=True, message=message)
    return SourceReport(
        source.name,
        source.source_type,
        success=not found.missing,
        resources=found.resources,
        message=found.message,
        missing=found.missing,
        errors=tuple(told_missing(part, source.name) for part in found.missing),
    )
