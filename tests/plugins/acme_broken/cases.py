"""The kit's tests of sources that break its promises; ``test_kit_failures.py`` runs this file."""

from __future__ import annotations

import json

import pytest

from floe_ingest import ErrorCategory
from floe_ingest.testing import SourceContract

ROWS = [{"id": 1, "name": "Ada"}, {"id": 2, "name": "Grace"}]
KINDS = (
    *("sound", "no_pip_line", "not_installed", "undocumented", "open_secret", "lenient", "unpicklable"),
    *("connects", "failing_check", "finds_nothing", "misses_something", "changes_types", "fails", "changes"),
    "spent",
)


def write(folder, rows, name="rows.jsonl"):
    path = folder / name
    with path.open("w") as file:
        file.writelines(json.dumps(row) + "\n" for row in rows)
    return {"path": str(path)}


class Broken(SourceContract):
    def make_source(self, folder):
        return write(folder, ROWS)

    def expected(self):
        return {"rows": ROWS}


for kind in KINDS:
    name = f"Test{kind.title().replace('_', '')}"
    globals()[name] = type(name, (Broken,), {"source_type": kind})


class WithToken(Broken):
    def make_source(self, folder):
        return {**write(folder, ROWS), "token": "a-t0ken-of-the-test"}


class TestSecretInLog(WithToken):
    source_type = "secret_in_log"


class TestSecretInRow(WithToken):
    source_type = "secret_in_row"


class TestSlowCheck(Broken):
    source_type = "slow_check"

    @pytest.fixture(autouse=True)
    def impatient(self, monkeypatch):
        monkeypatch.setattr("floe_ingest.testing.contract.CHECK_SECONDS", 0.2)

    def make_unreachable(self, folder):
        return {"path": str(folder / "absent")}


class Unreachable(Broken):
    def make_unreachable(self, folder):
        return {"path": str(folder / "absent")}


class TestCheckAlwaysPasses(Unreachable):
    source_type = "check_always_passes"


class TestCheckCrashes(Unreachable):
    source_type = "check_crashes"


class Empty(Broken):
    def make_empty(self, folder):
        return write(folder, [])


class TestFailsEmpty(Empty):
    source_type = "fails_empty"


class TestFillsEmpty(Empty):
    source_type = "fills_empty"


class TestForgetful(Broken):
    source_type = "forgetful"

    def add_rows(self, folder):
        added = [{"id": 3, "name": "Edsger"}]
        write(folder, [*ROWS, *added])
        return {"rows": added}


class TestCannotBeKilled(TestForgetful):
    source_type = "fails"


class TestHungry(Broken):
    source_type = "hungry"
    big_rows = 20_000

    def make_big(self, folder, rows):
        return write(folder, ({"id": number, "name": "x" * 3_000} for number in range(rows)))


class TestFewRows(Broken):
    source_type = "sound"
    big_rows = 100

    def make_big(self, folder, rows):
        return write(folder, [{"id": number, "name": "x"} for number in range(rows // 2)])


class TestBigFails(TestFewRows):
    source_type = "fails"


class Failing(Broken):
    def make_broken(self, folder):
        return {"a locked file": (write(folder, ROWS, "broken.jsonl"), ErrorCategory.PERMANENT)}


class TestSwallows(Failing):
    source_type = "swallows"


class TestCrashes(Failing):
    source_type = "crashes"
