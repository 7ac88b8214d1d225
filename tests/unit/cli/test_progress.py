"""Progress: plain lines in a log, a live display in a terminal."""

from __future__ import annotations

import io
import os
import pty
import re
import subprocess
import sys
import threading
import time
from typing import TYPE_CHECKING

import pytest
from rich.console import Console

from floe_ingest import SourceResult, TableResult
from floe_ingest.cli.progress import PlainLines, reporter

if TYPE_CHECKING:
    from collections.abc import Callable

    from floe_ingest.engine.progress import Progress

DONE = SourceResult("shop", True, 2.0, (TableResult("lake.orders", 1_500, 10, 1, True),))
FAILED = SourceResult("api", False, 0.25)

SCENE = """
import sys, time, structlog
from floe_ingest import SourceResult, TableResult
from floe_ingest.cli import logs
from floe_ingest.cli.progress import reporter
logs.configure("info")
with reporter() as progress:
    progress.run_started("run-7", ("shop",))
    progress.source_started("shop", "sql_database")
    progress.measured("shop", lambda: {"orders": 1_200_000, "lines": 300_000})
    for phase in ("extract", "normalize", "load"):
        progress.phase("shop", phase)
        for _ in range(3):
            progress.rows("shop", "orders", 400)
            progress.rows("shop", "lines", 100)
            time.sleep(0.15)
    structlog.get_logger().info("a log line")
    print("a print to stderr", file=sys.stderr)
    table = TableResult("lake.orders", 4500, 10, 1, True)
    progress.source_finished(SourceResult("shop", True, 2.0, (table,)))
"""


def _play(progress: Progress) -> None:
    progress.run_started("run-7", ("shop", "api"))
    progress.source_started("shop", "sql_database")
    progress.phase("shop", "extract")
    progress.rows("shop", "orders", 1_000)
    progress.rows("shop", "orders", 500)
    progress.phase("shop", "load")
    progress.source_finished(DONE)
    progress.source_started("api", "rest_api")
    progress.source_finished(FAILED)


def test_plain_lines_at_each_change(capsys: pytest.CaptureFixture[str]) -> None:
    with reporter() as progress:
        _play(progress)
    shown = capsys.readouterr()
    run, header, extract, load, done, other, failed = shown.err.splitlines()
    assert run == "run run-7: 2 sources"
    assert header == "shop (sql_database)"
    assert re.fullmatch(r"shop: extract, \d+\.\d\d s", extract)
    assert re.fullmatch(r"shop: load, 1,500 rows, [\d,]+ rows/s, \d+\.\d\d s", load)
    assert done == "shop: 1 table, 1,500 rows in 2.00 s"
    assert other == "api (rest_api)"
    assert failed == "api: failed after 0.25 s"
    assert shown.out == ""


def test_a_phase_that_says_nothing_is_told_at_each_interval() -> None:
    stream = io.StringIO()
    with PlainLines(Console(file=stream, width=200), interval=0.2) as progress:
        progress.source_started("shop", "sql_database")
        progress.phase("shop", "load")
        time.sleep(1.1)
        told = stream.getvalue().count("shop: load")
        progress.source_finished(DONE)
        time.sleep(0.5)
        assert stream.getvalue().count("shop: load") <= told + 1
    # One for the phase itself, then five intervals, of which a busy machine may merge two.
    assert 4 <= told <= 6


def test_each_of_several_resources_has_its_rows_bytes_and_rate(capsys: pytest.CaptureFixture[str]) -> None:
    with reporter() as progress:
        progress.source_started("shop", "sql_database")
        progress.measured("shop", lambda: {"orders": 1_200_000, "": 300_000})
        progress.rows("shop", "orders", 900)
        progress.rows("shop", "customers", 5)
        progress.phase("shop", "load")
    _, whole, customers, orders = capsys.readouterr().err.splitlines()
    assert re.fullmatch(r"shop: load, 905 rows, 1\.5 MB, [\d,]+ rows/s, \d+\.\d\d s", whole)
    assert re.fullmatch(r"shop customers: 5 rows, [\d,]+ rows/s", customers)
    assert re.fullmatch(r"shop orders: 900 rows, 1\.2 MB, [\d,]+ rows/s", orders)


