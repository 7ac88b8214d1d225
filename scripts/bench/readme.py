"""Puts the figures of a report into the README: between two marks, and nowhere else."""

from __future__ import annotations

from typing import TYPE_CHECKING

from bench.report import number, table

if TYPE_CHECKING:
    from bench.results import Report

START = "<!-- figures: made by `make bench` from benchmarks/report/results.json -->"
END = "<!-- end of figures -->"
GROUP = "Loads beside other tools, whole processes"


def figures(report: Report) -> str:
    """Return the README's table and plot: the loads that stand beside other tools.

    Raises:
        ValueError: there are none.
    """
    rows = []
    shown = [comparison for comparison in report.comparisons if comparison.group == GROUP]
    if not shown:
        raise ValueError(f"The report has no results in {GROUP!r}")
    for comparison in shown:
        ours = comparison.sides[comparison.ours]
        others = {name: side for name, side in comparison.sides.items() if name != comparison.ours}
        beside = ", ".join(
            f"{name} {number(side.median)} s"
            for name, side in sorted(others.items(), key=lambda o: o[1].median)
        )
        rows.append((comparison.title, f"{number(ours.median)} s", f"{ours.peak_mb:.0f} MB", beside))
    parts = [table(("work", "floe-ingest", "peak", "beside it"), rows)]
    machine = report.machine
    if report.scale != "full":
        parts.insert(0, f"**Scale `{report.scale}`: these figures say nothing about speed.**")
    parts += [
        "![Loads beside other tools](benchmarks/report/loads-beside-other-tools-whole-processes.svg)",
        f"Medians of whole processes, start included, by `{report.command}` on {report.taken}: "
        f"{machine.cores} cores, {machine.memory_gb:g} GB, Python {machine.python}. "
        "[The report](benchmarks/report/report.md) has the rest.",
    ]
    return "\n\n".join(parts)


def replaced(text: str, block: str) -> str:
    """Return a text with a new block between the marks.

    Raises:
        ValueError: there is not one pair of marks.
    """
    before, found, rest = text.partition(START)
    _, ended, after = rest.partition(END)
    if not found or not ended or START in after or END in after:
        raise ValueError(f"The text needs one pair of marks: {START} and {END}")
    return f"{before}{START}\n{block}\n{END}{after}"


def block_of(text: str) -> str:
    """Return what stands between the marks; empty where there are no marks.

    Raises:
        ValueError: one of the marks is missing.
    """
    if START not in text and END not in text:
        return ""
    if START not in text or END not in text:
        raise ValueError("One of the marks is missing")
    return text.partition(START)[2].partition(END)[0].strip("\n")
