"""``DltIngestionPlugin``: floe-core's ``IngestionPlugin``, thin over the plugin manager and the engine."""

from __future__ import annotations

import time
import weakref
from contextlib import ExitStack, contextmanager
from typing import TYPE_CHECKING, Any

from floe_core.plugins.ingestion import IngestionConfig, IngestionPlugin, IngestionResult

from floe_ingest.config import DltIngestionConfig
from floe_ingest.errors import (
    ConfigurationError,
    IngestionError,
    MissingPackageError,
    PipelineConfigurationError,
    PluginError,
    SourceConnectionError,
)
from floe_ingest.integrations.floe.health import HealthCheck, checked_timeout, not_started
from floe_ingest.integrations.floe.lifecycle import Lifecycle
from floe_ingest.integrations.floe.pipelines import (
    Made,
    Wanted,
    catalog_of,
    changed_by,
    check_merge_key,
    make_pipeline,
    name_for,
    needs_merge_key,
    wanted_by,
)
from floe_ingest.redaction import keeping_secret, redact_chain
from floe_ingest.telemetry import SCOPE, Events, span
from floe_ingest_hookspecs import CatalogRequest, __version__

if TYPE_CHECKING:
    from collections.abc import Iterator, Mapping

    from dlt import Pipeline
    from floe_core.composition.models import PluginRequirements
    from floe_core.plugin_metadata import HealthStatus
    from floe_core.schemas.compiled_artifacts import (
        CatalogDeploymentBinding,
        IngestionDeploymentBinding,
        StorageDeploymentBinding,
    )
    from pydantic import BaseModel

    from floe_ingest.plugins import Plugins
    from floe_ingest_hookspecs import RunResult

_CHANGES = ("write_disposition", "schema_contract", "table_name", "cursor_field", "primary_key")
_FOR_MESSAGES = ("source_type", "source_name", "source_path")
_ARGUMENTS = frozenset({*_CHANGES, *_FOR_MESSAGES, "source", "run_id", "full_refresh"})


