"""``floe-ingest sources``, ``plugins`` and ``schema``: what is installed, and what it accepts."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING, Any

import click

from floe_ingest.cli.exits import ExitCode
from floe_ingest.cli.options import Command, global_options, json_option
from floe_ingest.cli.streams import as_json_text, reserved_stdout, write_json, write_out

if TYPE_CHECKING:
    from floe_ingest.plugins import Plugins


@click.command("sources", cls=Command, short_help="List the installed source types, or the options of one.")
@click.argument("name", required=False)
@json_option
@global_options()
def sources(name: str | None, as_json: bool) -> ExitCode:
    """List the source types that can be written as source_type, and what they still need.

    With NAME: the options that its source_config takes.
    """
    loaded = _plugins()
    rows = source_rows(loaded)
    if name is not None:
        from floe_ingest.config import options_of

        model = loaded.source_type(name).source_type.config_model
        row = {**next(row for row in rows if row["name"] == name), "options": options_of(model)}
        if as_json:
            write_json(row)
        else:
            from floe_ingest.cli import render

            render.show_source(row)
    elif as_json:
        write_json({"source_types": rows})
    else:
        from floe_ingest.cli import render

        render.show_sources(rows)
    return ExitCode.DONE


@click.command("plugins", cls=Command, short_help="List the installed plugins.")
@json_option
@global_options()
def plugins(as_json: bool) -> ExitCode:
    """List the installed plugins with their hooks; what did not load, or is claimed twice, with the cause."""
    loaded = _plugins()
    rows, conflicts = plugin_rows(loaded), dict(loaded.conflicts())
    if as_json:
        write_json({"plugins": rows, "conflicts": conflicts})
    else:
        from floe_ingest.cli import render

        render.show_plugins(rows, list(conflicts.values()))
    return ExitCode.DONE


@click.command("schema", cls=Command, short_help="Print the JSON Schema of a configuration file.")
@click.option(
    "--output",
    "-o",
    type=click.Path(dir_okay=False, path_type=Path),
    help="Write it to this file instead of stdout.",
)
@global_options()
def schema(output: Path | None) -> ExitCode:
    """Print the JSON Schema of the whole file, with the settings of every installed source type.

    An editor that knows it completes and checks ingest.yaml while you write.
    """
    if output is None:
        write_out(schema_text())
    else:
        write_schema(output)
        write_out(f"Wrote {output}.\n")
    return ExitCode.DONE


def write_schema(path: Path) -> None:
    """Write the JSON Schema of a configuration file.

    Raises:
        ConfigurationError: the file cannot be written.
    """
    from floe_ingest.errors import ConfigurationError

    text = schema_text()
    try:
        path.write_text(text, encoding="utf-8")
    except OSError as error:
        raise ConfigurationError(f"{path} cannot be written: {error.strerror}.") from error


def schema_text() -> str:
    """Return the JSON Schema of a configuration file as text."""
    from floe_ingest.config import config_schema

    return as_json_text(config_schema(_plugins()))


def _plugins() -> Plugins:
    with reserved_stdout():
        from floe_ingest.plugins import load_plugins

        return load_plugins()


def source_rows(loaded: Plugins) -> list[dict[str, Any]]:
    """Return one JSON object for each source type, by name."""
    return [
        {
            "name": name,
            "summary": registered.source_type.summary,
            "capabilities": list(registered.source_type.capabilities),
            "plugin": registered.plugin.name,
            "distribution": registered.plugin.distribution,
            "version": registered.plugin.version,
            "missing": [
                {"import_name": requirement.import_name, "install": requirement.install}
                for requirement in loaded.missing_requirements(name)
            ],
        }
        for name, registered in sorted(loaded.source_types().items())
    ]


def plugin_rows(loaded: Plugins) -> list[dict[str, Any]]:
    """Return one JSON object for each plugin, in the order in which they were loaded."""
    return [
        {
            "name": info.name,
            "distribution": info.distribution,
            "version": info.version,
            "entry_point": info.entry_point,
            "hooks": list(info.hooks),
            "source_types": list(info.source_types),
            "error": info.error,
        }
        for info in loaded.infos()
    ]
