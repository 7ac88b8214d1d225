"""Events of iCalendar files and feeds (RFC 5545) as a source of floe-ingest."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from pydantic import BaseModel, Field, SecretStr, model_validator

from floe_ingest import (
    ErrorCategory,
    FoundResource,
    Requirement,
    RunContext,
    SourceCheck,
    SourceConnectionError,
    SourceRequest,
    SourceResult,
    SourceType,
    hookimpl,
)

if TYPE_CHECKING:
    from collections.abc import Mapping
    from typing import Self

SOURCE_TYPE = "icalendar"


class ICalendarConfig(BaseModel, frozen=True, extra="forbid"):
    """What users write as ``source_config``: a path or a URL."""

    path: str | None = Field(
        default=None,
        description="An .ics file, or a folder of them, relative to the configuration file.",
        examples=["calendars"],
    )
    url: SecretStr | None = Field(
        default=None,
        description="The address of a feed. It is a secret: private feeds carry their key in it.",
        examples=["${TEAM_CALENDAR}"],
    )
    timezone: str = Field(
        default="UTC",
        description="The zone of times that name none ('floating' ones in RFC 5545).",
        examples=["Europe/Zurich"],
    )

    @model_validator(mode="after")
    def _one_place(self) -> Self:
        if (self.path is None) == (self.url is None):
            raise ValueError("write either path or url")
        return self

    @model_validator(mode="after")
    def _known_zone(self) -> Self:
        from zoneinfo import ZoneInfo, ZoneInfoNotFoundError

        try:
            ZoneInfo(self.timezone)
        except (ZoneInfoNotFoundError, ValueError) as error:
            raise ValueError(f"timezone: there is no zone {self.timezone!r}; write Europe/Zurich") from error
        return self


@hookimpl
def floe_ingest_source_types() -> list[SourceType]:
    """Declare the type."""
    needs = (Requirement("icalendar", "pip install 'icalendar>=7,<8'"),)
    summary = "Events of iCalendar files and feeds"
    return [SourceType(SOURCE_TYPE, ICalendarConfig, summary, needs, ("check", "incremental"))]


@hookimpl
def floe_ingest_build_source(request: SourceRequest) -> Any:
    """Build one resource, ``events``; files are read and feeds fetched when it is iterated."""
    import dlt

    from floe_ingest_icalendar.events import SCHEMA, batches
    from floe_ingest_icalendar.places import calendars

    def events() -> Any:
        yield SCHEMA.empty_table()
        for calendar in calendars(request):
            yield from batches(calendar, request.config.timezone)

    return dlt.resource(events, name="events", primary_key=["uid", "recurrence_id"])


@hookimpl
def floe_ingest_check_source(request: SourceRequest) -> SourceCheck:
    """Open each calendar and read its first events."""
    import requests

    from floe_ingest_icalendar.events import SCHEMA, BrokenCalendarError, batches
    from floe_ingest_icalendar.places import calendars

    found = calendars(request)
    for calendar in found:
        try:
            next(batches(calendar, request.config.timezone), None)
        except BrokenCalendarError as error:
            raise SourceConnectionError(f"path: {error}") from error
        except requests.RequestException as error:
            # Its text may repeat the address, which is a secret.
            raise SourceConnectionError(f"url: the feed cannot be read ({type(error).__name__})") from None
    detail = f"{len(found)} calendar{'s' * (len(found) != 1)}"
    return SourceCheck((FoundResource("events", tuple(SCHEMA.names), detail=detail),))


@hookimpl
def floe_ingest_categorize_error(error: BaseException, context: RunContext) -> ErrorCategory | None:
    """Tell that trying again does not mend a broken file; the engine knows the errors of HTTP itself."""
    from floe_ingest_icalendar.events import BrokenCalendarError

    return ErrorCategory.PERMANENT if isinstance(error, BrokenCalendarError) else None


@hookimpl
def floe_ingest_enrich_result(context: RunContext, result: SourceResult) -> Mapping[str, Any]:
    """Add how many calendars a load of this type is about; nothing to the results of other types."""
    if context.source is None or context.source.source_type != SOURCE_TYPE:
        return {}
    from floe_ingest_icalendar.places import count

    return {"calendars": count(context.source)}
