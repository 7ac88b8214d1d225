"""How much of the work is done: ``BENCH_SCALE=small`` sees in minutes that each benchmark runs to its end."""

from __future__ import annotations

import math
import os

SCALE = os.environ.get("BENCH_SCALE", "full")
if SCALE not in {"full", "small"}:
    raise ValueError(f"BENCH_SCALE is {SCALE!r}; it may be 'full' or 'small'")
IS_FULL = SCALE == "full"
TPCH = "0.2" if IS_FULL else "0.01"
"""The scale factor of TPC-H: 1.2 million rows of ``lineitem``, or 60,000."""


def size(full: int, small: int) -> int:
    """Return the size of some work."""
    return full if IS_FULL else small


def sizes(*full: int) -> tuple[int, ...]:
    """Return the sizes of work that grows: the first ones alone, at the small scale."""
    return full if IS_FULL else full[:2]


def rounds(full: int) -> int:
    """Return how often some work is done."""
    return full if IS_FULL else min(full, 2)


def check_at_most(value: float, most: float) -> None:
    """Fail if a ratio is too large. Little work says nothing: there it only has to be a number."""
    assert math.isfinite(value)
    assert not IS_FULL or value <= most, f"{value:.3f}, at most {most:g} is due"
