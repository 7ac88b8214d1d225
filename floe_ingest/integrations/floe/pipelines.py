"""From what floe asks for to a source of our configuration and a dlt pipeline."""

from __future__ import annotations

import shutil
import tempfile
import threading
import weakref
from dataclasses import dataclass, field, replace
from pathlib import Path
from typing import TYPE_CHECKING, Any

from floe_ingest.errors import InvalidConfigError, PipelineConfigurationError

if TYPE_CHECKING:
    from collections.abc import Mapping

    from dlt import Pipeline
    from floe_core.plugins.ingestion import IngestionConfig

    from floe_ingest.config import DltIngestionConfig, SourceConfig
    from floe_ingest.plugins import Plugins
    from floe_ingest_hookspecs import CatalogRequest, SourceRequest

_UNNAMED = "floe"
# IngestionConfig always says these; of a configured source they count only where they say something else.
_DEFAULTS = {"write_mode": "append", "schema_contract": "evolve"}


@dataclass(frozen=True, slots=True)
class Wanted:
    """A source that floe asks for.

    Arguments:
        config: the whole configuration, with this source alone.
        source: the source.
        configured: whether the plugin's configuration names it.
        buildable: whether a plugin can build it: what ``source_config`` says is enough.
        handed: a source that came in ``source_config`` as an object.
    """

    config: DltIngestionConfig
    source: SourceConfig
    configured: bool
    buildable: bool
    handed: Any = None

    def request(self, plugins: Plugins) -> SourceRequest:
        """Return the source as its plugin gets it; its settings are None where they are not enough.

        Raises:
            InvalidConfigError: a variable is missing.
        """
        from floe_ingest.config import resolve_source, source_request

        if self.buildable:
            return resolve_source(self.source, self.config, plugins)
        return source_request(self.source, self.config, None)


@dataclass(frozen=True, slots=True)
class Made:
    """What is known of a pipeline that was made.

    Arguments:
        asked: what floe asked for.
        wanted: the source.
        catalog_name, catalog_properties: see ``open_catalog``.
        remove: removes the pipeline's working folder.
        running: held by a run of this pipeline.
        used: set once it has run.
    """

    asked: IngestionConfig
    wanted: Wanted
    catalog_name: str
    catalog_properties: Mapping[str, str]
    remove: weakref.finalize[Any, Pipeline]
    running: threading.Lock = field(default_factory=threading.Lock)
    used: threading.Event = field(default_factory=threading.Event)


def wanted_by(asked: IngestionConfig, config: DltIngestionConfig, plugins: Plugins) -> Wanted:
    """Return the source that an ``IngestionConfig`` asks for.

    What it cannot say (a name, keys, partitions) comes from the configured source of the same type and
    destination table, if there is one.

    Raises:
        PipelineConfigurationError: it cannot work; says every problem.
    """
    from floe_ingest.config import written_fields

    configured = _configured(asked, config)
    given = {"write_mode": asked.write_mode, "schema_contract": asked.schema_contract}
    if configured is None:
        document: dict[str, Any] = {"name": _UNNAMED, **given}
    else:
        said = {key: value for key, value in given.items() if value != _DEFAULTS[key]}
        document = {**written_fields(configured), **said}
    document |= {"source_type": asked.source_type, "destination_table": asked.destination_table}
    settings = dict(asked.source_config or {})
    handed = settings.pop("source") if _is_object(settings.get("source")) else None
    if settings:
        document["source_config"] = settings
    return _checked(document, config, plugins, configured=configured is not None, handed=handed)


def _configured(asked: IngestionConfig, config: DltIngestionConfig) -> SourceConfig | None:
    """Return the configured source of the same type and destination table."""
    for source in config.sources:
        if (source.source_type, source.destination_table) == (asked.source_type, asked.destination_table):
            return source
    return None


def name_for(asked: IngestionConfig, config: DltIngestionConfig) -> str:
    """Return the name that a pipeline has, or would have."""
    from floe_ingest.engine.loading import pipeline_name

    configured = _configured(asked, config)
    return pipeline_name(configured.name if configured else _UNNAMED, str(asked.destination_table))


