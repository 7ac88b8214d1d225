"""The built-in source of files passes the kit that third parties get."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any, ClassVar

import pytest

from floe_ingest import ErrorCategory
from floe_ingest.testing import SourceContract

if TYPE_CHECKING:
    from collections.abc import Mapping
    from pathlib import Path


@pytest.mark.requirement("FR-077")
class TestFilesystem(SourceContract):
    source_type = "filesystem"
    cursor_field: ClassVar[str | None] = "id"

    def make_source(self, folder: Path) -> dict[str, Any]:
        (folder / "a.csv").write_text("id,city,price\n1,Bern,1.5\n2,Chur,2.5\n")
        return {"path": str(folder), "tables": {"cities": "*.csv"}}

    def expected(self) -> dict[str, list[dict[str, Any]]]:
        return {"cities": [{"id": 1, "city": "Bern", "price": 1.5}, {"id": 2, "city": "Chur", "price": 2.5}]}

    def add_rows(self, folder: Path) -> dict[str, list[dict[str, Any]]]:
        (folder / "b.csv").write_text("id,city,price\n3,Thun,3.5\n")
        return {"cities": [{"id": 3, "city": "Thun", "price": 3.5}]}

    def make_empty(self, folder: Path) -> dict[str, Any]:
        (folder / "a.csv").write_text("id,city,price\n")
        return {"path": str(folder), "tables": {"cities": "*.csv"}}

    def make_big(self, folder: Path, rows: int) -> dict[str, Any]:
        lines = "".join(f"{number},Bern,{number}.5\n" for number in range(rows))
        (folder / "a.csv").write_text(f"id,city,price\n{lines}")
        return {"path": str(folder), "tables": {"cities": "*.csv"}}

    def make_broken(self, folder: Path) -> Mapping[str, tuple[dict[str, Any], ErrorCategory]]:
        (folder / "bad.csv").write_text("id,city\n1,Bern,too,many\n")
        settings = {"path": str(folder), "tables": {"cities": "*.csv"}}
        return {
            "a row with too many fields": (settings, ErrorCategory.CONFIGURATION),
            "no such folder": ({"path": str(folder / "absent")}, ErrorCategory.CONFIGURATION),
        }
