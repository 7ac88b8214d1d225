"""Draws the plots of a report."""

from __future__ import annotations

import re
from collections import defaultdict
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from collections.abc import Iterable
    from pathlib import Path

    from bench.results import Comparison, Growth, Report

_OURS, _OTHERS = "#1f6f8b", "#b8bec6"


def draw(report: Report, folder: Path) -> dict[str, str]:
    """Draw what a report tells: bars for each group in which processes stand side by side, lines for growth.

    Arguments:
        report: all results.
        folder: into which SVG files are written.

    Returns:
        By group or title, the name of the file.
    """
    import matplotlib as mpl

    mpl.use("Agg")
    # The same results give the same files: no date, and ids that do not depend on chance.
    mpl.rcParams.update({"svg.hashsalt": "floe-ingest", "svg.fonttype": "none", "font.size": 9})
    groups: dict[str, list[Comparison]] = defaultdict(list)
    for comparison in report.comparisons:
        if any(side.process for side in comparison.sides.values()) and len(comparison.sides) > 2:
            groups[comparison.group].append(comparison)
    drawn = {}
    for group, comparisons in groups.items():
        drawn[group] = _save(_bars(comparisons), folder, group)
    for growth in report.growths:
        drawn[growth.title] = _save(_line(growth), folder, growth.title)
    return drawn


def _save(figure: Any, folder: Path, name: str) -> str:
    from matplotlib import pyplot as plt

    file = re.sub(r"[^a-z0-9]+", "-", name.lower()).strip("-") + ".svg"
    figure.savefig(folder / file, metadata={"Date": None})
    plt.close(figure)
    return file


def _bars(comparisons: Iterable[Comparison]) -> Any:
    from matplotlib import pyplot as plt

    shown = list(comparisons)
    heights = [0.6 + 0.25 * len(comparison.sides) for comparison in shown]
    figure, all_axes = plt.subplots(
        len(shown), figsize=(7, sum(heights)), layout="constrained", squeeze=False, height_ratios=heights
    )
    for axes, comparison in zip(all_axes[:, 0], shown, strict=True):
        sides = sorted(comparison.sides.items(), key=lambda item: item[1].median, reverse=True)
        colours = [_OURS if name == comparison.ours else _OTHERS for name, _ in sides]
        bars = axes.barh([name for name, _ in sides], [side.median for _, side in sides], color=colours)
        labels = [f"{side.median:.2f} s, {side.peak_mb:.0f} MB" for _, side in sides]
        axes.bar_label(bars, labels, padding=3, fontsize=8)
        axes.set_title(comparison.title, loc="left", fontsize=9)
        axes.margins(x=0.25)
        axes.spines[["top", "right"]].set_visible(False)
    all_axes[-1, 0].set_xlabel("seconds, median")
    return figure


def _line(growth: Growth) -> Any:
    from matplotlib import pyplot as plt

    figure, (time, memory) = plt.subplots(1, 2, figsize=(7, 2.6), layout="constrained")
    sizes = [point.size for point in growth.points]
    for axes, values, unit, fitted in (
        (time, [point.seconds for point in growth.points], "seconds", growth.time),
        (memory, [point.peak_mb for point in growth.points], "peak MB", growth.memory),
    ):
        axes.loglog(sizes, values, "o-", color=_OURS)
        axes.set_xlabel(growth.axis)
        axes.set_title(f"{unit}, exponent {fitted:.2f}", loc="left", fontsize=9)
        axes.set_ylim(min(values) / 3, max(values) * 3)
        axes.spines[["top", "right"]].set_visible(False)
    figure.suptitle(growth.title, x=0.01, ha="left", fontsize=10)
    return figure
