"""Checks of what landed: from metadata, or from the key columns of the newest snapshot's files alone."""

from __future__ import annotations

from datetime import UTC, date, datetime, time, timedelta
from typing import TYPE_CHECKING, Any

from dagster import (
    AssetCheckResult,
    AssetCheckSeverity,
    AssetCheckSpec,
    MetadataValue,
)

if TYPE_CHECKING:
    from collections.abc import Iterator, Mapping

    from dagster import AssetKey

    from floe_ingest.destination.target import Target
    from floe_ingest.integrations.dagster.parts import Part

ROW_COUNT = "row_count"
PRIMARY_KEY = "primary_key"
FRESHNESS = "freshness"


def check_specs(parts: Mapping[AssetKey, Part]) -> list[AssetCheckSpec]:
    """Return the checks of a source's tables."""
    return [
        AssetCheckSpec(name, asset=key, description=about)
        for key, part in parts.items()
        if part.table is not None
        for name, about in _names(part)
    ]


def _names(part: Part) -> Iterator[tuple[str, str]]:
    options = part.source.options_for(part.resource or part.name)
    yield ROW_COUNT, "The table has the rows that its newest load says it wrote."
    if options.write_mode == "merge" and options.primary_key and options.merge_strategy != "scd2":
        yield PRIMARY_KEY, "No key is missing, and none is there twice, in what the newest load wrote."
    if options.cursor_field and part.source.fresh_within_hours is not None:
        yield FRESHNESS, f"The newest row is not older than {part.source.fresh_within_hours:g} hours."


def checked(name: str, asset: AssetKey, part: Part, target: Target) -> AssetCheckResult:
    """Return what one check of a table found."""
    passed, told, metadata = {ROW_COUNT: _rows, PRIMARY_KEY: _keys, FRESHNESS: _fresh}[name](part, target)
    return AssetCheckResult(
        asset_key=asset,
        check_name=name,
        passed=passed,
        description=told,
        metadata=metadata,
        severity=AssetCheckSeverity.WARN if name == FRESHNESS else AssetCheckSeverity.ERROR,
    )


_Checked = tuple[bool, str, dict[str, Any]]


def _rows(part: Part, target: Target) -> _Checked:
    facts = target.facts(str(part.table))
    if facts is None:
        return False, "The table has no snapshot: it was never loaded.", {}
    metadata = {
        "total_rows": MetadataValue.int(facts.total_rows),
        "added_rows": MetadataValue.int(facts.added_rows),
    }
    if facts.rows is None:
        return True, "Another program wrote the newest snapshot; it does not say how many rows.", metadata
    metadata["rows_of_load"] = MetadataValue.int(facts.rows)
    # A merge, or a range of a cursor, rewrites rows that were there: its files may hold more than the load.
    replaces = part.source.options_for(part.resource or part.name).write_mode == "replace"
    exact = facts.operation == "append" or (replaces and part.source.partitions is None)
    passed = facts.added_rows == facts.rows if exact else facts.total_rows >= facts.added_rows >= facts.rows
    return (
        passed,
        f"{facts.rows:,} rows by the load's count, {facts.added_rows:,} in its data files.",
        metadata,
    )


def _keys(part: Part, target: Target) -> _Checked:
    from dlt.common.normalizers.naming.snake_case import NamingConvention

    naming = NamingConvention()
    options = part.source.options_for(part.resource or part.name)
    columns = [naming.normalize_identifier(column) for column in options.primary_key or ()]
    found = target.keys(str(part.table), columns)
    if found is None:
        return False, "The table is not there: it was never loaded.", {}
    metadata = {
        "rows_checked": MetadataValue.int(found.rows),
        "duplicates": MetadataValue.int(found.duplicates),
        "nulls": MetadataValue.int(found.nulls),
    }
    told = f"{found.duplicates:,} of {found.rows:,} rows share their key, {found.nulls:,} have none."
    return found.duplicates == 0 and found.nulls == 0, told, metadata


def _fresh(part: Part, target: Target) -> _Checked:
    from dlt.common.normalizers.naming.snake_case import NamingConvention

    options = part.source.options_for(part.resource or part.name)
    newest = target.greatest(
        str(part.table), NamingConvention().normalize_identifier(str(options.cursor_field))
    )
    if newest is None:
        return False, "No data file tells the newest value.", {}
    at = _moment(newest)
    if at is None:
        return False, f"{options.cursor_field} holds {type(newest).__name__}, which is no time.", {}
    age = datetime.now(UTC) - at
    limit = timedelta(hours=part.source.fresh_within_hours or 0)
    metadata = {
        "newest": MetadataValue.text(at.isoformat()),
        "age_hours": MetadataValue.float(round(age / timedelta(hours=1), 2)),
    }
    return age <= limit, f"The newest row is of {at.isoformat()}.", metadata


def _moment(value: Any) -> datetime | None:
    if isinstance(value, datetime):
        return value if value.tzinfo else value.replace(tzinfo=UTC)
    if isinstance(value, date):
        return datetime.combine(value, time.min, UTC)
    return None
