"""Dagster's own web UI, driven by a browser: the asset graph, and what a materialisation tells."""

from __future__ import annotations

import os
import shutil
from pathlib import Path
from typing import TYPE_CHECKING, Any

import pytest
from dagster_server import dagster_dev, until
from dagster_shop import Shop, new_shop
from selenium import webdriver
from selenium.webdriver.common.by import By

if TYPE_CHECKING:
    from collections.abc import Iterator


DEFINITIONS = """
from floe_ingest.integrations.dagster import definitions

defs = definitions("ingest.yaml")
"""


@pytest.fixture
def shop(tmp_path: Path) -> Shop:
    return new_shop(tmp_path)


@pytest.fixture
def browser(tmp_path: Path) -> Iterator[Any]:
    """Debian's chromium (``apt-get install chromium chromium-driver``), without a window."""
    options = webdriver.ChromeOptions()
    options.binary_location = str(shutil.which("chromium"))
    for argument in ("--headless=new", "--no-sandbox", "--disable-dev-shm-usage", "--window-size=1400,900"):
        options.add_argument(argument)
    options.add_argument(f"--user-data-dir={tmp_path / 'chromium'}")
    service = webdriver.ChromeService(executable_path=str(shutil.which("chromedriver")))
    driver = webdriver.Chrome(options=options, service=service)
    yield driver
    driver.quit()


@pytest.mark.timeout(600)
def test_the_ui_shows_assets_and_what_a_load_told(shop: Shop, browser: Any, tmp_path: Path) -> None:
    shop.write(owners=["team:sales"], write_mode="merge", primary_key="id")
    (shop.folder / "definitions.py").write_text(DEFINITIONS)

    def shows(*texts: str) -> bool:
        seen = browser.find_element(By.TAG_NAME, "body").text
        return all(text in seen for text in texts)

    with dagster_dev(shop.folder) as server:
        run = server.launch("ingestion__shop__orders", "ingestion__shop__customers")
        until(lambda: server.status(run) == "SUCCESS", 200, "a load")
        kept = Path(os.environ.get("FLOE_INGEST_SCREENSHOTS", tmp_path))
        browser.get(f"{server.url}/asset-groups")
        until(lambda: shows("ingestion__shop__orders", "ingestion__shop__customers"), 120, "the asset graph")
        until(lambda: not shows("Loading"), 120, "the state of each asset")
        assert browser.save_screenshot(str(kept / "dagster-assets.png"))

        browser.get(f"{server.url}/assets/ingestion__shop__orders?view=overview")
        until(lambda: shows("rows_loaded", "snapshot_id", "sales"), 120, "the metadata of a load")
        snapshot = shop.lake.table("bronze.shop_orders").current_snapshot()
        assert shows(str(snapshot.snapshot_id))
        told = browser.find_element(By.XPATH, "//*[normalize-space(text())='rows_loaded']")
        browser.execute_script("arguments[0].scrollIntoView({block: 'center'})", told)
        assert browser.save_screenshot(str(kept / "dagster-asset.png"))
    assert (kept / "dagster-asset.png").stat().st_size > 10_000
