"""The test kit, on sources that each break one of its promises: what fails, and what the author is told."""

from __future__ import annotations

import os
import re
import shutil
import subprocess
import sys
from xml.etree import ElementTree as ET

import pytest
from sample_packages import SAMPLES, install_sample

from floe_ingest.testing import SourceContract

LOADS = ("what_is_loaded_is_what_is_there", "loading_twice_gives_the_same")
READS = (*LOADS, "the_source_can_be_built_again")
DOES_NOT_EQUAL = "Yield what the source holds, each time that it is read, with types that keep its values"

BROKEN: dict[str, dict[str, str]] = {
    # By source type: the tests that fail, without "test_", and what each says.
    "sound": {},
    "no_pip_line": {"the_type_is_declared": "'json' has no pip line. Give it one: users are"},
    "undocumented": {
        "the_configuration_is_documented": "path has no description. Write Field(description=...)"
    },
    "open_secret": {
        "the_configuration_is_documented": "api_key sounds like a secret and is not typed as one. "
        "Make it pydantic.SecretStr"
    },
    "lenient": {"an_unknown_key_is_refused": 'Write class Config(BaseModel, extra="forbid")'},
    "secret_in_log": {"secrets_do_not_leak": "shows in a repr, a log or an error. Keep it in SecretStr"},
    "secret_in_row": {"secrets_do_not_leak": "Do not put it into rows, state or names"},
    "connects": {
        "building_opens_no_connection": "opened a connection (sqlite3.connect). Open it inside the "
        "resource's generator"
    },
    "slow_check": {
        "the_check_is_quick_and_finds_something": "has not ended within 0.2 s. Bound each request by",
        "an_unreachable_source_is_told_in_time": "has not ended within 0.2 s. Bound each request by",
    },
    "failing_check": {
        "the_check_is_quick_and_finds_something": "fails on the source of make_source: there is nobody"
    },
    "finds_nothing": {"the_check_is_quick_and_finds_something": "Return a FoundResource for each one"},
    "check_always_passes": {
        "an_unreachable_source_is_told_in_time": "Reach for the source in floe_ingest_check_source, and "
        "raise SourceConnectionError"
    },
    "check_crashes": {
        "an_unreachable_source_is_told_in_time": "FileNotFoundError: [Errno 2] No such file or directory: "
    },
    "changes_types": dict.fromkeys(LOADS, DOES_NOT_EQUAL),
    "changes": {"loading_twice_gives_the_same": DOES_NOT_EQUAL},
    "fails": {
        **dict.fromkeys(LOADS, "The load of make_source's source failed in the first"),
        "the_source_can_be_built_again": "the file is locked",
    },
    "spent": {
        "the_source_can_be_built_again": "Make a new generator in each call of floe_ingest_build_source",
        "loading_twice_gives_the_same": "failed in the second of two loads: Source `tested` is exhausted",
    },
    "unpicklable": {
        "the_source_can_be_built_again": "The configuration does not pickle: cannot pickle '_thread.lock'"
        " object. Hold plain values in the model alone"
    },
    "fails_empty": {"an_empty_source_succeeds": "Yield nothing instead of raising"},
    "fills_empty": {"an_empty_source_succeeds": "An empty source loaded 1 rows"},
    "forgetful": {
        "incremental_loads_only_what_is_new": "brought 3 rows where 1 were new. Name the cursor_field of "
        "this class, or use dlt.sources.incremental",
        "a_killed_load_neither_loses_nor_doubles": DOES_NOT_EQUAL,
    },
    "hungry": {"memory_is_bounded": "Yield Arrow batches or pages as they come; collect nothing"},
    "few_rows": {"memory_is_bounded": "make_big made 50 rows where 100 were asked for"},
    "swallows": {
        "errors_are_categorised": "a locked file: the load succeeded. A failure that is swallowed loses"
    },
    "crashes": {
        "errors_are_categorised": "a locked file: the failure is transient, not permanent. Raise a subclass "
        "of IngestionError with that category, or implement floe_ingest_categorize_error"
    },
}
ALSO: dict[str, dict[str, str]] = {
    # Whose other tests fail as well, since the source does not work at all.
    "not_installed": {
        "the_type_is_declared": "These tests need what the source needs. Run: pip install acme"
    },
    "misses_something": {
        "the_check_is_quick_and_finds_something": "'orders' is missing from the source of make_source"
    },
    "cannot_be_killed": {
        "a_killed_load_neither_loses_nor_doubles": "failed after a killed load: the file is locked",
        "incremental_loads_only_what_is_new": "The load of make_source's source failed in the first load",
    },
    "big_fails": {"memory_is_bounded": "The load of 100 rows failed: the file is locked"},
}


pytestmark = [pytest.mark.timeout(900), pytest.mark.requirement("FR-074"), pytest.mark.requirement("FR-076")]


@pytest.fixture(scope="module")
def failures(tmp_path_factory: pytest.TempPathFactory) -> dict[str, dict[str, str]]:
    """What fails, by source type and test, and how."""
    folder = tmp_path_factory.mktemp("broken")
    install_sample("acme_broken", folder / "site")
    shutil.copy(SAMPLES / "acme_broken" / "cases.py", folder / "test_cases.py")
    report = folder / "report.xml"
    done = subprocess.run(
        [
            sys.executable,
            "-m",
            "pytest",
            "-q",
            "-p",
            "no:cacheprovider",
            f"--junitxml={report}",
            "test_cases.py",
        ],
        cwd=folder,
        env={**os.environ, "PYTHONPATH": str(folder / "site")},
        capture_output=True,
        text=True,
        timeout=800,
        check=False,
    )
    assert done.returncode == 1, done.stdout + done.stderr
    found: dict[str, dict[str, str]] = {}
    for case in ET.parse(report).iter("testcase"):  # noqa: S314 - pytest wrote it right now
        kind = re.sub(r"(?<!^)([A-Z])", r"_\1", case.attrib["classname"].rpartition(".Test")[2]).lower()
        told = found.setdefault(kind, {})
        for problem in (*case.iter("failure"), *case.iter("error")):
            told[case.attrib["name"].removeprefix("test_")] = problem.text or ""
    return found


@pytest.mark.parametrize("kind", BROKEN)
def test_exactly_the_promise_that_is_broken_fails(failures: dict[str, dict[str, str]], kind: str) -> None:
    assert set(failures[kind]) == set(BROKEN[kind])


@pytest.mark.parametrize(
    ("kind", "test"),
    [(kind, test) for kind, tests in (BROKEN | ALSO).items() for test in tests],
)
def test_the_author_is_told_what_to_do(failures: dict[str, dict[str, str]], kind: str, test: str) -> None:
    message = (BROKEN | ALSO)[kind][test]
    assert message in " ".join(failures[kind][test].split())


def test_every_test_of_the_kit_is_broken_by_a_source() -> None:
    tests = {name.removeprefix("test_") for name in dir(SourceContract) if name.startswith("test_")}
    assert tests == {test for told in BROKEN.values() for test in told}


def test_every_message_of_the_kit_is_seen() -> None:
    """Each call of ``fail`` has a part in the expectations above."""
    import inspect

    from floe_ingest.testing import contract

    calls = len(re.findall(r"\bfail\(", inspect.getsource(contract.SourceContract)))
    assert calls <= sum(len(told) for told in (BROKEN | ALSO).values())