class DltIngestionPlugin(IngestionPlugin):
    """Loads any source type that an installed plugin brings into Iceberg tables.

    Arguments:
        config: as ``configure`` takes it.

    Example:
        >>> plugin = DltIngestionPlugin()
        >>> plugin.name, plugin.is_external
        ('dlt', False)
    """

    def __init__(self, config: DltIngestionConfig | Mapping[str, Any] | None = None) -> None:
        super().__init__()
        self._lifecycle = Lifecycle()
        self._health = HealthCheck()
        self._made: weakref.WeakKeyDictionary[Pipeline, Made] = weakref.WeakKeyDictionary()
        self._catalog: CatalogRequest | None = None
        self._plugins: Plugins | None = None
        self._events = Events(plugin="dlt")
        if config is not None:
            self.configure(config)

    # -- what it is

    @property
    def name(self) -> str:
        """The name by which floe selects it."""
        return "dlt"

    @property
    def version(self) -> str:
        """The version of floe-ingest."""
        return __version__

    @property
    def floe_api_version(self) -> str:
        """The version of floe's plugin interface."""
        return "1.0"

    @property
    def description(self) -> str:
        """What it does, in a line."""
        return "Loads REST APIs, SQL databases, files and whatever plugins bring into Apache Iceberg tables"

    @property
    def tracer_name(self) -> str:
        """The name under which spans are made."""
        return SCOPE

    @property
    def is_external(self) -> bool:
        """False: loads run in this process."""
        return False

    @property
    def capabilities(self) -> dict[str, Any]:
        """What it can do: source types as installed, write modes and contracts."""
        return {
            "source_types": sorted(self._loaded_plugins().source_types()),
            "write_modes": ["append", "merge", "replace"],
            "schema_contracts": ["discard_value", "evolve", "freeze"],
            "incremental_loading": True,
            "in_process": True,
        }

    # -- configuration

    def get_config_schema(self) -> type[BaseModel]:
        """Return the model of everything a user writes: the one of the YAML file."""
        return DltIngestionConfig

    def configure(self, config: BaseModel | Mapping[str, Any] | None) -> None:
        """Take a configuration; it counts for pipelines that are made from now on.

        Arguments:
            config: a ``DltIngestionConfig``, a mapping of its fields, or None for none.

        Raises:
            pydantic.ValidationError: a mapping does not fit the model.
        """
        if config is not None and not isinstance(config, DltIngestionConfig):
            fields = config if not hasattr(config, "model_dump") else config.model_dump(exclude_unset=True)
            config = DltIngestionConfig.model_validate(fields)
        super().configure(config)

    @property
    def configuration(self) -> DltIngestionConfig:
        """What the plugin is configured with; an empty configuration where it is not."""
        return self._settings

    @property
    def _settings(self) -> DltIngestionConfig:
        return self._config if isinstance(self._config, DltIngestionConfig) else DltIngestionConfig()

    def _loaded_plugins(self) -> Plugins:
        from floe_ingest.plugins import load_plugins

        if self._plugins is None:
            self._plugins = load_plugins()
        return self._plugins

    # -- composition, at compile time

    def get_composition_requirements(self) -> PluginRequirements:
        """Return what is asked of the storage and catalog that a platform selects."""
        from floe_ingest.integrations.floe.binding import requirements

        return requirements(self.name)

    def build_deployment_binding(
        self, *, storage: StorageDeploymentBinding, catalog: CatalogDeploymentBinding
    ) -> IngestionDeploymentBinding:
        """Return the binding of the composed storage and catalog; it holds no secret.

        Raises:
            PipelineConfigurationError: there is no warehouse, or no Iceberg REST catalog.
        """
        from floe_ingest.integrations.floe.binding import deployment_binding

        return deployment_binding(self.name, storage, catalog)

    def get_destination_config(self, catalog_config: dict[str, Any]) -> dict[str, Any]:
        """Return the arguments of ``floe_ingest.iceberg`` for a catalog.

        Arguments:
            catalog_config: PyIceberg's properties, or floe's names for them (``s3_endpoint``).

        Raises:
            PipelineConfigurationError: no plugin knows the catalog, or a property is missing.
        """
        from floe_ingest.config import resolve_catalog
        from floe_ingest.integrations.floe.binding import pyiceberg_keys

        with span("get_destination_config"), self._as_ours():
            asked = self._settings.model_copy(update={"catalog_config": pyiceberg_keys(catalog_config)})
            catalog = resolve_catalog(asked)
            return {"catalog_name": catalog.name, **self._loaded_plugins().destination_config(catalog)}

    # -- lifecycle

    def startup(self) -> None:
        """Verify the configuration and the drivers of each configured source; connects to nothing.

        Raises:
            MissingPackageError: a driver is not installed; also an ImportError, and says the pip line.
            ConfigurationError: the configuration cannot work.
            PluginError: a plugin does not keep the contract.
        """
        with span("startup"):
            try:
                started = self._lifecycle.start(self._start)
            except IngestionError as error:
                redact_chain(error)
                raise
        if started:
            types = sorted({source.source_type for source in self._settings.sources})
            self._events.info("plugin is started", version=self.version, source_types=", ".join(types))

    def _start(self, stack: ExitStack) -> None:
        from floe_ingest.config import validate_config
        from floe_ingest.destination.catalogs import catalogs_in_use
        from floe_ingest.engine.runner import secrets_written
        from floe_ingest.plugins import load_plugins

        self._plugins = load_plugins()
        settings = self._settings
        stack.enter_context(keeping_secret(secrets_written(settings)))
        validate_config(settings, self._plugins)
        for source in settings.sources:
            self._plugins.require(source.source_type)
        stack.enter_context(catalogs_in_use())
        stack.callback(self._forget_pipelines)

    def _forget_pipelines(self) -> None:
        for made in list(self._made.values()):
            made.remove()
        self._made.clear()
        self._catalog = None

    def shutdown(self) -> None:
        """Free what is open: catalogs, working folders. A run under way goes on, and frees it at its end."""
        with span("shutdown"):
            stopped = self._lifecycle.stop()
        if stopped:
            self._events.info("plugin is stopped")

    def health_check(self, timeout: float | None = None) -> HealthStatus:
        """Ask the catalog for its namespaces, and look for the drivers of each source type.

        Arguments:
            timeout: seconds, 0.1 to 10; 5 by default. It is kept also where the catalog hangs.

        Raises:
            ValueError: the timeout is outside of that.
        """
        seconds = checked_timeout(timeout)
        with span("health_check", {"health.timeout": seconds}) as traced:
            if not self._lifecycle.started:
                status = not_started()
            else:
                used = {source.source_type for source in self._settings.sources}
                catalog = self._catalog or catalog_of(None, self._settings)
                status = self._health.run(catalog, self._loaded_plugins(), used, seconds)
            traced.set("health.state", status.state.value)
        self._events.info("health is checked", state=status.state.value, message=status.message)
        return status

    # -- pipelines

    def create_pipeline(self, config: IngestionConfig) -> Pipeline:
        """Return a dlt pipeline on the Iceberg destination, once its source answers.

        Arguments:
            config: what to load. What it cannot say, as partitions and keys, is taken from the configured
                source of the same type and destination table.

        Raises:
            PipelineConfigurationError: the configuration cannot work; says every problem.
            SourceConnectionError: the source does not answer within 10 seconds, or refuses.
            MissingPackageError: a driver is not installed.
            NotStartedError: ``startup`` was not called.
        """
        attributes = {
            "ingestion.source_type": str(config.source_type),
            "ingestion.destination_table": str(config.destination_table),
            "ingestion.write_mode": str(config.write_mode),
            "ingestion.schema_contract": str(config.schema_contract),
        }
        with self._lifecycle.working("create_pipeline"), span("create_pipeline", attributes) as traced:
            with self._as_ours(config):
                pipeline = self._create(config)
            traced.set("ingestion.pipeline_name", pipeline.pipeline_name)
            self._events.info(
                "pipeline is created",
                pipeline=pipeline.pipeline_name,
                source_type=config.source_type,
                destination_table=config.destination_table,
            )
        return pipeline

    def _create(self, config: IngestionConfig) -> Pipeline:
        from floe_ingest.config.secrets import secret_leaves, secrets_in

        plugins = self._loaded_plugins()
        wanted = wanted_by(config, self._settings, plugins)
        catalog = catalog_of(config, self._settings)
        properties = plugins.destination_config(catalog)
        request = wanted.request(plugins)
        with keeping_secret([*secrets_in(request.config), *secret_leaves(properties)]):
            try:
                if wanted.buildable and wanted.handed is None:
                    self._probe(wanted)
            except IngestionError as error:
                redact_chain(error)  # while it is known what its secrets are
                raise
        pipeline, made = make_pipeline(config, wanted, catalog.name, properties)
        self._made[pipeline] = made
        self._catalog = catalog
        return pipeline

    def _probe(self, wanted: Wanted) -> None:
        from floe_ingest.engine.check import probe, told_missing

        plugins = self._loaded_plugins()
        plugins.require(wanted.source.source_type)
        request = wanted.request(plugins)
        try:
            found = probe(request, plugins)
            missing = [part for part in (found.missing if found else ()) if part.kind != "permission"]
            if missing:
                told = [told_missing(part, request.name).message for part in missing]
                raise PipelineConfigurationError("\n".join(told))
        except (ConfigurationError, PluginError) as error:
            if not wanted.configured or isinstance(error, MissingPackageError):
                raise
            # Relative paths are relative to the product's folder, which the orchestrator alone knows; it
            # brings the source then. Where it does not, the run says the same, before a byte moves.
            self._events.warning("source cannot be looked at yet", source=request.name, error=str(error))
            return
        if needs_merge_key(wanted, plugins, handed=False):
            check_merge_key(plugins.build_source(request), wanted)

    def run(self, pipeline: Pipeline, **kwargs: Any) -> IngestionResult:
        """Load a pipeline's source.

        Arguments:
            pipeline: from ``create_pipeline`` of this plugin.
            **kwargs: ``source`` (a dlt source or resource, a callable that returns one or rows, or None: then
                the plugin of the source's type builds it), ``write_disposition``, ``schema_contract``,
                ``table_name``, ``cursor_field``, ``primary_key`` (instead of what the pipeline was made
                with), ``source_name``, ``source_type``, ``source_path`` (for logs), ``run_id`` (a table that
                carries it is skipped), ``full_refresh``. Others are logged.

        Returns:
            Rows and bytes of this load alone. A load that failed is in ``errors``, not raised.

        Raises:
            PipelineConfigurationError: there is nothing to load from, or an argument cannot work.
            NotStartedError: ``startup`` was not called.
        """
        started = time.monotonic()
        with self._lifecycle.working("run"):
            unknown = sorted(set(kwargs) - _ARGUMENTS)
            if unknown:
                self._events.warning("arguments of run are not known", arguments=", ".join(unknown))
            made = self._made.get(pipeline)
            about = made.asked if made is not None else None
            with self._as_ours(about, span_name="run"):
                if made is None:
                    raise PipelineConfigurationError(
                        "The pipeline was not made by create_pipeline() of this plugin since its startup()."
                    )
                with made.running:
                    result = self._run(pipeline, made, kwargs)
            return _as_floe(result, made.asked, pipeline, time.monotonic() - started)

    def _run(self, pipeline: Pipeline, made: Made, kwargs: Mapping[str, Any]) -> RunResult:
        from floe_ingest.engine.loading import Handed
        from floe_ingest.engine.runner import Prepared, PreparedSource, probe_all, run_prepared, secrets_of
        from floe_ingest.integrations.floe.handed import rebuilt

        plugins = self._loaded_plugins()
        wanted = changed_by(made.wanted, made.asked, {key: kwargs.get(key) for key in _CHANGES}, plugins)
        given = kwargs["source"] if kwargs.get("source") is not None else wanted.handed
        if given is None and not wanted.buildable:
            raise PipelineConfigurationError(
                f"There is nothing to load from: source_config for {made.asked.destination_table} is empty, "
                f"and run() got no source. Configure the source, or give one: run(pipeline, source=…)."
            )
        handed = Handed(pipeline)
        if given is not None:
            table = wanted.source.destination_table.rpartition(".")[2]
            build, repeatable = rebuilt(given, wanted.source.name, table)
            handed = Handed(pipeline, build, repeatable)
        request = wanted.request(plugins)
        if needs_merge_key(wanted, plugins, handed=handed.build is not None):
            check_merge_key(handed.build() if handed.build else plugins.build_source(request), wanted)
        prepared = Prepared(
            wanted.config,
            (PreparedSource(wanted.source, request, handed),),
            made.catalog_name,
            made.catalog_properties,
        )
        if made.used.is_set():
            # What it remembers of earlier runs may be behind what the tables hold by now.
            pipeline.drop()
        made.used.set()
        with keeping_secret(secrets_of(prepared)):
            probe_all(prepared, plugins)
            return run_prepared(
                prepared,
                plugins=plugins,
                run_id=kwargs.get("run_id"),
                full_refresh=bool(kwargs.get("full_refresh")),
            )

    @contextmanager
    def _as_ours(self, config: IngestionConfig | None = None, span_name: str | None = None) -> Iterator[None]:
        """Let errors out as callers expect them: of two types, with what they are about, without secrets."""
        try:
            yield
        except IngestionError as error:
            failure = _presented(error)
            if failure is not error:
                failure.__cause__ = error
            if config is not None:
                failure.about(
                    source_type=config.source_type,
                    destination_table=config.destination_table,
                    pipeline_name=name_for(config, self._settings),
                )
            redact_chain(failure)
            if span_name is not None:
                # The engine's own span begins only where there is something to load.
                with span(span_name, _about(config)):
                    raise failure from failure.__cause__
            raise failure from failure.__cause__


