"""A reader that goes away changes nothing; stdout belongs to the result."""

from __future__ import annotations

import json
import math
import os
import subprocess
import sys
from pathlib import PurePosixPath
from typing import TYPE_CHECKING

import pytest

from floe_ingest.cli import streams

if TYPE_CHECKING:
    from collections.abc import Callable


def _run_with_closed(closed: str, code: str, env: dict[str, str]) -> subprocess.CompletedProcess[str]:
    """Run ``code`` with ``closed`` (stdout or stderr) being a pipe that nobody reads."""
    reading, writing = os.pipe()
    os.close(reading)
    try:
        return subprocess.run(
            [sys.executable, "-c", code],
            env=env,
            stdout=writing if closed == "stdout" else subprocess.PIPE,
            stderr=writing if closed == "stderr" else subprocess.PIPE,
            text=True,
            timeout=60,
            check=False,
        )
    finally:
        os.close(writing)


@pytest.mark.parametrize("words", [["plugins"], ["sources", "--json"]])
def test_a_closed_stdout_leaves_the_exit_code(
    words: list[str], environment: Callable[..., dict[str, str]]
) -> None:
    code = f"import sys; from floe_ingest.cli import main; sys.exit(main({words!r}))"
    done = _run_with_closed("stdout", code, environment(FLOE_INGEST_PLUGINS="filesystem"))
    assert (done.returncode, done.stderr) == (0, "")


def test_a_closed_stderr_does_not_fail_what_logs_and_shows_progress(
    environment: Callable[..., dict[str, str]],
) -> None:
    code = """
import sys, structlog
from floe_ingest.cli import logs
from floe_ingest.cli.progress import reporter
from floe_ingest.cli.streams import reserved_stdout, write_out
logs.configure("info")
with reserved_stdout(), reporter(interval=0.01) as progress:
    for number in range(1000):
        structlog.get_logger().info("loading", number=number)
        print("printed by a library")
        progress.source_started(f"shop{number}", "sql_database")
        progress.phase(f"shop{number}", "extract")
write_out("the load is over\\n")
"""
    done = _run_with_closed("stderr", code, environment())
    assert (done.returncode, done.stdout) == (0, "the load is over\n")


def test_prints_go_to_stderr_while_stdout_is_reserved(capsys: pytest.CaptureFixture[str]) -> None:
    with streams.reserved_stdout():
        print("noise")
    streams.write_out("result")
    shown = capsys.readouterr()
    assert (shown.out, shown.err) == ("result", "noise\n")


def test_a_document_is_json_whatever_a_plugin_put_in(capsys: pytest.CaptureFixture[str]) -> None:
    streams.write_json(
        {
            "city": "Zürich",
            "rate": math.nan,
            "raw": b"\xff\x00",
            "path": PurePosixPath("a/b"),
            "thing": object(),
        }
    )
    out = capsys.readouterr().out
    document = json.loads(out, parse_constant=lambda word: pytest.fail(f"{word} is not JSON"))
    assert document["city"] == "Zürich"
    assert document["rate"] is None
    assert document["path"] == "a/b"
    assert "object" in document["thing"]
    assert out.isascii()
    assert out.endswith("}\n")


def test_a_name_that_the_encoding_lacks_is_escaped(environment: Callable[..., dict[str, str]]) -> None:
    code = """
import sys
from floe_ingest.cli import app
from floe_ingest.cli.streams import write_out
app.init.callback = lambda **_: write_out("caf\\u00e9 \\u4e2d\\n") or 0
sys.exit(app.main(["init"]))
"""
    done = subprocess.run(
        [sys.executable, "-c", code],
        env=environment(PYTHONIOENCODING="latin-1", PYTHONUTF8="0"),
        capture_output=True,
        check=False,
    )
    assert (done.returncode, done.stdout) == (0, b"caf\xe9 \\u4e2d\n")
