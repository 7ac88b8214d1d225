"""How a command ends: exit codes, and how errors are shown.

An error that floe-ingest raised on purpose is a message and what to do about it; the chain of causes is
there on request. Anything else is a bug, shown with its traceback.
"""

from __future__ import annotations

import sys
import traceback
from enum import IntEnum
from typing import TYPE_CHECKING, Any

from floe_ingest.cli.streams import Stderr, write_json
from floe_ingest.redaction import redact

if TYPE_CHECKING:
    import click

    from floe_ingest.errors import ErrorCategory, IngestionError

INTERRUPTED = "Interrupted."
INTERRUPTED_RUN = (
    "Interrupted. Tables are as they were, or hold the whole load; run the same command to go on."
)
_REPORT = (
    "This is a bug in floe-ingest or in a plugin, not in your configuration. Please report it with the "
    "lines above; take out what is private first."
)
_DEBUG_HINT = "The full chain of causes is shown by --debug or FLOE_INGEST_DEBUG=1."


class ExitCode(IntEnum):
    """What the process says to its caller."""

    DONE = 0
    FAILED = 1
    WRONG = 2
    INTERRUPTED = 130


def advice(category: ErrorCategory) -> str:
    """Return what to do about a failure of this category, in one sentence."""
    return {
        "transient": "It may pass: run the same command again. What was committed is not loaded twice.",
        "permanent": "Running again will not help until the source, the table or a permission changes.",
        "partial": "Run the same command again: it completes the tables that are missing.",
        "configuration": "Change the configuration; `floe-ingest check CONFIG` tells when it is right.",
    }[str(category)]


def exit_code_of(error: BaseException) -> ExitCode:
    """Return the exit code for an error that ends a command."""
    from floe_ingest.errors import ErrorCategory, IngestionError

    if isinstance(error, KeyboardInterrupt):
        return ExitCode.INTERRUPTED
    if isinstance(error, IngestionError) and error.category is ErrorCategory.CONFIGURATION:
        return ExitCode.WRONG
    return ExitCode.FAILED


def message_of(error: BaseException) -> str:
    """Return an error's message, with the notes that were added on its way (plugin, hook)."""
    from floe_ingest.errors import InvalidConfigError

    message = "\n".join([str(error) or type(error).__name__, *getattr(error, "__notes__", ())])
    # Others may quote what a library said. A configuration's problems quote nothing that is secret, and
    # read as "…password: is missing", where the mask would hide what is wrong.
    return message if isinstance(error, InvalidConfigError) else redact(message)


def document_of(error: BaseException) -> dict[str, Any]:
    """Return the JSON document of an error that ends a command."""
    from floe_ingest.errors import ErrorCategory, IngestionError, InvalidConfigError

    category = error.category if isinstance(error, IngestionError) else ErrorCategory.PERMANENT
    problems = error.problems if isinstance(error, InvalidConfigError) else ()
    return _document(
        str(category),
        type(error).__name__,
        message_of(error),
        [{"path": problem.path, "message": problem.message, "line": problem.line} for problem in problems],
    )


def _document(
    category: str, kind: str, message: str, problems: list[dict[str, Any]] | None = None
) -> dict[str, Any]:
    error = {"category": category, "type": kind, "message": message, "problems": problems or []}
    return {"success": False, "errors": [error]}


def present(error: Exception, *, debug: bool, as_json: bool) -> ExitCode:
    """Show an error that ends a command.

    Arguments:
        error: what was raised.
        debug: whether to show the chain of causes of an error that was raised on purpose.
        as_json: whether stdout gets its document.

    Returns:
        The exit code.
    """
    from floe_ingest.errors import IngestionError

    if as_json:
        write_json(document_of(error))
    if isinstance(error, IngestionError):
        _present_known(error, debug=debug)
    else:
        _print_chain(error)
        _say(_REPORT)
    return exit_code_of(error)


def _present_known(error: IngestionError, *, debug: bool) -> None:
    from floe_ingest.errors import ErrorCategory

    if debug:
        _print_chain(error)
    _say(f"Error ({error.category}): {message_of(error)}")
    # What to change is in the message of a configuration error itself.
    if error.category is not ErrorCategory.CONFIGURATION:
        _say(advice(error.category))
    if not debug and error.__cause__ is not None:
        _say(_DEBUG_HINT)


def present_usage_error(error: click.ClickException, *, as_json: bool) -> ExitCode:
    """Show a command line that cannot be understood, as click shows it. Its exit code is 2."""
    if as_json:
        write_json(_document("configuration", type(error).__name__, error.format_message()))
    error.show(file=sys.stderr)
    return ExitCode.WRONG


def present_interruption(*, command: str | None, as_json: bool) -> ExitCode:
    """Show that the user, or SIGTERM, ended a command.

    Arguments:
        command: its name; ``run`` says what became of the tables.
        as_json: whether stdout gets its document.
    """
    message = INTERRUPTED_RUN if command == "run" else INTERRUPTED
    if as_json:
        write_json(_document("transient", "KeyboardInterrupt", message))
    _say(message)
    return ExitCode.INTERRUPTED


def _say(text: str) -> None:
    stream = Stderr()
    stream.write(f"{text}\n")
    stream.flush()


def _print_chain(error: BaseException) -> None:
    # The standard library's traceback shows no local variables, where passwords would stand.
    _say(redact("".join(traceback.format_exception(error))).rstrip())
