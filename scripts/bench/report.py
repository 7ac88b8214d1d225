"""Writes the report of a run: Markdown, with its plots beside it, from results alone."""

from __future__ import annotations

import platform
from collections import defaultdict
from importlib import metadata
from pathlib import Path
from typing import TYPE_CHECKING, Any

from bench.results import Comparison, Growth, Machine, Report, Side, results_of

if TYPE_CHECKING:
    from collections.abc import Iterable, Mapping

_VERSIONS = ("dlt", "duckdb", "pyiceberg", "pyarrow", "pluggy", "pydantic", "dagster", "floe-core")
_WARNING = (
    "> **Scale `{scale}`: a run that shows that the benchmarks work. Its figures say nothing about speed.**"
)


def report_of(
    document: Mapping[str, Any],
    command: str,
    scale: str,
    versions: Mapping[str, str],
    *,
    complete: bool = True,
) -> Report:
    """Make a report of a JSON of pytest-benchmark.

    Arguments:
        document: that JSON.
        command: by which it was made.
        scale: of the run.
        versions: of other tools that were run, beside those of this environment.
        complete: whether no benchmark failed.

    Raises:
        ValueError: a benchmark was done at another scale, or two have one title.
    """
    results = results_of(document)
    if other := {result.scale for result in results} - {scale}:
        raise ValueError(f"Benchmarks of scale {sorted(other)} among those of scale {scale!r}")
    commit = document.get("commit_info", {})
    return Report(
        command=command,
        scale=scale,
        taken=str(document["datetime"])[:10],
        commit=str(commit.get("id") or "unknown")[:12] + ("+" if commit.get("dirty") else ""),
        machine=_machine(document["machine_info"], versions),
        complete=complete,
        results=results,
    )


def _machine(info: Mapping[str, Any], versions: Mapping[str, str]) -> Machine:
    cpu = info.get("cpu", {})
    memory = Path("/proc/meminfo").read_text(encoding="ascii").split()[1]
    return Machine(
        processor=str(cpu.get("brand_raw") or info.get("processor") or platform.machine()),
        cores=int(cpu.get("count") or 0),
        memory_gb=round(int(memory) / 1024 / 1024, 1),
        system=f"{info['system']} {info['release']}",
        python=str(info["python_version"]),
        versions={name: metadata.version(name) for name in _VERSIONS} | dict(versions),
    )


def markdown(report: Report, plots: Mapping[str, str]) -> str:
    """Return the report.

    Arguments:
        report: all results.
        plots: by title of a result or name of a group, the file of its plot.
    """
    parts = ["# Benchmarks", *_head(report), "## Targets", _targets(report.comparisons)]
    groups: dict[str, list[Comparison]] = defaultdict(list)
    for comparison in report.comparisons:
        groups[comparison.group].append(comparison)
    for group, comparisons in groups.items():
        parts.append(f"## {group}")
        if group in plots:
            parts.append(f"![{group}]({plots[group]})")
        for comparison in comparisons:
            parts += [f"### {comparison.title}", _sides(comparison), *_remarks(comparison)]
    if report.growths:
        parts += ["## Growth", _growth(report.growths)]
        parts += [f"![{g.title}]({plots[g.title]})" for g in report.growths if g.title in plots]
    return "\n\n".join(part for part in parts if part) + "\n"


def _head(report: Report) -> list[str]:
    machine = report.machine
    versions = ", ".join(f"{name} {version}" for name, version in sorted(machine.versions.items()))
    warning = [] if report.scale == "full" else [_WARNING.format(scale=report.scale)]
    if not report.complete:
        warning.append("> **Some benchmarks failed in this run, so their results may be missing.**")
    return [
        *warning,
        f"Made by `{report.command}` on {report.taken}, of commit `{report.commit}`.",
        f"{machine.processor}, {machine.cores} cores, {machine.memory_gb:g} GB; {machine.system}; "
        f"Python {machine.python}. {versions}.",
        "Workloads of one table were done in turns. Seconds are medians of the rounds, by the clock; CPU "
        "seconds are the least; memory is the most that the process and all that it started held. `p` marks "
        "processes of their own, whose start is included; `alone` leaves it out. The others ran in one warm "
        "process, whose memory they share.",
    ]


def table(head: Iterable[str], rows: Iterable[Iterable[str]]) -> str:
    """Return a table in Markdown."""
    names = list(head)
    lines = [names, ["---"] * len(names), *map(list, rows)]
    return "\n".join(f"| {' | '.join(line)} |" for line in lines)


def number(value: float) -> str:
    """Return a number with three digits that say something."""
    return f"{value:,.0f}" if value >= 100 else f"{value:.3g}"


def _targets(comparisons: Iterable[Comparison]) -> str:
    rows = [
        (
            comparison.title,
            target.text() if target.side == comparison.ours else f"{target.side}: {target.text()}",
            number(comparison.measured(target)),
            "yes" if comparison.measured(target) <= target.most else "**no**",
        )
        for comparison in comparisons
        for target in comparison.targets
    ]
    return table(("work", "target", "measured", "reached"), rows)


def _sides(comparison: Comparison) -> str:
    head = ["", "seconds", "ours / this", "CPU s", "peak MB", "rounds", "alone s", "rows", "MB written"]
    rows = []
    for name, side in comparison.sides.items():
        ratio = "" if name == comparison.ours else f"{comparison.ratio(comparison.ours, name):.2f}"
        rows.append([f"{name}{' `p`' if side.process else ''}", *_figures(side, ratio)])
    return table([*head, "files", "snapshots"], rows)


def _figures(side: Side, ratio: str) -> list[str]:
    facts = side.table
    alone = number(sorted(side.alone)[len(side.alone) // 2]) if side.alone else ""
    left = ["", "", "", ""]
    if facts is not None:
        left = [
            f"{facts.rows:,}",
            number(facts.bytes_written / 1e6),
            str(facts.files),
            str(facts.snapshots),
        ]
    measured = [number(side.median), ratio, number(side.least_cpu), number(side.peak_mb)]
    return [*measured, str(len(side.seconds)), alone, *left]


def _remarks(comparison: Comparison) -> list[str]:
    said = []
    if comparison.equal:
        said.append("All tables hold the same rows (counts and checksums are equal).")
    if comparison.missing:
        reasons = "; ".join(f"{name}: {why}" for name, why in sorted(comparison.missing.items()))
        said.append(f"Not run: {reasons}.")
    return said


def _growth(growths: Iterable[Growth]) -> str:
    head = (
        "work",
        "sizes",
        "seconds",
        "peak MB",
        "exponent of time",
        "of the largest",
        "at most",
        "of memory",
        "of the largest",
        "at most",
    )
    rows = [
        (
            growth.title,
            ", ".join(f"{point.size:,.0f}" for point in growth.points) + f" {growth.axis}",
            ", ".join(number(point.seconds) for point in growth.points),
            ", ".join(number(point.peak_mb) for point in growth.points),
            f"{growth.time:.2f}",
            f"{growth.last_time:.2f}",
            f"{growth.most:g}",
            f"{growth.memory:.2f}",
            f"{growth.last_memory:.2f}",
            f"{growth.most_memory:g}",
        )
        for growth in growths
    ]
    return table(head, rows)
