"""``python -m bench``: makes the environments of other tools, writes the report, and compares two runs."""

from __future__ import annotations

import json
import sys
from pathlib import Path

import click

from bench import check as checking
from bench import peers, plots, readme
from bench.report import markdown, report_of
from bench.results import Report

RESULTS = peers.ROOT / "benchmarks" / "report" / "results.json"
_FILE = click.Path(exists=True, dir_okay=False, path_type=Path)


@click.group()
def main() -> None:
    """Reports of the benchmarks."""


@main.command("peers")
def peers_command() -> None:
    """Install the tools that stand beside this project, each into an environment of its own."""
    for name, why in peers.install_all().items():
        click.echo(f"{name} will be missing: {why}", err=True)


def _report(run: Path, command: str, scale: str, *, complete: bool = True) -> Report:
    versions = {
        pin.split("==")[0].split("[")[0]: pin.split("==")[1]
        for name, pins in peers.PINS.items()
        for pin in pins
        if "==" in pin and pin.split("==")[0].split("[")[0] == name
    }
    document = json.loads(run.read_text(encoding="utf-8"))
    return report_of(document, command, scale, versions, complete=complete)


@main.command()
@click.argument("run", type=_FILE)
@click.option("--into", type=click.Path(file_okay=False, path_type=Path), default=RESULTS.parent)
@click.option("--command", default="make bench", help="By which the run was made.")
@click.option("--scale", default="full", help="Of the run.")
@click.option("--readme", "page", type=_FILE, default=None, help="The page whose figures are replaced.")
@click.option("--failed", is_flag=True, help="Some benchmarks failed.")
def report(run: Path, into: Path, command: str, scale: str, page: Path | None, *, failed: bool) -> None:
    """Write report.md, results.json and plots of RUN, a JSON of pytest-benchmark."""
    made = _report(run, command, scale, complete=not failed)
    into.mkdir(parents=True, exist_ok=True)
    for old in into.glob("*.svg"):
        old.unlink()
    drawn = plots.draw(made, into)
    (into / "report.md").write_text(markdown(made, drawn), encoding="utf-8")
    (into / "results.json").write_text(made.model_dump_json(indent=1) + "\n", encoding="utf-8")
    if page is not None:
        text = page.read_text(encoding="utf-8")
        page.write_text(readme.replaced(text, readme.figures(made)), encoding="utf-8")
    click.echo(f"{into / 'report.md'}: {len(made.results)} results")


def _committed(file: Path, scale: str) -> Report:
    if not file.is_file():
        raise click.ClickException(f"There is nothing to compare with yet: `make bench` writes {file}")
    found = Report.model_validate_json(file.read_text(encoding="utf-8"))
    if found.scale != scale:
        raise click.ClickException(f"{file} is of scale {found.scale!r}, the run of scale {scale!r}")
    return found


_BEFORE = click.option(
    "--before",
    type=click.Path(dir_okay=False, path_type=Path),
    default=RESULTS,
    help="The results to compare with.",
)


@main.command()
@_BEFORE
@click.option("--scale", default="full", help="Of a run that is to be compared with them.")
def committed(before: Path, scale: str) -> None:
    """Say which results there are to compare with, before minutes are spent on a run; end with 1 if none."""
    found = _committed(before, scale)
    click.echo(f"Compared with {len(found.comparisons)} results of commit {found.commit}, {found.taken}")


@main.command()
@click.argument("run", type=_FILE)
@_BEFORE
@click.option("--scale", default="full", help="Of the run.")
@click.option("--margin", default=checking.MARGIN, help="How many times a former ratio is let pass.")
def check(run: Path, before: Path, scale: str, margin: float) -> None:
    """Compare the ratios in RUN with those before; end with 1 if one is beyond the margin."""
    former = _committed(before, scale)
    try:
        outcome = checking.compare(former, _report(run, "make bench-check", scale), margin)
    except ValueError as error:
        raise click.ClickException(str(error)) from error
    for difference in outcome.worse:
        click.echo(str(difference), err=True)
    click.echo(
        f"{outcome.compared} ratios compared, {len(outcome.worse)} beyond {margin:g} times the former one"
    )
    sys.exit(1 if outcome.worse else 0)


if __name__ == "__main__":
    main()
