"""``floe-ingest sources`` and ``floe-ingest plugins``: what is installed."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import click

from floe_ingest.cli.exits import ExitCode
from floe_ingest.cli.options import Command, global_options, json_option
from floe_ingest.cli.streams import reserved_stdout, write_json

if TYPE_CHECKING:
    from floe_ingest.plugins import Plugins


@click.command("sources", cls=Command, short_help="List the installed source types.")
@json_option
@global_options()
def sources(as_json: bool) -> ExitCode:
    """List the source types that can be written as source_type, and what they still need."""
    with reserved_stdout():
        from floe_ingest.plugins import load_plugins

        loaded = load_plugins()
    rows = source_rows(loaded)
    if as_json:
        write_json({"source_types": rows})
    else:
        from floe_ingest.cli import render

        render.show_sources(rows)
    return ExitCode.DONE


@click.command("plugins", cls=Command, short_help="List the installed plugins.")
@json_option
@global_options()
def plugins(as_json: bool) -> ExitCode:
    """List the installed plugins with their hooks; those that failed to load with the cause."""
    with reserved_stdout():
        from floe_ingest.plugins import load_plugins

        loaded = load_plugins()
    rows = plugin_rows(loaded)
    if as_json:
        write_json({"plugins": rows})
    else:
        from floe_ingest.cli import render

        render.show_plugins(rows)
    return ExitCode.DONE


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
