"""The root of the command line: what it imports, how it parses, and how it ends."""

from __future__ import annotations

import json
import signal
import subprocess
import sys
import time
from pathlib import Path
from typing import TYPE_CHECKING

import click
import pytest
from click.testing import CliRunner

from floe_ingest.cli import main
from floe_ingest.cli.app import cli
from floe_ingest.cli.options import Command, Settings, global_options

if TYPE_CHECKING:
    from collections.abc import Callable

HEAVY = ("dlt", "pyarrow", "pyiceberg", "duckdb", "pydantic", "sqlalchemy", "dagster", "rich", "structlog")


def test_help_names_the_commands_in_the_order_of_their_use() -> None:
    result = CliRunner().invoke(cli, ["--help"], prog_name="floe-ingest")
    assert result.exit_code == 0
    commands = result.output.split("Commands:")[1].split("Exit codes")[0]
    listed = [line.split()[0] for line in commands.splitlines() if line.strip()]
    assert listed == ["init", "check", "run", "clean", "sources", "plugins", "schema", "new-source"]
    assert "130 interrupted" in " ".join(result.output.split())


@pytest.mark.parametrize("words", [["--help"], ["run", "--help"], ["check", "--help"], ["plugins", "-h"]])
def test_help_imports_nothing_heavy(words: list[str]) -> None:
    code = (
        "import sys\n"
        "from floe_ingest.cli import main\n"
        f"code = main({words!r})\n"
        f"print('LOADED', sorted(set({HEAVY!r}) & set(sys.modules)), code)\n"
    )
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True)
    assert done.stdout.splitlines()[-1] == "LOADED [] 0"


def test_help_takes_a_third_of_the_time_of_importing_dlt() -> None:
    def best_of(*words: str) -> float:
        times = []
        for _ in range(3):
            started = time.perf_counter()
            subprocess.run([sys.executable, *words], capture_output=True, check=True)
            times.append(time.perf_counter() - started)
        return min(times)

    assert best_of("-m", "floe_ingest.cli", "--help") < best_of("-c", "import dlt") / 3


def test_version_is_the_distributions(capsys: pytest.CaptureFixture[str]) -> None:
    from importlib.metadata import version

    assert main(["--version"]) == 0
    assert capsys.readouterr().out == f"floe-ingest {version('floe-ingest')}\n"


def test_the_installed_script_is_this_program(tmp_path: Path) -> None:
    script = Path(sys.executable).parent / "floe-ingest"
    done = subprocess.run(
        [script, "init", "new.yaml"], cwd=tmp_path, capture_output=True, text=True, check=False
    )
    assert (done.returncode, done.stderr) == (0, "")
    assert (tmp_path / "new.yaml").is_file()


@pytest.mark.parametrize(
    ("words", "named"),
    [
        (["rum"], "rum"),
        (["run"], "CONFIG"),
        (["run", "a.yaml", "b.yaml"], "b.yaml"),
        (["run", "a.yaml", "--sorce", "x"], "--sorce"),
        (["run", "a.yaml", "--run-id", " "], "--run-id"),
        (["check", "a.yaml", "--log-level", "loud"], "loud"),
    ],
)
def test_a_wrong_command_line_exits_2_and_names_the_word(
    words: list[str], named: str, capsys: pytest.CaptureFixture[str]
) -> None:
    assert main(words) == 2
    shown = capsys.readouterr()
    assert named in shown.err
    assert shown.out == ""


def test_a_wrong_command_line_with_json_is_one_document(capsys: pytest.CaptureFixture[str]) -> None:
    assert main(["run", "--json", "--nonsense"]) == 2
    shown = capsys.readouterr()
    document = json.loads(shown.out)
    assert document["success"] is False
    (error,) = document["errors"]
    assert (error["category"], error["problems"]) == ("configuration", [])
    assert "--nonsense" in error["message"]
    assert "--nonsense" in shown.err


