"""Logs go to stderr, in one form, without secrets."""

from __future__ import annotations

import io
import logging
import sys

import pytest
import structlog

from floe_ingest.cli import logs


class _Terminal(io.StringIO):
    def isatty(self) -> bool:
        return True


def _fail() -> None:
    letters = "-".join(["in", "a", "local", "variable"])
    raise ValueError(f"{len(letters)} letters at mysql://root:hunter2@db")


def _log_everything() -> None:
    log = structlog.get_logger("ours")
    log.info("not shown")
    log.warning("plugin failed", plugin="dns zone", api_key="abc123", url="http://me:hunter2@host", rows=7)
    logging.getLogger("theirs").warning("token=%s", "abc123")
    try:
        _fail()
    except ValueError:
        log.exception("broke")
        logging.getLogger("theirs").exception("broke there")


def test_lines_are_key_value_where_there_is_no_terminal(capsys: pytest.CaptureFixture[str]) -> None:
    logs.configure("warning")
    _log_everything()
    shown = capsys.readouterr()
    lines = shown.err.splitlines()
    assert shown.out == ""
    assert len(lines) == 4
    assert lines[0].startswith("timestamp=20")
    assert ' level=warning event="plugin failed" ' in lines[0]
    assert 'plugin="dns zone"' in lines[0]
    assert "rows=7" in lines[0]
    assert "logger=theirs" in lines[1]
    assert "ValueError" in lines[2]
    assert "ValueError" in lines[3]


@pytest.mark.parametrize("terminal", [False, True])
def test_secrets_and_local_variables_are_in_no_line(terminal: bool, monkeypatch: pytest.MonkeyPatch) -> None:
    stream = _Terminal() if terminal else io.StringIO()
    monkeypatch.setattr(sys, "stderr", stream)
    logs.configure("warning")
    _log_everything()
    text = stream.getvalue()
    assert "mysql://root:***@db" in text
    for secret in ("hunter2", "abc123", "in-a-local-variable"):
        assert secret not in text


def test_no_color_is_honoured_in_a_terminal(monkeypatch: pytest.MonkeyPatch) -> None:
    def shown() -> str:
        stream = _Terminal()
        monkeypatch.setattr(sys, "stderr", stream)
        logs.configure("warning")
        structlog.get_logger().warning("hello")
        return stream.getvalue()

    monkeypatch.delenv("NO_COLOR", raising=False)
    assert "\x1b[" in shown()
    monkeypatch.setenv("NO_COLOR", "1")
    assert "\x1b[" not in shown()


def test_the_level_holds_for_both(capsys: pytest.CaptureFixture[str]) -> None:
    logs.configure("error")
    structlog.get_logger().warning("ours")
    logging.getLogger("theirs").warning("theirs")
    assert capsys.readouterr().err == ""
    logs.configure("debug")
    structlog.get_logger().debug("ours")
    logging.getLogger("theirs").debug("theirs")
    assert len(capsys.readouterr().err.splitlines()) == 2
