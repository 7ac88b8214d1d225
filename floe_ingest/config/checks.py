"""What the models alone cannot see: names that clash, unknown types, ``source_config``, missing behaviour."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from floe_ingest.config.catalog import read_catalog
from floe_ingest.config.fields import RESOURCE
from floe_ingest.config.locations import Finding, Location, show_location
from floe_ingest.config.source_settings import validate_settings
from floe_ingest.errors import (
    ConfigProblem,
    InvalidConfigError,
    PluginConflictError,
    SourceConfigurationError,
)
from floe_ingest_hookspecs import SourceRequest

if TYPE_CHECKING:
    from collections.abc import Iterable, Iterator, Mapping, Sequence

    from floe_ingest.config.models import DltIngestionConfig, SourceConfig, TableOptions
    from floe_ingest.plugins import Plugins, RegisteredType
    from floe_ingest_hookspecs import CatalogRequest


def validate_config(config: DltIngestionConfig, plugins: Plugins) -> None:
    """Check a configuration that was made in Python; ``load_config`` has done it for one from a file.

    Arguments:
        config: any configuration, also one without sources.
        plugins: know the source types.

    Raises:
        InvalidConfigError: carries every problem.
        PluginError: a plugin's model failed with something that is not about the configuration.
    """
    _, catalog = read_catalog(config)
    sources = [written_fields(source) for source in config.sources]
    refuse([*catalog, *check_sources(sources, plugins)], _origin(config))


def resolve_source(source: SourceConfig, config: DltIngestionConfig, plugins: Plugins) -> SourceRequest:
    """Return a source as its plugin gets it: the environment filled in, its settings validated.

    Arguments:
        source: one of ``config.sources``.
        config: the configuration around it; tells the folder.
        plugins: know the source types.

    Raises:
        InvalidConfigError: its type is unknown, a variable is missing, or its settings are wrong.
        PluginError: the type's model failed with something that is not about the configuration.
    """
    names = [other.name for other in config.sources]
    location: Location = ("sources", names.index(source.name)) if source.name in names else ()
    registered, findings = _registered(source.source_type, location, plugins)
    settings = None
    if registered is not None:
        settings, found = validate_settings(source.source_config, registered, (*location, "source_config"))
        findings += found
    refuse(findings, _origin(config))
    return source_request(source, config, settings)


def source_request(source: SourceConfig, config: DltIngestionConfig, settings: Any) -> SourceRequest:
    """Return a source with its settings as a request; they are None where another brings the source."""
    return SourceRequest(
        name=source.name,
        source_type=source.source_type,
        config=settings,
        destination_table=source.destination_table,
        write_mode=source.write_mode,
        primary_key=source.primary_key or (),
        cursor_field=source.cursor_field,
        config_folder=config.folder,
        cursor=source.cursor_as_asked(),
        resource_cursors={name: source.options_for(name).cursor_as_asked() for name in source.resources},
    )


def written_fields(options: TableOptions) -> dict[str, Any]:
    """Return the fields of a model that were set, models inside it likewise."""
    fields = {name: getattr(options, name) for name in options.model_fields_set}
    resources = fields.get("resources")
    if isinstance(resources, dict):
        fields["resources"] = {name: written_fields(resource) for name, resource in resources.items()}
    return fields


def resolve_catalog(config: DltIngestionConfig) -> CatalogRequest:
    """Return the catalog of a configuration, with the environment, defaults and relative paths filled in.

    Without ``catalog_config``: a SQL catalog in SQLite, ``warehouse/catalog.db`` in the configuration's
    folder, and the data beside it. Nothing is created on disk.

    Raises:
        InvalidConfigError: a variable is missing, or a property is neither text, number nor truth value.
    """
    request, findings = read_catalog(config)
    refuse(findings, _origin(config))
    return request


def refuse(findings: Iterable[Finding], origin: str) -> None:
    """Raise InvalidConfigError for findings without lines, if there are any."""
    problems = [ConfigProblem(show_location(finding.location), finding.message) for finding in findings]
    if problems:
        raise InvalidConfigError(problems, origin)


def _origin(config: DltIngestionConfig) -> str:
    return config.path.name if config.path is not None else "The configuration"


def check_sources(sources: Sequence[Any], plugins: Plugins) -> Iterator[Finding]:
    """Yield what is wrong with sources beyond their own fields.

    Arguments:
        sources: the fields that were written, as mappings; what is no mapping is passed over, as are
            values of a wrong type, since the models report those.
        plugins: know the source types.
    """
    first_by_name: dict[str, tuple[int, str]] = {}
    for index, source in enumerate(sources):
        if isinstance(source, dict):
            location: Location = ("sources", index)
            yield from _check_name(source.get("name"), index, first_by_name)
            yield from _check_settings(source, location, plugins)
            yield from _check_cursors(source, location)
            yield from _check_destination(source, location)


def _check_name(name: Any, index: int, first_by_name: dict[str, tuple[int, str]]) -> Iterator[Finding]:
    if not isinstance(name, str):
        return
    # dlt keeps the state of both under one name, and so does a file system that ignores case.
    first, written_there = first_by_name.setdefault(name.lower().replace("-", "_"), (index, name))
    if first == index:
        return
    location = ("sources", index, "name")
    if written_there == name:
        yield Finding(location, f"{name!r} is the name of sources[{first}] already; give each its own")
    else:
        message = f"{name!r} differs from {written_there!r} of sources[{first}] only in case, - and _"
        yield Finding(location, message)


def _check_settings(source: Mapping[str, Any], location: Location, plugins: Plugins) -> Iterator[Finding]:
    name, settings = source.get("source_type"), source.get("source_config")
    if not isinstance(name, str) or not name:
        return
    registered, findings = _registered(name, location, plugins)
    yield from findings
    if registered is not None and isinstance(settings, dict | None):
        _, found = validate_settings(settings or {}, registered, (*location, "source_config"))
        yield from found


def _check_cursors(source: Mapping[str, Any], location: Location) -> Iterator[Finding]:
    """Find options of a cursor where no cursor_field says which column they are about."""
    resources = source.get("resources")
    named = [item for item in (resources or {}).items() if isinstance(item[1], dict)]
    at_source = source.get("cursor_field") is not None
    anywhere = at_source or any(options.get("cursor_field") is not None for _, options in named)
    if source.get("cursor") is not None and not anywhere:
        yield _no_cursor_field(location)
    for name, options in named:
        has_field = options["cursor_field"] is not None if "cursor_field" in options else at_source
        if options.get("cursor") is not None and not has_field:
            yield _no_cursor_field((*location, "resources", name))


def _no_cursor_field(location: Location) -> Finding:
    return Finding((*location, "cursor"), "says how cursor_field is read; name the column there")


def _registered(
    name: str, location: Location, plugins: Plugins
) -> tuple[RegisteredType | None, list[Finding]]:
    try:
        return plugins.source_type(name), []
    except (SourceConfigurationError, PluginConflictError) as error:
        return None, [Finding((*location, "source_type"), str(error))]


def _check_destination(source: Mapping[str, Any], location: Location) -> Iterator[Finding]:
    table, resources = source.get("destination_table"), source.get("resources")
    if (
        isinstance(table, str)
        and RESOURCE not in table
        and isinstance(resources, dict)
        and len(resources) > 1
    ):
        names = ", ".join(str(name) for name in resources)
        message = f"{table!r} is one table for several resources ({names}); put {RESOURCE} into its name"
        yield Finding((*location, "destination_table"), message)