def test_a_retry_counts_anew(capsys: pytest.CaptureFixture[str]) -> None:
    with reporter() as progress:
        progress.source_started("shop", "sql_database")
        progress.rows("shop", "orders", 900)
        progress.phase("shop", "retry")
        progress.rows("shop", "orders", 5)
        progress.phase("shop", "load")
    lines = capsys.readouterr().err.splitlines()
    assert "rows" not in lines[1]
    assert "5 rows" in lines[2]


def test_no_thread_outlives_a_run_that_raises() -> None:
    def stopped() -> None:
        with reporter() as progress:
            progress.source_started("shop", "sql_database")
            raise RuntimeError("stop")

    with pytest.raises(RuntimeError, match="stop"):
        stopped()
    assert "floe-ingest-progress" not in {thread.name for thread in threading.enumerate()}


def test_sources_may_report_from_several_threads(capsys: pytest.CaptureFixture[str]) -> None:
    names = [f"source{number}" for number in range(8)]
    with reporter(interval=0.01) as progress:

        def load(name: str) -> None:
            progress.source_started(name, "filesystem")
            for _ in range(200):
                progress.rows(name, "files", 1)
            progress.phase(name, "load")
            progress.source_finished(SourceResult(name, True, 0.1))

        threads = [threading.Thread(target=load, args=(name,)) for name in names]
        for thread in threads:
            thread.start()
        for thread in threads:
            thread.join()
    err = capsys.readouterr().err
    assert all(f"{name}: load, 200 rows" in err for name in names)


def _in_terminal(env: dict[str, str]) -> str:
    """Run the scene with a real pseudo-terminal as its stderr and return what it drew."""
    ours, theirs = pty.openpty()
    process = subprocess.Popen(
        [sys.executable, "-c", SCENE], stderr=theirs, stdout=subprocess.DEVNULL, env=env
    )
    os.close(theirs)
    drawn = b""
    while True:
        try:
            piece = os.read(ours, 65_536)
        except OSError:  # Linux says EIO at the end of a terminal
            break
        if not piece:
            break
        drawn += piece
    os.close(ours)
    assert process.wait(timeout=30) == 0
    return drawn.decode()


def test_a_terminal_gets_a_live_display(environment: Callable[..., dict[str, str]]) -> None:
    drawn = _in_terminal(environment(TERM="xterm-256color", COLUMNS="120"))
    plain = re.sub(r"\x1b\[[0-9;?]*[A-Za-z]", "", drawn)
    assert "\x1b[?25l" in drawn, "the cursor is hidden while the display is live"
    assert drawn.rstrip().endswith("\x1b[?25h") or "\x1b[?25h" in drawn[-40:]
    assert "shop (sql_database)" in plain
    assert re.search(r"shop extract +[\d,]+ rows", plain)
    assert "4,500 rows" in plain
    assert re.search(r"  orders +[\d,]+ rows +1\.2 MB", plain)
    assert re.search(r"  lines +[\d,]+ rows +300\.0 kB", plain)
    assert "1.5 MB" in plain
    assert "rows/s" in plain
    assert "a log line" in plain
    assert "a print to stderr" in plain
    assert "shop: 1 table, 4,500 rows in 2.00 s" in plain


@pytest.mark.parametrize(("variables", "live"), [({"NO_COLOR": "1"}, True), ({"TERM": "dumb"}, False)])
def test_no_color_and_dumb_terminals(
    variables: dict[str, str], live: bool, environment: Callable[..., dict[str, str]]
) -> None:
    drawn = _in_terminal(environment(**{"TERM": "xterm-256color", "COLUMNS": "120", **variables}))
    assert ("\x1b[?25l" in drawn) is live
    assert not re.search(r"\x1b\[(?:\d+;)*(?:3[0-7]|38;\d+;\d+)m", drawn), "a colour"
    assert "shop: 1 table, 4,500 rows in 2.00 s" in re.sub(r"\x1b\[[0-9;?]*[A-Za-z]", "", drawn)
