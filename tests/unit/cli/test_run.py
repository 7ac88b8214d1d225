"""``floe-ingest run`` over the real engine, in a real process."""

from __future__ import annotations

import json
import signal
import subprocess
import sys
import time
from typing import TYPE_CHECKING

import pytest

if TYPE_CHECKING:
    from collections.abc import Callable
    from pathlib import Path

    Floe = Callable[..., subprocess.CompletedProcess[str]]

SLOW = """
import time
from floe_ingest import SourceType, hookimpl
from pydantic import BaseModel

class Endless(BaseModel, extra="forbid"):
    fail: bool = False

@hookimpl
def floe_ingest_source_types():
    return [SourceType("slow", Endless, "Rows without an end, or an error")]

@hookimpl
def floe_ingest_build_source(request):
    import dlt

    @dlt.resource(name="ticks")
    def ticks():
        yield {"tick": 0}
        if request.config.fail:
            raise ZeroDivisionError("the clock at mysql://root:hunter2@clock stopped")
        open("started", "w").close()
        while True:
            time.sleep(0.02)
            yield {"tick": 1}

    return ticks
"""


def _add_slow(config: Path, options: str = "{}") -> None:
    with config.open("a", encoding="utf-8") as file:
        file.write(
            f"  - name: clock\n    source_type: slow\n    source_config: {options}\n"
            "    destination_table: raw.ticks\nretry_config: {max_retries: 0}\n"
        )


def test_a_run_prints_what_landed(floe: Floe, csv_config: Path) -> None:
    done = floe("run", csv_config)
    assert done.returncode == 0, done.stderr
    row = next(line for line in done.stdout.splitlines() if "raw.orders" in line)
    assert " 3 " in row
    assert done.stdout.splitlines()[-1].startswith("1 table, 3 rows, ")
    assert "orders (filesystem)" in done.stderr
    assert "orders: extract" in done.stderr


def test_json_is_one_document_and_the_only_thing_on_stdout(floe: Floe, csv_config: Path) -> None:
    done = floe("run", csv_config, "--json", "--run-id", "nightly-1")
    assert done.returncode == 0, done.stderr
    document = json.loads(done.stdout)
    assert set(document) == {"run_id", "success", "sources"}
    assert (document["run_id"], document["success"]) == ("nightly-1", True)
    (source,) = document["sources"]
    assert set(source) >= {"name", "success", "duration_seconds", "tables", "errors"}
    (table,) = source["tables"]
    assert set(table) == {"table", "rows_loaded", "bytes_written", "snapshot_id", "committed"}
    assert (table["table"], table["rows_loaded"], table["committed"]) == ("raw.orders", 3, True)
    assert table["bytes_written"] > 0
    assert isinstance(table["snapshot_id"], int)


def test_a_source_that_fails_is_1_and_the_others_land(
    floe: Floe, csv_config: Path, make_plugin: Callable[..., Path]
) -> None:
    site = str(make_plugin("slowplugin", SLOW))
    _add_slow(csv_config, "{fail: true}")
    done = floe("run", csv_config, "--json", PYTHONPATH=site)
    assert done.returncode == 1, done.stderr
    sources = {source["name"]: source for source in json.loads(done.stdout)["sources"]}
    assert sources["orders"]["success"] is True
    assert sources["orders"]["tables"][0]["rows_loaded"] == 3
    assert sources["clock"]["success"] is False
    assert "stopped" in sources["clock"]["errors"][0]["message"]
    assert "clock failed (" in done.stderr
    assert "hunter2" not in done.stdout + done.stderr


def test_source_chooses_and_a_wrong_name_is_2(
    floe: Floe, csv_config: Path, make_plugin: Callable[..., Path]
) -> None:
    site = str(make_plugin("slowplugin", SLOW))
    _add_slow(csv_config, "{fail: true}")
    done = floe("run", csv_config, "--source", "orders", "--source", "orders", "--json", PYTHONPATH=site)
    assert done.returncode == 0, done.stderr
    assert [source["name"] for source in json.loads(done.stdout)["sources"]] == ["orders"]
    wrong = floe("run", csv_config, "--source", "oders", PYTHONPATH=site)
    assert wrong.returncode == 2
    assert "oders" in wrong.stderr
    assert "orders" in wrong.stderr
    assert "Traceback" not in wrong.stderr


def test_a_missing_file_is_2(floe: Floe) -> None:
    done = floe("run", "absent.yaml", "--json")
    assert done.returncode == 2
    assert json.loads(done.stdout)["errors"][0]["type"] == "InvalidConfigError"
    assert "absent.yaml" in done.stderr


def test_a_configuration_error_does_not_wait_for_dlt(
    tmp_path: Path, environment: Callable[..., dict[str, str]]
) -> None:
    (tmp_path / "ingest.yaml").write_text("sources: []\n", encoding="utf-8")
    code = (
        "import sys\nfrom floe_ingest.cli import main\n"
        "print(main(['run', 'ingest.yaml']), sorted({'dlt', 'pyarrow', 'pyiceberg'} & set(sys.modules)))\n"
    )
    done = subprocess.run(
        [sys.executable, "-c", code],
        cwd=tmp_path,
        env=environment(),
        capture_output=True,
        text=True,
        check=True,
    )
    assert done.stdout == "2 []\n"


@pytest.mark.parametrize("number", [signal.SIGINT, signal.SIGTERM])
def test_an_interrupted_run_is_130_and_a_later_one_loads(
    number: signal.Signals,
    floe: Floe,
    csv_config: Path,
    make_plugin: Callable[..., Path],
    environment: Callable[..., dict[str, str]],
) -> None:
    site = str(make_plugin("slowplugin", SLOW))
    _add_slow(csv_config)
    folder = csv_config.parent
    process = subprocess.Popen(
        [sys.executable, "-m", "floe_ingest.cli", "run", str(csv_config), "--source", "clock"],
        cwd=folder,
        env=environment(PYTHONPATH=site),
        stdin=subprocess.DEVNULL,
        stdout=subprocess.PIPE,
        stderr=subprocess.PIPE,
        text=True,
    )
    deadline = time.monotonic() + 60
    while not (folder / "started").exists():
        assert process.poll() is None, process.communicate()
        assert time.monotonic() < deadline
        time.sleep(0.02)
    process.send_signal(number)
    out, err = process.communicate(timeout=60)
    assert process.returncode == 130, err
    assert out == ""
    assert err.splitlines()[-1].startswith("Interrupted. Tables are as they were, or hold the whole load;")
    assert "Traceback" not in err
    later = floe("run", csv_config, "--source", "orders", PYTHONPATH=site)
    assert later.returncode == 0, later.stderr


def test_a_reader_that_leaves_does_not_fail_a_run(
    csv_config: Path, environment: Callable[..., dict[str, str]]
) -> None:
    process = subprocess.Popen(
        [sys.executable, "-m", "floe_ingest.cli", "run", str(csv_config)],
        cwd=csv_config.parent,
        env=environment(),
        stdin=subprocess.DEVNULL,
        stdout=subprocess.PIPE,
        stderr=subprocess.PIPE,
        text=True,
    )
    assert process.stdout is not None
    assert process.stderr is not None
    process.stdout.close()
    process.stderr.close()
    assert process.wait(timeout=120) == 0
    assert list(csv_config.parent.rglob("*.parquet"))
