"""What an orchestrator of floe calls: the ingestion plugin as a resource, and the assets of its sources."""

from __future__ import annotations

from typing import TYPE_CHECKING

from floe_ingest.config import validate_config
from floe_ingest.errors import PipelineConfigurationError
from floe_ingest.integrations.dagster.assembly import build
from floe_ingest.plugins import load_plugins
from floe_ingest_hookspecs import DefinitionsRequest

if TYPE_CHECKING:
    from dagster import AssetsDefinition
    from floe_core.schemas.compiled_artifacts import CompiledArtifacts, PluginRef, ResolvedPlugins

    from floe_ingest.integrations.floe import DltIngestionPlugin


def create_ingestion_resources(reference: PluginRef) -> dict[str, DltIngestionPlugin]:
    """Return the plugin ``dlt``, started, by its name.

    Arguments:
        reference: of compiled artifacts, with the plugin's configuration.

    Raises:
        PipelineConfigurationError: it is another plugin.
        IngestionError: the configuration cannot work, or a package is missing.
    """
    from floe_ingest.integrations.floe import DltIngestionPlugin

    if reference.type != "dlt":
        raise PipelineConfigurationError(
            f"The ingestion plugin is {reference.type!r}; these resources are those of 'dlt'."
        )
    plugin = DltIngestionPlugin(reference.config)
    plugin.startup()
    return {"dlt": plugin}


def try_create_ingestion_resources(plugins: ResolvedPlugins | None) -> dict[str, DltIngestionPlugin]:
    """Return what ``create_ingestion_resources`` does; nothing where ``dlt`` is not selected.

    Arguments:
        plugins: of compiled artifacts.

    Raises: see ``create_ingestion_resources``; a plugin that is selected and cannot work is not passed over.
    """
    if plugins is None or plugins.ingestion is None or plugins.ingestion.type != "dlt":
        return {}
    return create_ingestion_resources(plugins.ingestion)


def create_ingestion_assets(
    artifacts: CompiledArtifacts, plugin: DltIngestionPlugin
) -> list[AssetsDefinition]:
    """Return the assets of the plugin's sources, as ``definitions`` makes them. Opens no connection.

    Arguments:
        artifacts: their deployment names the catalog, where the configuration does not.
        plugin: configured.

    Raises:
        ConfigurationError: the configuration cannot work, or a variable of the catalog is not set.
    """
    from dagster import AssetsDefinition

    written = plugin.configuration
    deployment = artifacts.deployment.ingestion if artifacts.deployment is not None else None
    binding = deployment.dlt if deployment is not None else None
    if written.catalog_config is None and binding is not None:
        from floe_ingest.integrations.floe.binding import bound_catalog

        catalog = bound_catalog(binding, written.folder)
        properties = {"name": catalog.name, "type": catalog.type, **catalog.properties}
        written = written.model_copy(update={"catalog_config": properties})
    plugins = load_plugins()
    validate_config(written, plugins)
    made = build(DefinitionsRequest(written, written.path, (), {"plugins": plugins}))
    return [asset for asset in made.assets or () if isinstance(asset, AssetsDefinition)]
