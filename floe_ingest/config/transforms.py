"""Iceberg's partition transforms and sort orders, as they are written in a configuration."""

from __future__ import annotations

import re
from dataclasses import dataclass
from typing import Literal, cast

from floe_ingest.config.words import did_you_mean, one_of

Transform = Literal["identity", "year", "month", "day", "hour", "bucket", "truncate"]
TRANSFORMS: tuple[Transform, ...] = ("identity", "year", "month", "day", "hour", "bucket", "truncate")

_WITH_WIDTH = ("bucket", "truncate")
_LARGEST_WIDTH = 2**31 - 1  # Iceberg's parameters are 32-bit integers.

_COLUMN = r"[^\s()\[\],]+"
_CALL = re.compile(rf"(?P<name>\w+)\s*(?:\[\s*(?P<width>[^\]]*?)\s*\])?\s*\(\s*(?P<column>{_COLUMN})\s*\)")
_PLAIN = re.compile(_COLUMN)
_SORT = re.compile(rf"(?P<column>{_COLUMN})(?:\s+(?P<direction>asc|desc))?", re.IGNORECASE)

_FORMS = "a column, year(c), month(c), day(c), hour(c), bucket[16](c) or truncate[4](c)"


@dataclass(frozen=True, slots=True)
class PartitionField:
    """One field of a partition spec.

    Arguments:
        transform: Iceberg's transform.
        column: the column that it is taken of.
        width: the number of buckets, or the length to cut to; None for the other transforms.

    Example:
        >>> str(parse_partition("bucket[16](id)")), parse_partition("country").transform
        ('bucket[16](id)', 'identity')
    """

    transform: Transform
    column: str
    width: int | None = None

    def __str__(self) -> str:
        if self.transform == "identity":
            return self.column
        width = f"[{self.width}]" if self.width is not None else ""
        return f"{self.transform}{width}({self.column})"


@dataclass(frozen=True, slots=True)
class SortField:
    """One field of a sort order.

    Example:
        >>> str(parse_sort("updated_at DESC"))
        'updated_at desc'
    """

    column: str
    direction: Literal["asc", "desc"] = "asc"

    def __str__(self) -> str:
        return self.column if self.direction == "asc" else f"{self.column} desc"


def parse_partition(text: str) -> PartitionField:
    """Parse one entry of ``partition_by``.

    Arguments:
        text: ``column``, ``identity(column)``, ``year(c)``, ``month(c)``, ``day(c)``, ``hour(c)``,
            ``bucket[N](c)`` or ``truncate[N](c)``.

    Raises:
        ValueError: it is none of these; the message says which are.
    """
    stripped = text.strip()
    if _PLAIN.fullmatch(stripped):
        return PartitionField("identity", stripped)
    call = _CALL.fullmatch(stripped)
    if call is None:
        raise ValueError(f"is not a partition transform; write {_FORMS}")
    name = call["name"].lower()
    if name not in TRANSFORMS:
        near = did_you_mean(name, TRANSFORMS)
        raise ValueError(f"{name!r} is not a transform of Iceberg; use {one_of(TRANSFORMS)}{near}")
    return PartitionField(cast("Transform", name), call["column"], _width(name, call["width"]))


def _width(name: str, written: str | None) -> int | None:
    if name not in _WITH_WIDTH:
        if written is not None:
            raise ValueError(f"{name} takes no number; write {name}(column)")
        return None
    if written is None:
        raise ValueError(f"{name} needs a number; write {name}[16](column)")
    if not (written.isascii() and written.isdigit() and 1 <= int(written) <= _LARGEST_WIDTH):
        raise ValueError(f"the number of {name} should be between 1 and {_LARGEST_WIDTH}")
    return int(written)


def parse_sort(text: str) -> SortField:
    """Parse one entry of ``sort_by``: ``column``, ``column asc`` or ``column desc``.

    Raises:
        ValueError: it is none of these.
    """
    match = _SORT.fullmatch(text.strip())
    if match is None:
        raise ValueError("is not a sort field; write a column, optionally with asc or desc after it")
    direction = (match["direction"] or "asc").lower()
    return SortField(match["column"], cast('Literal["asc", "desc"]', direction))
