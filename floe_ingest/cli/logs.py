"""Logging of the command line: structlog and the standard library's loggers, to stderr in one form."""

from __future__ import annotations

import logging
import os
from typing import TYPE_CHECKING, Any

from floe_ingest.cli.streams import Stderr, as_text_io
from floe_ingest.redaction import MASK, guard_logger, redact

if TYPE_CHECKING:
    from structlog.typing import EventDict, Processor, WrappedLogger


class _Handler(logging.StreamHandler[Any]):
    """Ours, so that a second call replaces it and leaves the handlers of others alone."""


def configure(level: str) -> None:
    """Send logs of ``level`` and above to stderr, without the secrets that they might hold.

    In a terminal they are coloured lines; elsewhere ``key=value`` lines.

    Arguments:
        level: debug, info, warning or error.
    """
    import structlog

    _settle_dlt(level)
    guard_logger("dlt")
    stream = Stderr()
    preparing = _preparing(terminal=stream.isatty())
    renderer = _renderer(terminal=stream.isatty())
    structlog.configure(
        processors=[*preparing, renderer],
        wrapper_class=structlog.make_filtering_bound_logger(level),
        logger_factory=structlog.WriteLoggerFactory(as_text_io(stream)),
        cache_logger_on_first_use=False,
    )
    handler = _Handler(as_text_io(stream))
    handler.setFormatter(
        structlog.stdlib.ProcessorFormatter(
            foreign_pre_chain=[structlog.stdlib.add_logger_name, *preparing],
            processors=[structlog.stdlib.ProcessorFormatter.remove_processors_meta, renderer],
        )
    )
    root = logging.getLogger()
    for other in [known for known in root.handlers if isinstance(known, _Handler)]:
        root.removeHandler(other)
    root.addHandler(handler)
    root.setLevel(level.upper())


def _settle_dlt(level: str) -> None:
    """Keep dlt, which is not imported yet, from sending usage data and telling failures a second time.

    What the user's environment says goes first.
    """
    os.environ.setdefault("RUNTIME__DLTHUB_TELEMETRY", "false")
    os.environ.setdefault("RUNTIME__LOG_LEVEL", "INFO" if level == "debug" else "CRITICAL")


def _preparing(*, terminal: bool) -> list[Processor]:
    import structlog

    return [
        structlog.contextvars.merge_contextvars,
        structlog.processors.add_log_level,
        structlog.processors.TimeStamper(fmt="%H:%M:%S" if terminal else "iso", utc=not terminal),
        structlog.processors.format_exc_info,
        _without_secrets,
    ]


def _renderer(*, terminal: bool) -> Processor:
    import structlog

    if not terminal:
        return structlog.processors.LogfmtRenderer(key_order=["timestamp", "level", "event"])
    # structlog's own choice, rich's tracebacks, prints local variables: passwords among them.
    colours = not os.environ.get("NO_COLOR") and os.environ.get("TERM") != "dumb"
    return structlog.dev.ConsoleRenderer(colors=colours, exception_formatter=structlog.dev.plain_traceback)


def _without_secrets(_logger: WrappedLogger, _method: str, event: EventDict) -> EventDict:
    # Before rendering: the colours of a rendered line stand between a key and its value.
    return {
        key: value if key.startswith("_") else _without_secret(key, value) for key, value in event.items()
    }


def _without_secret(key: str, value: object) -> object:
    if value is None or isinstance(value, bool):
        return value
    if redact(f"{key}=x") != f"{key}=x":
        return MASK
    if isinstance(value, int | float):
        return value
    return redact(value if isinstance(value, str) else repr(value))
