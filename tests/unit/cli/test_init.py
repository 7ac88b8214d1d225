"""``floe-ingest init`` writes a starter file and harms nothing that is there."""

from __future__ import annotations

import os
from typing import TYPE_CHECKING

import pytest

from floe_ingest.cli import main

if TYPE_CHECKING:
    import subprocess
    from collections.abc import Callable
    from pathlib import Path


@pytest.fixture(autouse=True)
def _in_folder(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.chdir(tmp_path)


def test_it_writes_the_starter_and_says_what_is_next(
    tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    from floe_ingest.config import starter_yaml

    assert main(["init"]) == 0
    assert (tmp_path / "ingest.yaml").read_text(encoding="utf-8") == starter_yaml()
    out = capsys.readouterr().out
    assert out.index("edit") < out.index("floe-ingest check ingest.yaml") < out.index("run ingest.yaml")


def test_it_points_editors_to_a_schema_that_accepts_it(tmp_path: Path) -> None:
    import json

    import yaml
    from jsonschema import Draft202012Validator

    assert main(["init", "loads.yaml"]) == 0
    text = (tmp_path / "loads.yaml").read_text(encoding="utf-8")
    first = text.splitlines()[0]
    assert first == "# yaml-language-server: $schema=loads.schema.json"
    schema = json.loads((tmp_path / "loads.schema.json").read_text(encoding="utf-8"))
    Draft202012Validator(schema).validate(yaml.safe_load(text))
    (tmp_path / "loads.schema.json").write_text("mine", encoding="utf-8")
    (tmp_path / "loads.yaml").unlink()
    assert main(["init", "loads.yaml"]) == 0
    assert (tmp_path / "loads.schema.json").read_text(encoding="utf-8") == "mine"


def test_the_starter_is_a_configuration_that_check_understands(
    tmp_path: Path, floe: Callable[..., subprocess.CompletedProcess[str]]
) -> None:
    assert main(["init", "my loads.yaml"]) == 0
    (tmp_path / "data").mkdir()
    (tmp_path / "data" / "orders.csv").write_text("id,city\n1,Bern\n", encoding="utf-8")
    done = floe("check", "my loads.yaml")
    assert done.returncode == 0, done.stderr


def test_a_path_with_spaces_is_quoted_in_what_is_next(capsys: pytest.CaptureFixture[str]) -> None:
    assert main(["init", "my loads.yaml"]) == 0
    assert "floe-ingest check 'my loads.yaml'" in capsys.readouterr().out


def test_it_does_not_overwrite(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    mine = tmp_path / "ingest.yaml"
    mine.write_text("mine", encoding="utf-8")
    assert main(["init"]) == 2
    shown = capsys.readouterr()
    assert mine.read_text(encoding="utf-8") == "mine"
    assert "ingest.yaml exists already" in shown.err
    assert "--force" in shown.err
    assert shown.out == ""


def test_it_overwrites_by_force(tmp_path: Path) -> None:
    from floe_ingest.config import starter_yaml

    mine = tmp_path / "ingest.yaml"
    mine.write_text("mine" * 10_000, encoding="utf-8")
    assert main(["init", "--force"]) == 0
    assert mine.read_text(encoding="utf-8") == starter_yaml()


@pytest.mark.parametrize("force", [[], ["--force"]])
def test_a_missing_folder_is_named(force: list[str], capsys: pytest.CaptureFixture[str]) -> None:
    assert main(["init", os.path.join("etc", "loads", "ingest.yaml"), *force]) == 2  # noqa: PTH118
    err = capsys.readouterr().err
    assert f"there is no folder {os.path.join('etc', 'loads')}" in err  # noqa: PTH118
    assert "Traceback" not in err


def test_a_folder_is_not_a_file(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    (tmp_path / "loads").mkdir()
    assert main(["init", "loads", "--force"]) == 2
    assert "loads is a folder" in capsys.readouterr().err


def test_what_the_system_refuses_is_said(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    (tmp_path / "file").write_text("", encoding="utf-8")
    assert main(["init", "file/ingest.yaml"]) == 2
    assert "file/ingest.yaml cannot be written: Not a directory." in capsys.readouterr().err
