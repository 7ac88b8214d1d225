"""The result of chaos as Markdown, for docs/reliability.md."""

from __future__ import annotations

from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from collections.abc import Iterable, Sequence

    from chaos.leftovers import Leftovers
    from chaos.loads import Tally
    from chaos.parallel import ParallelTally

_HEAD = (
    "what",
    "faults",
    "loads",
    "failed, then run again",
    "rows at the end",
    "rows lost",
    "rows doubled",
    "data files left over",
    "removed by `clean`",
    "seconds",
)


def table(head: Sequence[str], rows: Iterable[Sequence[object]]) -> str:
    """Return a Markdown table."""
    lines = [head, ["---"] * len(head), *rows]
    return "".join(f"| {' | '.join(str(cell) for cell in line)} |\n" for line in lines)


def report(tally: Tally, parallel: ParallelTally, left: Sequence[Leftovers], left_parallel: Leftovers) -> str:
    """Return both tables: of the loads, and of their faults."""
    in_a_row = (
        "one after the other",
        tally.injected.total(),
        tally.loads,
        tally.failed.total(),
        tally.rows,
        tally.lost,
        tally.doubled,
        sum(each.data for each in left),
        sum(each.removed for each in left),
        round(tally.seconds),
    )
    at_once = (
        f"{parallel.processes} processes, one table",
        parallel.injected.total(),
        parallel.loads,
        parallel.failed,
        parallel.rows,
        parallel.lost,
        parallel.doubled,
        left_parallel.data,
        left_parallel.removed,
        round(parallel.seconds),
    )
    kinds = sorted(set(tally.injected) | set(parallel.injected))
    faults = [(kind, tally.injected[kind], tally.failed[kind], parallel.injected[kind]) for kind in kinds]
    head = ("fault", "loads that met it", "of these failed", "times beside the processes")
    return f"{table(_HEAD, [in_a_row, at_once])}\n{table(head, faults)}"