def changed_by(
    wanted: Wanted, asked: IngestionConfig, changes: Mapping[str, Any], plugins: Plugins
) -> Wanted:
    """Return a source with what the arguments of ``run`` say otherwise than its ``IngestionConfig`` did.

    Arguments:
        wanted: as it was made.
        asked: what floe asked for then.
        changes: write_disposition, schema_contract, table_name, cursor_field, primary_key; None is not said.

    Raises:
        PipelineConfigurationError: it cannot work.
    """
    from floe_ingest.config import written_fields

    namespace, _, table = asked.destination_table.rpartition(".")
    before = {
        "write_disposition": asked.write_mode,
        "schema_contract": asked.schema_contract,
        "table_name": table,
    }
    names = {"write_disposition": "write_mode", "table_name": "destination_table"}
    document: dict[str, Any] = {}
    for key, value in changes.items():
        if value is None or value == before.get(key):
            continue
        document[names.get(key, key)] = f"{namespace}.{value}" if key == "table_name" else value
    if not document:
        return wanted
    return _checked(
        {**written_fields(wanted.source), **document},
        wanted.config,
        plugins,
        configured=wanted.configured,
        handed=wanted.handed,
    )


def _is_object(value: Any) -> bool:
    return value is not None and not isinstance(value, str | bytes | int | float | dict | list | tuple)


def _checked(
    document: dict[str, Any], config: DltIngestionConfig, plugins: Plugins, *, configured: bool, handed: Any
) -> Wanted:
    from floe_ingest.config import DltIngestionConfig, parse_config

    buildable = True
    try:
        parsed = parse_config({"sources": [document]}, path=config.path, plugins=plugins)
    except InvalidConfigError as error:
        # Without settings, the orchestrator brings the source: that shows when it runs.
        in_settings = "sources[0].source_config"
        problems = [
            problem
            for problem in error.problems
            if document.get("source_config") or not problem.path.startswith(in_settings)
        ]
        if problems:
            told = [replace(problem, path=problem.path.removeprefix("sources[0].")) for problem in problems]
            shown = InvalidConfigError(told, "The pipeline's configuration")
            raise PipelineConfigurationError(str(shown)) from error
        parsed = DltIngestionConfig.model_validate({"sources": [document]})
        buildable = False
    whole = config.model_copy(update={"sources": parsed.sources})
    return Wanted(whole, parsed.sources[0], configured, buildable, handed)


def check_merge_key(built: Any, wanted: Wanted) -> None:
    """Check that rows can be merged: a key is configured, or each resource that merges brings one.

    Raises:
        PipelineConfigurationError: a resource merges and has no key.
    """
    from floe_ingest.engine.resources import as_source, loaded_resources

    config = wanted.source
    source = as_source(built, config.name, f"of source type {config.source_type!r}")
    for name, resource in loaded_resources(source).items():
        options = config.options_for(name)
        if options.write_mode != "merge" or options.primary_key:
            continue
        columns = resource.compute_table_schema().get("columns", {}).values()
        if not any(column.get("primary_key") or column.get("merge_key") for column in columns):
            raise PipelineConfigurationError(
                f"write_mode merge needs a primary_key, and resource {name!r} brings none. Name the column, "
                f"or columns, that identify a row of {config.destination_table}: primary_key: id."
            )


def needs_merge_key(wanted: Wanted, plugins: Plugins, *, handed: bool) -> bool:
    """Return whether a resource of a source may turn out to merge without a key.

    A type that finds the keys of its tables when it reads them can only be asked then.
    """
    config = wanted.source
    if not handed and "keys" in plugins.source_type(config.source_type).source_type.capabilities:
        return False
    options = [config, *(config.options_for(name) for name in config.resources)]
    return any(option.write_mode == "merge" and not option.primary_key for option in options)


def catalog_of(asked: IngestionConfig | None, config: DltIngestionConfig) -> CatalogRequest:
    """Return the catalog that a pipeline loads into.

    ``catalog_config`` goes first; without it, the catalog that the runtime binding names; without either,
    the embedded one.
    """
    from floe_ingest.config import resolve_catalog
    from floe_ingest.integrations.floe.binding import bound_catalog

    binding = asked.runtime_binding if asked is not None else None
    if config.catalog_config is None and binding is not None:
        return bound_catalog(binding, config.folder)
    return resolve_catalog(config)


def make_pipeline(
    asked: IngestionConfig, wanted: Wanted, catalog_name: str, properties: Mapping[str, str]
) -> tuple[Pipeline, Made]:
    """Return a new pipeline, with a working folder of its own, and what is known of it."""
    from floe_ingest.engine.pipelines import new_pipeline

    namespace = wanted.source.destination_table.rpartition(".")[0]
    # Many pipelines of one name may be at work on this host at once.
    folder = Path(tempfile.mkdtemp(prefix="floe-ingest-pipeline-"))
    try:
        name = name_for(asked, wanted.config)
        pipeline = new_pipeline(name, folder, namespace, catalog_name, properties)
    except BaseException:
        shutil.rmtree(folder, ignore_errors=True)
        raise
    remove = weakref.finalize(pipeline, shutil.rmtree, folder, ignore_errors=True)
    return pipeline, Made(asked, wanted, catalog_name, properties, remove)
