"""The starter file: it works as it is, and so does what is commented out in it."""

from __future__ import annotations

import re
from typing import TYPE_CHECKING

from floe_ingest.config import load_config, resolve_source, starter_yaml

if TYPE_CHECKING:
    from pathlib import Path

    import pytest

    from floe_ingest.plugins import Plugins


def test_it_loads_the_csv_files_of_a_folder(tmp_path: Path, plugins: Plugins) -> None:
    path = tmp_path / "ingest.yaml"
    path.write_text(starter_yaml(), encoding="utf-8")
    config = load_config(path, plugins=plugins)
    (source,) = config.sources
    request = resolve_source(source, config, plugins)
    assert (request.config.path, request.config.file_glob) == ("./data", "*.csv")
    assert source.destination_table == "raw.{resource}"
    assert config.catalog_config is None


def test_everything_that_is_commented_out_works_too(
    tmp_path: Path, plugins: Plugins, monkeypatch: pytest.MonkeyPatch
) -> None:
    # `# words` is a comment; `#key` and `#  key` are settings that wait.
    text = re.sub(r"^( *)#(?=\S|  )", r"\1", starter_yaml(), flags=re.MULTILINE)
    path = tmp_path / "ingest.yaml"
    path.write_text(text, encoding="utf-8")
    for name in ("SHOP_DB", "CRM_TOKEN", "CATALOG_CREDENTIAL"):
        monkeypatch.setenv(name, "x")
    config = load_config(path, plugins=plugins)
    assert [source.name for source in config.sources] == ["files", "shop", "crm"]
    assert config.sources[1].resources["orders"].write_mode == "append"
    assert config.catalog_config is not None
    assert config.catalog_config["warehouse"] == "lake"
    for source in config.sources:
        resolve_source(source, config, plugins)


def test_it_is_short() -> None:
    assert len(starter_yaml().splitlines()) <= 60