def test_json_behind_the_end_of_options_is_no_option(capsys: pytest.CaptureFixture[str]) -> None:
    assert main(["run", "--", "a.yaml", "--json"]) == 2
    assert capsys.readouterr().out == ""


@pytest.mark.parametrize(
    ("words", "variables", "expected"),
    [
        (["show"], {}, Settings(debug=False, log_level="warning")),
        (["show", "--debug", "--log-level", "INFO"], {}, Settings(debug=True, log_level="info")),
        (["--debug", "--log-level", "info", "show"], {}, Settings(debug=True, log_level="info")),
        (["--log-level", "info", "show", "--log-level", "error"], {}, Settings(log_level="error")),
        (["show"], {"FLOE_INGEST_DEBUG": "1"}, Settings(debug=True)),
        (["show"], {"FLOE_INGEST_LOG_LEVEL": "debug"}, Settings(log_level="debug")),
        (["--log-level", "info", "show"], {"FLOE_INGEST_LOG_LEVEL": "debug"}, Settings(log_level="info")),
    ],
)
def test_shared_options_stand_before_or_after_the_command(
    words: list[str], variables: dict[str, str], expected: Settings
) -> None:
    seen: list[Settings] = []

    @click.group()
    @global_options(environment=True)
    def group() -> None: ...

    @group.command("show", cls=Command)
    @global_options()
    @click.pass_context
    def show(ctx: click.Context) -> int:
        seen.append(Settings.of(ctx))
        return 0

    result = CliRunner().invoke(group, words, env=variables)
    assert result.exit_code == 0, result.output
    assert seen == [expected]


SLEEPER = """
import time
from floe_ingest import SourceType, hookimpl
from pydantic import BaseModel

class Nothing(BaseModel): ...

@hookimpl
def floe_ingest_source_types():
    print("printed by a plugin")
    open("started", "w").close()
    while {forever}:
        time.sleep(0.01)
    return [SourceType("sleeper", Nothing, "Sleeps")]
"""


@pytest.mark.parametrize("number", [signal.SIGINT, signal.SIGTERM])
@pytest.mark.parametrize("as_json", [False, True])
def test_a_signal_ends_a_command_with_one_line_and_130(
    number: signal.Signals,
    as_json: bool,
    tmp_path: Path,
    make_plugin: Callable[..., Path],
    environment: Callable[..., dict[str, str]],
) -> None:
    site = make_plugin("sleeper", SLEEPER.format(forever=True))
    process = subprocess.Popen(
        [sys.executable, "-m", "floe_ingest.cli", "sources", *(["--json"] if as_json else [])],
        cwd=tmp_path,
        env=environment(PYTHONPATH=str(site), FLOE_INGEST_PLUGINS="sleeper"),
        stdout=subprocess.PIPE,
        stderr=subprocess.PIPE,
        text=True,
    )
    deadline = time.monotonic() + 30
    while not (tmp_path / "started").exists():
        assert process.poll() is None, process.communicate()
        assert time.monotonic() < deadline
        time.sleep(0.02)
    process.send_signal(number)
    out, err = process.communicate(timeout=30)
    assert process.returncode == 130
    assert [line for line in err.splitlines() if line != "printed by a plugin"] == ["Interrupted."]
    if as_json:
        assert json.loads(out)["errors"][0]["type"] == "KeyboardInterrupt"
    else:
        assert out == ""


def test_what_a_plugin_prints_stays_out_of_the_document(
    floe: Callable[..., subprocess.CompletedProcess[str]], make_plugin: Callable[..., Path]
) -> None:
    site = make_plugin("sleeper", SLEEPER.format(forever=False))
    done = floe("sources", "--json", PYTHONPATH=str(site), FLOE_INGEST_PLUGINS="sleeper")
    assert [row["name"] for row in json.loads(done.stdout)["source_types"]] == ["sleeper"]
    assert "printed by a plugin" in done.stderr
