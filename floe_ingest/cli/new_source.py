"""``floe-ingest new-source``: a source package to start from."""

from __future__ import annotations

from pathlib import Path

import click

from floe_ingest.cli.exits import ExitCode
from floe_ingest.cli.options import Command, global_options
from floe_ingest.cli.streams import write_out
from floe_ingest.scaffold import KINDS, Kind


@click.command("new-source", cls=Command, short_help="Write a source package to start from.")
@click.argument("name")
@click.option(
    "--kind",
    type=click.Choice(KINDS),
    default="python",
    show_default=True,
    help="What it reads: rows made by Python code, a REST API, a SQL database, or files.",
)
@click.option(
    "--output",
    "-o",
    "parent",
    type=click.Path(file_okay=False, path_type=Path),
    default=".",
    help="The folder to write it into (default: this one).",
)
@global_options()
def new_source(name: str, kind: Kind, parent: Path) -> ExitCode:
    """Write a package that loads from NAME, with a configuration model, hooks, tests and a CI file.

    Its tests pass as they are: change the code, and they say what is not right.
    """
    from floe_ingest.scaffold.package import write_package

    package = write_package(name, kind, parent)
    write_out(
        f"Wrote {package.folder}, {len(package.files)} files. Next:\n"
        f"  1. cd {package.folder}\n"
        f"  2. pip install --editable '.[test]'\n"
        f"  3. pytest\n"
        f"  4. edit {package.module.relative_to(package.folder)} until it loads what you want\n"
    )
    return ExitCode.DONE
