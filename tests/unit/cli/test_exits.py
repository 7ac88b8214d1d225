"""Errors become exit codes, messages and documents."""

from __future__ import annotations

import json

import click
import pytest

from floe_ingest import errors
from floe_ingest.cli import exits
from floe_ingest.cli.exits import ExitCode
from floe_ingest.cli.options import Command
from floe_ingest.errors import ConfigProblem, ErrorCategory, InvalidConfigError, MissingPackageError


@pytest.mark.parametrize(
    ("error", "code"),
    [
        (InvalidConfigError([ConfigProblem("sources", "is missing")]), ExitCode.WRONG),
        (MissingPackageError("sql", "sqlalchemy", "pip install it"), ExitCode.WRONG),
        (errors.PluginConflictError("two claim it"), ExitCode.WRONG),
        (errors.SourceConnectionError("refused"), ExitCode.FAILED),
        (errors.CatalogConnectionError("refused"), ExitCode.FAILED),
        (errors.SchemaError("does not fit"), ExitCode.FAILED),
        (errors.CommitConflictError("lost"), ExitCode.FAILED),
        (RuntimeError("a bug"), ExitCode.FAILED),
        (KeyboardInterrupt(), ExitCode.INTERRUPTED),
    ],
)
def test_each_error_has_its_exit_code(error: BaseException, code: ExitCode) -> None:
    assert exits.exit_code_of(error) is code


def test_there_is_advice_for_each_category() -> None:
    texts = {exits.advice(category) for category in ErrorCategory}
    assert len(texts) == len(ErrorCategory)
    assert "check CONFIG" in exits.advice(ErrorCategory.CONFIGURATION)


def test_a_configurations_problems_are_in_the_document(capsys: pytest.CaptureFixture[str]) -> None:
    error = InvalidConfigError(
        [ConfigProblem("sources[0].nmae", "unknown; did you mean name?", 3), ConfigProblem("", "is empty")],
        origin="ingest.yaml",
    )
    assert exits.present(error, debug=False, as_json=True) is ExitCode.WRONG
    shown = capsys.readouterr()
    (entry,) = json.loads(shown.out)["errors"]
    assert entry["type"] == "InvalidConfigError"
    assert entry["problems"] == [
        {"path": "sources[0].nmae", "message": "unknown; did you mean name?", "line": 3},
        {"path": "", "message": "is empty", "line": None},
    ]
    assert "line 3: sources[0].nmae: unknown; did you mean name?" in shown.err


def test_a_problem_about_a_key_named_like_a_secret_stays_readable(capsys: pytest.CaptureFixture[str]) -> None:
    error = InvalidConfigError([ConfigProblem("sources[0].source_config.password", "is missing", 7)])
    exits.present(error, debug=False, as_json=False)
    assert "source_config.password: is missing" in capsys.readouterr().err


def _caught(cause: Exception | None, note: str | None = None) -> errors.SourceConnectionError:
    try:
        try:
            if cause is not None:
                raise cause
        except Exception as low:
            raise errors.SourceConnectionError("the shop is closed") from low
        raise errors.SourceConnectionError("the shop is closed")
    except errors.SourceConnectionError as error:
        if note:
            error.add_note(note)
        return error


def test_a_known_error_is_a_message_with_advice_and_no_traceback(capsys: pytest.CaptureFixture[str]) -> None:
    error = _caught(OSError("socket said no"), note="(plugin shops, hook floe_ingest_check_source)")
    assert exits.present(error, debug=False, as_json=False) is ExitCode.FAILED
    shown = capsys.readouterr()
    assert shown.out == ""
    assert shown.err.splitlines()[:2] == [
        "Error (transient): the shop is closed",
        "(plugin shops, hook floe_ingest_check_source)",
    ]
    assert "run the same command again" in shown.err
    assert "--debug" in shown.err
    assert "Traceback" not in shown.err
    assert "socket said no" not in shown.err


def test_debug_shows_the_chain(capsys: pytest.CaptureFixture[str]) -> None:
    exits.present(_caught(OSError("socket said no")), debug=True, as_json=False)
    err = capsys.readouterr().err
    assert "socket said no" in err
    assert err.index("Traceback") < err.index("Error (transient): the shop is closed")


def test_no_chain_is_promised_where_there_is_none(capsys: pytest.CaptureFixture[str]) -> None:
    exits.present(_caught(None), debug=False, as_json=False)
    assert "--debug" not in capsys.readouterr().err


def test_an_unexpected_error_shows_its_traceback_and_asks_for_a_report(
    capsys: pytest.CaptureFixture[str],
) -> None:
    def explode() -> None:
        letters = list("kept in a variable")
        raise ZeroDivisionError("cannot reach postgresql://me:hunter2@db/shop", len(letters))

    with pytest.raises(ZeroDivisionError) as caught:
        explode()
    assert exits.present(caught.value, debug=False, as_json=True) is ExitCode.FAILED
    shown = capsys.readouterr()
    assert "Traceback" in shown.err
    assert "in explode" in shown.err
    assert "report it" in shown.err
    assert json.loads(shown.out)["errors"][0]["category"] == "permanent"
    for text in (shown.err, shown.out):
        assert "postgresql://me:***@db/shop" in text
        assert "hunter2" not in text
        assert "['k', 'e'" not in text


@pytest.mark.parametrize(("name", "line"), [("run", exits.INTERRUPTED_RUN), ("check", exits.INTERRUPTED)])
def test_an_interrupted_run_says_what_became_of_the_tables(
    name: str, line: str, capsys: pytest.CaptureFixture[str]
) -> None:
    assert exits.present_interruption(command=name, as_json=False) is ExitCode.INTERRUPTED
    assert capsys.readouterr().err == f"{line}\n"


def test_a_command_exits_with_the_code_of_what_it_raised() -> None:
    from click.testing import CliRunner

    def codes(raised: BaseException) -> int:
        @click.command("run", cls=Command)
        def body() -> int:
            raise raised

        return CliRunner().invoke(body, []).exit_code

    assert codes(errors.SourceConfigurationError("no such table")) == 2
    assert codes(errors.SchemaError("too narrow")) == 1
    assert codes(LookupError("a bug")) == 1
    assert codes(KeyboardInterrupt()) == 130
    assert codes(click.UsageError("what?")) == 2
