"""No secret of a configuration appears in what people or machines read."""

from __future__ import annotations

import os
import traceback
from typing import TYPE_CHECKING, Any

import pytest
import yaml
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from floe_ingest import InvalidConfigError
from floe_ingest.config import load_config, parse_config, resolve_catalog, resolve_source, yaml_file
from floe_ingest.config.secrets import Scrubber, mask_urls

if TYPE_CHECKING:
    from pathlib import Path

    from floe_ingest.plugins import Plugins

pytestmark = [pytest.mark.requirement("FR-073")]

# Long enough that it stands in no message by chance, and with what is escaped in quotes and URLs.
_SECRETS = st.text(
    st.characters(codec="utf-8", exclude_categories=["Cc", "Cs"], exclude_characters="${}"),
    min_size=2,
    max_size=12,
).map(lambda text: f"Zq7{text}X9w")

# Settings that are wrong in as many ways as there are; {} stands for the secret.
_WRONG: tuple[tuple[str, dict[str, Any]], ...] = (
    ("sql_database", {"url": ["{}"]}),
    ("sql_database", {"url": {"password": "{}"}}),
    ("sql_database", {"url": "{}", "table": "a", "tables": ["b"]}),
    ("sql_database", {"url": "db://me:{}@host/x", "table": "a", "tables": ["b"]}),
    ("sql_database", {"url": "{}", "table": "later", "mode": "exactly"}),
    ("sql_database", {"url": "x", "digits": "{}"}),
    ("sql_database", {"url": "x", "password": "{}"}),
    ("sql_database", {"url": "x", "tables": "{}"}),
    ("sql_database", {"url": "x", "tables": {"token": "{}"}}),
    ("rest_api", {"login": {"type": "bearer", "token": "{}"}}),
    ("rest_api", {"login": {"type": "basic", "username": 5, "password": "{}"}}),
    ("rest_api", {"login": "{}"}),
    ("rest_api", {"client": "{}"}),
    ("rest_api", {"clients": {"auth": "{}"}}),
    ("filesystem", {"path": "x", "csv": "{}"}),
    ("filesystem", {"path": "x", "patterns": {"delimiter": ["{}"]}}),
)
# Where the value would be shown, had it not come from the environment.
_WRONG_BY_ENVIRONMENT: tuple[tuple[str, dict[str, Any]], ...] = (
    ("filesystem", {"path": "x", "format": "{}"}),
    ("filesystem", {"path": "x", "batch_rows": "{}"}),
    ("filesystem", {"path": "x", "csv": {"header": "{}"}}),
    ("rest_api", {"login": {"type": "{}"}}),
)


def _filled(value: Any, text: str) -> Any:
    if isinstance(value, dict):
        return {key: _filled(item, text) for key, item in value.items()}
    if isinstance(value, list):
        return [_filled(item, text) for item in value]
    return value.replace("{}", text) if isinstance(value, str) else value


def _everything_about(error: BaseException) -> str:
    parts = [str(error), repr(error), *traceback.format_exception(error)]
    seen: BaseException | None = error
    while seen is not None:
        parts += [str(seen), repr(seen), repr(getattr(seen, "problems", ""))]
        seen = seen.__cause__ or seen.__context__
    return "\n".join(parts)


def _document(kind: str, source_config: Any, catalog_config: Any = None) -> dict[str, Any]:
    source = {
        "name": "a",
        "source_type": kind,
        "source_config": source_config,
        "destination_table": "raw.a",
        "write_mode": "wrong",
    }
    return {"catalog_config": catalog_config, "sources": [source]}


@given(case=st.sampled_from(_WRONG), secret=_SECRETS)
def test_a_secret_that_is_written_down(plugins: Plugins, case: tuple[str, Any], secret: str) -> None:
    kind, written = case
    document = _document(kind, _filled(written, secret), {"credential": secret, "uri": [secret]})
    with pytest.raises(InvalidConfigError) as caught:
        parse_config(document, plugins=plugins)
    assert secret not in _everything_about(caught.value)
    assert len(caught.value.problems) > 2