def _presented(error: IngestionError) -> IngestionError:
    if isinstance(error, PipelineConfigurationError | MissingPackageError | SourceConnectionError):
        return error
    if isinstance(error, ConfigurationError | PluginError):
        return PipelineConfigurationError(str(error))
    return error


def _about(config: IngestionConfig | None) -> dict[str, str]:
    if config is None:
        return {}
    return {
        "ingestion.source_type": config.source_type,
        "ingestion.destination_table": config.destination_table,
        "ingestion.write_mode": config.write_mode,
        "ingestion.schema_contract": config.schema_contract,
    }


def _as_floe(
    result: RunResult, asked: IngestionConfig, pipeline: Pipeline, seconds: float
) -> IngestionResult:
    """Return a result in floe's words: plain values alone, since it becomes the value of an asset."""
    tables = [table for source in result.sources for table in source.tables if table.committed]
    about = (
        f"[source_type={asked.source_type}, destination_table={asked.destination_table}, "
        f"pipeline={pipeline.pipeline_name}, run_id={result.run_id}]"
    )
    return IngestionResult(
        success=result.success,
        rows_loaded=sum(table.rows_loaded for table in tables),
        bytes_written=sum(table.bytes_written for table in tables),
        duration_seconds=seconds,
        errors=[
            f"{error.category}: {error.type}: {error.message} {about}"
            for source in result.sources
            for error in source.errors
        ],
    )
