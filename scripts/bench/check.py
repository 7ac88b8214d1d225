"""Compares a run with the committed results: by ratios, since seconds differ between machines and days."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from bench.results import Report

MARGIN = 1.3
"""How many times the committed ratio a ratio may be."""
LEAST_SECONDS = 0.02
"""Sides that take less are not compared: there chance decides."""


@dataclass(frozen=True)
class Difference:
    """A ratio that is not what it was.

    Arguments:
        title: of the work.
        beside: the side that ours stands beside.
        before, now: the ratio of ours to it; None where there is no such side any more.
    """

    title: str
    beside: str
    before: float
    now: float | None

    def __str__(self) -> str:
        where = f"{self.title}: ours beside {self.beside}"
        if self.now is None:
            return f"{where} was {self.before:.2f}, and is not measured any more"
        return (
            f"{where} was {self.before:.2f}, is {self.now:.2f} ({self.now / self.before:.2f} times as much)"
        )


@dataclass(frozen=True)
class Outcome:
    """What a comparison of two runs gave.

    Arguments:
        compared: how many ratios.
        worse: those beyond the margin.
    """

    compared: int
    worse: tuple[Difference, ...]


def compare(before: Report, now: Report, margin: float = MARGIN) -> Outcome:
    """Compare the ratios of our wall time to that of each other side, for all work that both runs did.

    Arguments:
        before: the committed results.
        now: those of a run, of all work or of some.
        margin: how many times the former ratio is let pass.

    Raises:
        ValueError: the runs have no work in common, or are of different scale.
    """
    if before.scale != now.scale:
        raise ValueError(
            f"A run of scale {now.scale!r} cannot be compared with one of scale {before.scale!r}"
        )
    former = {comparison.title: comparison for comparison in before.comparisons}
    worse, compared = [], 0
    for comparison in now.comparisons:
        if comparison.title not in former:
            continue
        old = former[comparison.title]
        for beside, was in old.ratios().items():
            if min(old.sides[old.ours].median, old.sides[beside].median) < LEAST_SECONDS:
                continue
            compared += 1
            ratio = comparison.ratios().get(beside)
            if ratio is None or ratio > margin * was:
                worse.append(Difference(comparison.title, beside, was, ratio))
    if not compared:
        raise ValueError("The two runs have nothing in common that can be compared")
    return Outcome(compared, tuple(worse))
