"""Events of a calendar as Arrow batches."""

from __future__ import annotations

from datetime import UTC, date, datetime
from typing import TYPE_CHECKING, Any
from zoneinfo import ZoneInfo

import icalendar
import pyarrow as pa

if TYPE_CHECKING:
    from collections.abc import Iterable, Iterator

    from floe_ingest_icalendar.places import Calendar

BATCH = 2_000
"""Events that are parsed, and handed on, at once: memory does not grow with the calendar."""

_WHEN = pa.timestamp("us", tz="UTC")
SCHEMA = pa.schema(
    [
        ("calendar", pa.string()),
        ("uid", pa.string()),
        ("recurrence_id", pa.string()),
        ("summary", pa.string()),
        ("description", pa.string()),
        ("location", pa.string()),
        ("status", pa.string()),
        ("organizer", pa.string()),
        ("attendees", pa.list_(pa.string())),
        ("categories", pa.list_(pa.string())),
        ("starts_at", _WHEN),
        ("ends_at", _WHEN),
        ("all_day", pa.bool_()),
        ("recurrence", pa.string()),
        ("sequence", pa.int64()),
        ("created_at", _WHEN),
        ("modified_at", _WHEN),
    ]
)


class BrokenCalendarError(Exception):
    """A calendar that does not keep RFC 5545, so that reading on could lose events."""


def batches(calendar: Calendar, timezone: str) -> Iterator[pa.Table]:
    """Yield the events of a calendar, at most ``BATCH`` in a table.

    Raises:
        BrokenCalendarError: it is not a calendar, it ends too early, or an event cannot be read.
    """
    zone = ZoneInfo(timezone)
    waiting: list[str] = []
    zones: list[str] = []
    for kind, text in _components(calendar):
        (zones if kind == "VTIMEZONE" else waiting).append(text)
        if len(waiting) == BATCH:
            yield _table(calendar.name, zones, waiting, zone)
            waiting = []
    if waiting:
        yield _table(calendar.name, zones, waiting, zone)


def _components(calendar: Calendar) -> Iterator[tuple[str, str]]:
    """Yield the text of each event and time zone, cut at their first and last lines."""
    kind, lines, ended = "", [], False
    first = True
    for line in calendar.lines():
        word = line.rstrip().upper()
        if first and word:
            if word != "BEGIN:VCALENDAR":
                raise BrokenCalendarError(f"{calendar.name} does not begin with BEGIN:VCALENDAR")
            first = False
        if not kind and word in ("BEGIN:VEVENT", "BEGIN:VTIMEZONE"):
            kind, lines = word.removeprefix("BEGIN:"), []
        if kind:
            lines.append(line)
        if kind and word == f"END:{kind}":
            yield kind, "".join(lines)
            kind = ""
        ended = ended or word == "END:VCALENDAR"
    if not ended:
        raise BrokenCalendarError(f"{calendar.name} ends without END:VCALENDAR: it is cut off")


def _table(name: str, zones: Iterable[str], events: Iterable[str], zone: ZoneInfo) -> pa.Table:
    text = "".join(["BEGIN:VCALENDAR\n", *zones, *events, "END:VCALENDAR\n"])
    try:
        parsed = icalendar.Calendar.from_ical(text)
        rows = [_row(name, event, zone) for event in parsed.walk("VEVENT")]
    except (ValueError, KeyError) as error:
        raise BrokenCalendarError(f"{name} has an event that cannot be read: {error}") from error
    return pa.Table.from_pylist(rows, schema=SCHEMA)


def _row(name: str, event: Any, zone: ZoneInfo) -> dict[str, Any]:
    start = event["DTSTART"].dt
    end = event["DTEND"].dt if "DTEND" in event else None
    if end is None and "DURATION" in event:
        end = start + event["DURATION"].dt
    recurrence_id = event["RECURRENCE-ID"].dt if "RECURRENCE-ID" in event else None
    modified = event.get("LAST-MODIFIED") or event.get("DTSTAMP")
    return {
        "calendar": name,
        "uid": str(event["UID"]),
        # Part of the key, and keys are not null: an event that replaces no occurrence has "".
        "recurrence_id": _moment(recurrence_id, zone).isoformat() if recurrence_id else "",
        "summary": _text(event, "SUMMARY"),
        "description": _text(event, "DESCRIPTION"),
        "location": _text(event, "LOCATION"),
        "status": _text(event, "STATUS"),
        "organizer": _text(event, "ORGANIZER"),
        "attendees": [str(attendee) for attendee in _listed(event.get("ATTENDEE"))],
        "categories": [str(each) for group in _listed(event.get("CATEGORIES")) for each in group.cats],
        "starts_at": _moment(start, zone),
        "ends_at": _moment(end, zone) if end else None,
        "all_day": not isinstance(start, datetime),
        "recurrence": event["RRULE"].to_ical().decode() if "RRULE" in event else None,
        "sequence": int(event.get("SEQUENCE", 0)),
        "created_at": _moment(event["CREATED"].dt, zone) if "CREATED" in event else None,
        "modified_at": _moment(modified.dt, zone) if modified else None,
    }


def _text(event: Any, name: str) -> str | None:
    return str(event[name]) if name in event else None


def _listed(value: Any) -> list[Any]:
    """Return what stands once or several times in an event as a list."""
    if value is None:
        return []
    return value if isinstance(value, list) else [value]


def _moment(value: date, zone: ZoneInfo) -> datetime:
    """Return a moment in UTC; a day begins, and a floating time is, in the zone of the configuration."""
    if not isinstance(value, datetime):
        value = datetime(value.year, value.month, value.day, tzinfo=zone)
    elif value.tzinfo is None:
        value = value.replace(tzinfo=zone)
    return value.astimezone(UTC)
