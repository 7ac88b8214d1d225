"""Partitions: each is a range of the cursor."""

from __future__ import annotations

from datetime import datetime, time
from typing import TYPE_CHECKING, Any

from dagster import (
    DailyPartitionsDefinition,
    HourlyPartitionsDefinition,
    MonthlyPartitionsDefinition,
    StaticPartitionsDefinition,
    TimeWindowPartitionsDefinition,
    WeeklyPartitionsDefinition,
)

from floe_ingest.errors import ConfigProblem, InvalidConfigError

if TYPE_CHECKING:
    from dagster import AssetExecutionContext, PartitionsDefinition

    from floe_ingest.config import SourceConfig

_IN_TIME = {
    "hour": HourlyPartitionsDefinition,
    "day": DailyPartitionsDefinition,
    "week": WeeklyPartitionsDefinition,
    "month": MonthlyPartitionsDefinition,
}


def partitions_of(source: SourceConfig, where: str) -> PartitionsDefinition[str] | None:
    """Return the partitions of a source; None without any.

    Arguments:
        source: the source.
        where: its place in the configuration, for messages.

    Raises:
        InvalidConfigError: it has no cursor_field, or a date is none.
    """
    written = source.partitions
    if written is None:
        return None
    if source.cursor_field is None and not any(part.cursor_field for part in source.resources.values()):
        raise InvalidConfigError(
            [
                ConfigProblem(
                    f"{where}.partitions",
                    "a partition is a range of cursor_field, and there is none. Write it",
                )
            ]
        )
    if written.ranges is not None:
        return StaticPartitionsDefinition(list(written.ranges))
    start = _moment(written.start, f"{where}.partitions.start")
    end = _moment(written.end, f"{where}.partitions.end")
    made: TimeWindowPartitionsDefinition = _IN_TIME[str(written.every)](start_date=start, end_date=end)
    return made


def _moment(text: str | None, where: str) -> datetime | None:
    if text is None:
        return None
    try:
        return datetime.fromisoformat(text)
    except ValueError as error:
        message = f"{text!r} is no date; write it as 2024-01-01"
        raise InvalidConfigError([ConfigProblem(where, message)]) from error


def range_of(context: AssetExecutionContext, source: SourceConfig) -> tuple[Any, Any] | None:
    """Return the range of the cursor that a run loads; None where it is not of a partition."""
    if source.partitions is None:
        return None
    if source.partitions.ranges is not None:
        [key] = context.partition_keys  # the backfill policy starts one run for each
        return source.partitions.ranges[key]
    window = context.partition_time_window
    return _bound(window.start), _bound(window.end)


def _bound(moment: datetime) -> str:
    """Return a bound as text, a date where that says it: it then also fits columns of dates."""
    at = moment.replace(tzinfo=None)
    return at.date().isoformat() if at.time() == time.min else at.isoformat()


def run_id_of(context: AssetExecutionContext) -> str:
    """Return the name of this logical execution: the run that was started first, and the partition.

    A step that is tried again, and a run that is executed again, have it in common, so nothing is loaded
    twice.
    """
    root = context.run.root_run_id or context.run.run_id
    if not context.has_partition_key:
        return str(root)
    return f"{root}-{context.partition_key}"