@given(case=st.sampled_from(_WRONG + _WRONG_BY_ENVIRONMENT), secret=_SECRETS)
def test_a_secret_of_the_environment(plugins: Plugins, case: tuple[str, Any], secret: str) -> None:
    kind, written = case
    catalog = {"credential": "${FLOE_TEST_SECRET}", "uri": ["${FLOE_TEST_SECRET}"]}
    document = _document(kind, _filled(written, "${FLOE_TEST_SECRET}"), catalog)
    document["sources"][0] |= {
        "destination_table": "${FLOE_TEST_SECRET} /",  # wrong whatever the secret is
        "partition_by": "${FLOE_TEST_SECRET}(x)",
        "primary_key": ["${FLOE_TEST_SECRET}", "${FLOE_TEST_SECRET}"],
    }
    with pytest.MonkeyPatch.context() as patch:
        patch.setitem(os.environ, "FLOE_TEST_SECRET", secret)
        with pytest.raises(InvalidConfigError) as caught:
            parse_config(document, plugins=plugins)
    assert secret not in _everything_about(caught.value)
    assert {problem.path for problem in caught.value.problems} >= {
        "sources[0].write_mode",
        "sources[0].destination_table",
        "catalog_config.uri",
    }


@given(secret=_SECRETS)
def test_what_is_resolved_shows_nothing(plugins: Plugins, secret: str) -> None:
    document = _document(
        "sql_database", {"url": secret, "digits": 1}, {"uri": "http://x", "credential": secret}
    )
    del document["sources"][0]["write_mode"]
    config = parse_config(document, plugins=plugins)
    request, catalog = resolve_source(config.sources[0], config, plugins), resolve_catalog(config)
    assert request.config.url.get_secret_value() == secret
    assert catalog.properties["credential"] == secret
    assert secret not in "".join(f"{thing!r}{thing}" for thing in (config, request, catalog))


@pytest.mark.parametrize("loader", [yaml.SafeLoader, yaml.CSafeLoader])
@settings(suppress_health_check=[HealthCheck.function_scoped_fixture, HealthCheck.too_slow], max_examples=60)
@given(
    secret=_SECRETS,
    around=st.sampled_from(
        [
            "a: *{}",
            "a: !{} x",
            "a: !!int {}",
            "a: &{} x\nb: &{} y\nc: *d",
            "a: {}: b",
            "a: '{}",
            'a: "\\{}"',
            "a: @{}",
            "{{password:{}}}",
            "a: [{}",
            "{}",
            "- {}",
            "a: 1\n{}",
            "a:{}",
        ]
    ),
)
def test_a_file_that_is_no_configuration(
    tmp_path: Path, plugins: Plugins, loader: Any, secret: str, around: str
) -> None:
    path = tmp_path / "ingest.yaml"
    path.write_text(around.replace("{{", "{").replace("}}", "}").replace("{}", secret), encoding="utf-8")
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(yaml_file, "_Loader", loader)
        with pytest.raises(InvalidConfigError) as caught:
            load_config(path, plugins=plugins)
    assert secret not in _everything_about(caught.value)


@given(secret=_SECRETS, form=st.sampled_from(["got {!r}", "got {}", "got {!a}", "x={};"]))
def test_scrubbing_finds_a_value_however_it_is_written(secret: str, form: str) -> None:
    scrubbed = Scrubber([secret]).scrub(form.format(secret))
    assert secret not in scrubbed
    assert "***" in scrubbed


def test_scrubbing_leaves_words_that_hold_a_short_value() -> None:
    assert Scrubber(["a", "", " "]).scrub("a table, 'a' and b") == "*** table, '***' and b"


def test_users_and_passwords_of_addresses() -> None:
    assert mask_urls("no db://u:p@ss@h/x or https://token@h") == "no db://***@h/x or https://***@h"
