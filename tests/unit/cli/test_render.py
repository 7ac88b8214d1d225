"""Tables for people: nothing is cut, folded or read as markup; numbers are easy to read."""

from __future__ import annotations

import io
import re
import sys
from types import MappingProxyType

import pytest

from floe_ingest import ErrorCategory, FoundResource, LoadError, RunResult, SourceResult, TableResult
from floe_ingest.cli import render

LONG = "lake." + "a_very_long_table_name_" * 12 + "end"


class _Terminal(io.StringIO):
    encoding = "utf-8"

    def isatty(self) -> bool:
        return True


def _result(*sources: SourceResult) -> RunResult:
    return RunResult("run-7", all(source.success for source in sources), sources)


ORDERS = SourceResult(
    "shop",
    True,
    3.25,
    (
        TableResult(LONG, 1_234_567, 45_600_000, 8744736658442914487, True),
        TableResult("lake.customers", 0, 0, None, True),
    ),
    extra=MappingProxyType({"quality[green]": "high"}),
)
BROKEN = SourceResult(
    "api",
    False,
    0.5,
    (TableResult("lake.calls", 0, 0, None, False),),
    (LoadError(ErrorCategory.TRANSIENT, "SourceConnectionError", "GET [/calls] gave 503 :boom:"),),
)


def _lines(text: str) -> list[str]:
    return [line for line in text.splitlines() if line.strip()]


def test_a_run_is_a_line_a_table_and_a_total(capsys: pytest.CaptureFixture[str]) -> None:
    render.show_run(_result(ORDERS), 4.0)
    out = capsys.readouterr().out
    head, rule, orders, customers, extra, total = _lines(out)
    assert head.split() == ["source", "table", "rows", "bytes", "snapshot", "seconds"]
    assert set(rule.strip()) == {"─"}
    assert orders.split() == ["shop", LONG, "1,234,567", "45.6", "MB", "8744736658442914487", "3.25"]
    assert customers.split() == ["lake.customers", "0", "0", "bytes", "nothing", "new"]
    assert extra == "shop  quality[green]: high"
    assert total == "2 tables, 1,234,567 rows, 45.6 MB in 4.00 s (run run-7)"
    assert "\x1b" not in out


def test_a_failed_source_is_counted_and_explained(capsys: pytest.CaptureFixture[str]) -> None:
    result = _result(ORDERS, BROKEN, SourceResult("gone", False, 0.1, (), BROKEN.errors))
    render.show_run(result, 4.0)
    render.tell_failures(result)
    shown = capsys.readouterr()
    assert "not committed" in shown.out
    assert "2 of 3 sources failed" in shown.out
    assert any(line.split() == ["gone", "failed", "0.10"] for line in shown.out.splitlines())
    first, advice, second, _ = _lines(shown.err)
    assert first == "api failed (transient, SourceConnectionError): GET [/calls] gave 503 :boom:"
    assert second.startswith("gone failed")
    assert "run the same command again" in advice
    assert "shop" not in shown.err


def test_a_failure_without_an_error_is_still_told(capsys: pytest.CaptureFixture[str]) -> None:
    render.tell_failures(_result(SourceResult("mute", False, 0.1)))
    assert "mute failed" in capsys.readouterr().err


def test_columns_does_not_narrow_what_goes_to_a_pipe(
    monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    monkeypatch.setenv("COLUMNS", "40")
    render.show_run(_result(ORDERS), 4.0)
    assert LONG in capsys.readouterr().out


def _on_terminal(monkeypatch: pytest.MonkeyPatch, **variables: str) -> str:
    stream = _Terminal()
    for name in ("NO_COLOR", "FORCE_COLOR", "COLUMNS"):
        monkeypatch.delenv(name, raising=False)
    for name, value in {"TERM": "xterm-256color", **variables}.items():
        monkeypatch.setenv(name, value)
    monkeypatch.setattr(sys, "stdout", stream)
    render.show_run(_result(ORDERS), 4.0)
    return stream.getvalue()


def test_a_narrow_terminal_folds_a_name_and_loses_no_letter(monkeypatch: pytest.MonkeyPatch) -> None:
    shown = _on_terminal(monkeypatch, COLUMNS="72", NO_COLOR="1")
    lines = re.sub(r"\x1b\[[0-9;]*m", "", shown).splitlines()
    assert max(map(len, lines)) <= 72
    assert "8744736658442914487" in lines[2]
    assert "1,234,567" in lines[2]
    start = lines[0].index("table")
    width = lines[0].index("rows") - start
    column = "".join(line[start : start + width].split(" ")[0] for line in lines[2:])
    assert LONG in column


def test_no_color_is_honoured(monkeypatch: pytest.MonkeyPatch) -> None:
    coloured = _on_terminal(monkeypatch, COLUMNS="400")
    plain = _on_terminal(monkeypatch, COLUMNS="400", NO_COLOR="1")
    assert "\x1b[1;32m" in coloured
    assert "32m" not in plain


def test_a_stream_that_is_not_unicode_gets_ascii_lines(monkeypatch: pytest.MonkeyPatch) -> None:
    raw = io.BytesIO()
    monkeypatch.setattr(sys, "stdout", io.TextIOWrapper(raw, encoding="ascii", errors="backslashreplace"))
    render.show_run(_result(ORDERS), 4.0)
    assert LONG.encode() in raw.getvalue()
    assert b"\\" not in raw.getvalue()


@pytest.mark.parametrize(
    ("value", "text"),
    [(0.0, "0.00 s"), (9.876, "9.88 s"), (12.34, "12.3 s"), (125.0, "2 min 5 s"), (7_384.0, "2 h 3 min")],
)
def test_durations(value: float, text: str) -> None:
    assert render.seconds(value) == text


@pytest.mark.parametrize(("number", "text"), [(0, "0 rows"), (1, "1 row"), (12_000, "12,000 rows")])
def test_counts(number: int, text: str) -> None:
    assert render.count(number, "row") == text


def test_a_check_shows_each_probe(capsys: pytest.CaptureFixture[str]) -> None:
    from floe_ingest.engine.check import CatalogReport, CheckReport, SourceReport

    found = (
        FoundResource("orders", ("id", "total"), 12_345, "table"),
        FoundResource("customers", ("id",)),
    )
    report = CheckReport(
        success=False,
        catalog=CatalogReport(name="lake", type="rest", success=True, message="2 namespaces"),
        sources=(
            SourceReport("shop", "sql_database", True, found, "reached", ()),
            SourceReport("api", "rest_api", False, (), "", BROKEN.errors),
        ),
    )
    render.show_check(report)
    render.tell_check_failures(report)
    shown = capsys.readouterr()
    catalog, _, _, orders, customers, api, tail = _lines(shown.out)
    assert catalog == "catalog lake (rest): ok, 2 namespaces"
    assert orders.split() == ["shop", "sql_database", "ok", "orders", "id,", "total", "12,345", "table"]
    assert customers.split() == ["customers", "id"]
    assert api.split() == ["api", "rest_api", "failed"]
    assert tail == "1 probe failed; nothing was loaded."
    assert "api failed (transient, SourceConnectionError): GET [/calls] gave 503" in shown.err


def test_a_catalog_that_fails_is_told(capsys: pytest.CaptureFixture[str]) -> None:
    from floe_ingest.engine.check import CatalogReport, CheckReport

    report = CheckReport(success=False, catalog=CatalogReport("lake", "rest", False, "refused"), sources=())
    render.show_check(report)
    render.tell_check_failures(report)
    shown = capsys.readouterr()
    assert "catalog lake (rest): failed" in shown.out
    assert shown.err == "catalog lake failed: refused\n"
