"""``floe-ingest init``: a starter configuration, and the schema by which editors complete it."""

from __future__ import annotations

import shlex
from pathlib import Path

import click

from floe_ingest.cli.exits import ExitCode
from floe_ingest.cli.listing import write_schema
from floe_ingest.cli.options import Command, global_options
from floe_ingest.cli.streams import write_out


@click.command("init", cls=Command, short_help="Write a commented starter configuration.")
@click.argument("path", default="ingest.yaml", type=click.Path(path_type=Path))
@click.option("--force", is_flag=True, help="Overwrite the file if it exists.")
@global_options()
def init(path: Path, force: bool) -> ExitCode:
    """Write a commented starter configuration to PATH (default: ingest.yaml).

    Beside it a JSON Schema is written, by which editors complete and check the file.
    """
    from floe_ingest.config import starter_yaml
    from floe_ingest.errors import ConfigurationError

    if path.is_dir():
        raise ConfigurationError(f"{path} is a folder. Name a file in it, as {path / 'ingest.yaml'}.")
    schema = path.with_suffix(".schema.json")
    text = starter_yaml(schema.name)
    try:
        # "x" looks and creates in one step: a file that appears in between is not overwritten.
        with path.open("w" if force else "x", encoding="utf-8") as file:
            file.write(text)
    except FileExistsError:
        raise ConfigurationError(
            f"{path} exists already and was not touched. Name another file, or overwrite it by --force."
        ) from None
    except FileNotFoundError:
        raise ConfigurationError(
            f"{path} cannot be written: there is no folder {path.parent}. Create it first."
        ) from None
    except OSError as error:
        raise ConfigurationError(f"{path} cannot be written: {error.strerror}.") from error
    if force or not schema.exists():
        write_schema(schema)
    name = shlex.quote(str(path))
    write_out(
        f"Wrote {path}, and {schema.name} for your editor. Next:\n"
        f"  1. edit it: say where your data is and which tables it becomes\n"
        f"  2. floe-ingest check {name}    validates it and probes each source; loads nothing\n"
        f"  3. floe-ingest run {name}      loads\n"
    )
    return ExitCode.DONE
