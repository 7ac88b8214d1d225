"""Dagster's own web UI, driven by a browser, on the example project."""

from __future__ import annotations

import os
import shutil
import subprocess
import sys
from pathlib import Path
from typing import TYPE_CHECKING, Any

import pytest
from dagster_server import dagster_dev, until
from lakes import Lake
from selenium import webdriver
from selenium.common.exceptions import WebDriverException
from selenium.webdriver.common.by import By
from services import programs

if TYPE_CHECKING:
    from collections.abc import Iterator

pytestmark = pytest.mark.servers("Dagster")

EXAMPLES = Path(__file__).resolve().parents[2] / "examples"
RATINGS = "ingestion__files__ratings"


@pytest.fixture
def project(tmp_path: Path) -> Path:
    """The example, with its data, as its README says to make it."""
    folder = tmp_path / "project"
    written = shutil.ignore_patterns("data", "warehouse", "top_rated.csv", ".floe-ingest", "__pycache__")
    shutil.copytree(EXAMPLES / "dagster", folder, ignore=written)
    make_data = [sys.executable, str(EXAMPLES / "quickstart" / "make_data.py"), str(folder / "data")]
    subprocess.run(make_data, check=True, timeout=120)
    return folder


@pytest.fixture
def browser(tmp_path: Path) -> Iterator[Any]:
    """Chromium without a window."""
    options = webdriver.ChromeOptions()
    options.binary_location, driver = programs.browser()
    for argument in ("--headless=new", "--no-sandbox", "--disable-dev-shm-usage", "--window-size=1400,1080"):
        options.add_argument(argument)
    options.add_argument(f"--user-data-dir={tmp_path / 'chromium'}")
    started = webdriver.Chrome(options=options, service=webdriver.ChromeService(executable_path=driver))
    yield started
    started.quit()


@pytest.mark.timeout(900)
def test_an_asset_is_found_materialised_and_looked_at(project: Path, browser: Any, tmp_path: Path) -> None:
    kept = Path(os.environ.get("FLOE_INGEST_SCREENSHOTS", tmp_path))

    def shows(*texts: str) -> bool:
        seen = browser.find_element(By.TAG_NAME, "body").text
        return all(text in seen for text in texts)

    def clicked(text: str) -> bool:
        """Click the button with a text, if it is there and can be clicked."""
        try:
            browser.find_element(By.XPATH, f"//button[normalize-space(.)='{text}']").click()
        except WebDriverException:
            return False
        return True

    with dagster_dev(project) as server:
        browser.get(f"{server.url}/locations/__repository__@definitions.py/asset-groups/files")
        until(lambda: shows(RATINGS, "ingestion__files__price_list", "top_rated"), 120, "the asset graph")
        until(lambda: clicked("Materialize all"), 120, "a button to load everything")
        until(lambda: server.runs() == ["SUCCESS"], 300, "a load")
        until(lambda: shows("Materialized") and not shows("Loading", "Never materialized"), 120, "its end")
        assert browser.save_screenshot(str(kept / "dagster-assets.png"))

        snapshot = Lake(project / "warehouse").table("files.ratings").current_snapshot()
        browser.get(f"{server.url}/assets/{RATINGS}?view=overview")
        until(lambda: shows("rows_loaded", "snapshot_id", str(snapshot.snapshot_id)), 120, "its metadata")
        assert shows("3,000", "rated_at", "timestamptz", "files.ratings", "web")
        told = browser.find_element(By.XPATH, "//*[normalize-space(text())='rows_loaded']")
        browser.execute_script("arguments[0].scrollIntoView({block: 'center'})", told)
        assert browser.save_screenshot(str(kept / "dagster-asset.png"))

        until(lambda: clicked("Plots"), 120, "a button for plots")
        until(lambda: bool(browser.find_elements(By.TAG_NAME, "canvas")), 120, "plots of the numbers")
        assert shows("rows_loaded", "load_seconds")
    assert len(Lake(project / "warehouse").rows("files.ratings")) == 3_000
