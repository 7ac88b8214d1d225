"""From a YAML file, or a mapping, to a configuration: every problem at once, each with its line."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from pydantic import ValidationError

from floe_ingest.config.catalog import read_catalog
from floe_ingest.config.checks import check_sources, written_fields
from floe_ingest.config.environment import expand
from floe_ingest.config.locations import Finding, Location, show_location
from floe_ingest.config.models import DltIngestionConfig
from floe_ingest.config.problems import Disclosure, translate
from floe_ingest.config.schema import ModelSchema
from floe_ingest.config.yaml_file import Document, read_document
from floe_ingest.errors import ConfigProblem, InvalidConfigError

if TYPE_CHECKING:
    import os
    from pathlib import Path

    from floe_ingest.plugins import Plugins


def load_config(path: str | os.PathLike[str], *, plugins: Plugins | None = None) -> DltIngestionConfig:
    """Read a configuration file and check all of it, without opening a connection.

    Arguments:
        path: a YAML file in UTF-8. Relative paths in it are relative to its folder.
        plugins: know the source types; by default all that are installed.

    Raises:
        InvalidConfigError: carries every problem, with path, line, what is valid and the nearest valid word.
        PluginError: a plugin breaks the contract.
    """
    document = read_document(path)
    config, findings = _parse(document.value, document.path, plugins)
    if config is None or findings:
        raise InvalidConfigError(_with_lines(findings, document), document.origin)
    return config


def parse_config(
    document: dict[str, Any], *, path: Path | None = None, plugins: Plugins | None = None
) -> DltIngestionConfig:
    """Make a configuration from a mapping, and check all of it as ``load_config`` does.

    Arguments:
        document: what a YAML file would hold.
        path: a file in whose folder relative paths start; the working directory by default.
        plugins: know the source types; by default all that are installed.

    Raises:
        InvalidConfigError: carries every problem; lines are None.
        PluginError: a plugin breaks the contract.
    """
    config, findings = _parse(document, path, plugins)
    if config is None or findings:
        problems = [ConfigProblem(show_location(finding.location), finding.message) for finding in findings]
        raise InvalidConfigError(problems)
    return config


def _parse(
    document: dict[str, Any], path: Path | None, plugins: Plugins | None
) -> tuple[DltIngestionConfig | None, list[Finding]]:
    if plugins is None:
        from floe_ingest.plugins import load_plugins

        plugins = load_plugins()
    config, findings = _validate(document)
    if config is not None:
        config = config.at(path)
        sources: list[Any] = [written_fields(source) for source in config.sources]
    else:
        raw = document.get("sources")
        sources = [_leniently(source) for source in raw] if isinstance(raw, list) else []
    if not document.get("sources"):
        findings.append(Finding(("sources",), "there are no sources; name at least one to load"))
    # A catalog alone, so that its problems show beside those of the sources.
    catalog = document.get("catalog_config")
    alone = config or DltIngestionConfig(catalog_config=catalog if _has_text_keys(catalog) else None).at(path)
    found = [*read_catalog(alone)[1], *check_sources(sources, plugins)]
    known = [finding.location for finding in findings]
    return config, findings + [finding for finding in found if not _is_known(finding.location, known)]


def _is_known(location: Location, known: list[Location]) -> bool:
    """Whether a problem was found at, or inside, this place already."""
    return any(other[: len(location)] == location for other in known)


def _has_text_keys(value: Any) -> bool:
    return isinstance(value, dict) and all(isinstance(key, str) for key in value)


def _validate(document: dict[str, Any]) -> tuple[DltIngestionConfig | None, list[Finding]]:
    try:
        return DltIngestionConfig.model_validate(document), []
    except ValidationError as error:
        schema = ModelSchema(DltIngestionConfig, document)
        return None, translate(error, document, schema, Disclosure(_is_guarded), hint=_hint)


def _is_guarded(location: Location) -> bool:
    return location[:1] == ("catalog_config",) or "source_config" in location


def _hint(location: Location) -> str:
    is_of_source = len(location) == 3 and location[0] == "sources"
    return "the settings of a source itself stand under source_config" if is_of_source else ""


def _leniently(source: Any) -> Any:
    """Return a source that may not be valid, with the environment filled into its own fields."""
    if not isinstance(source, dict):
        return source
    kept = {"source_config", "resources"} & source.keys()
    plain = expand({key: value for key, value in source.items() if key not in kept}).value
    return {**plain, **{key: source[key] for key in kept}}


def _with_lines(findings: list[Finding], document: Document) -> list[ConfigProblem]:
    problems = [
        ConfigProblem(show_location(finding.location), finding.message, document.line_of(finding.location))
        for finding in findings
    ]
    return sorted(problems, key=lambda problem: problem.line or 0)
