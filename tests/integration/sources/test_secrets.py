"""Known secrets, planted wherever a source takes one, are nowhere to be found afterwards.

Loads succeed and fail at each stage, by the real program at debug level. Then everything that it left is
searched: both streams, the warehouse with its states, the working folder, dlt's own folders.
"""

from __future__ import annotations

import base64
import json
import os
import pickle
import subprocess
import sys
import zlib
from typing import TYPE_CHECKING, Any
from urllib.parse import quote, quote_plus

import pytest
import yaml
from rest_support import Answer, Api, pages, serving
from services.processes import free_port

from floe_ingest import load_config

if TYPE_CHECKING:
    from collections.abc import Iterator, Mapping
    from pathlib import Path

SECRETS = {
    "BEARER": "tok-5f1e0c-bearer/x+y",
    "BASIC": "pw basic & 7d2c@41",
    "QUERY": "q-93ab77-query",
    "CLIENT": "cs-1b64d0-oauth",
    "ISSUED": "at-0a77fe-issued",
    "HEADER": "hd-c81d2e-header",
    "URL": "db-44aa19-url",
    "DLT": "env-77b0aa-dlt",
}
AUTH: dict[str, Any] = {
    "bearer": {"type": "bearer", "token": "${BEARER}"},
    "basic": {"type": "http_basic", "username": "ada", "password": "${BASIC}"},
    "query": {"type": "api_key", "name": "k", "api_key": "${QUERY}", "location": "query"},
    "oauth": {
        "type": "oauth2_client_credentials",
        "access_token_url": "API/token",
        "client_id": "ada",
        "client_secret": "${CLIENT}",
    },
    "dlt": {"type": "bearer"},
}
ORDERS = [{"id": number, "at": f"2024-01-{number + 1:02d}"} for number in range(10)]
CURSOR = {"cursor_path": "at", "start_param": "since", "initial_value": "2024"}


@pytest.fixture
def api() -> Iterator[Api]:
    with serving() as made:
        made.routes["/token"] = [Answer({"access_token": SECRETS["ISSUED"], "expires_in": 3600})]
        yield made


def _config(api: Api, folder: Path, auth: str, nested: str = "tables", **catalog: Any) -> Path:
    written = {name: str(value).replace("API", api.url) for name, value in AUTH[auth].items()}
    source = {
        "name": "shop",
        "source_type": "rest_api",
        "source_config": {
            "client": {
                "base_url": api.url,
                "auth": written,
                "headers": {"X-Api-Key": "${HEADER}"},
                "paginator": {
                    "type": "page_number",
                    "base_page": 1,
                    "total_path": None,
                    "has_more_path": "more",
                },
            },
            "resources": [
                {
                    "name": "orders",
                    "endpoint": {"path": "orders", "data_selector": "data", "incremental": CURSOR},
                }
            ],
            "max_retries": 0,
            "nested": nested,
        },
        "destination_table": "raw.{resource}",
    }
    document = {"retry_config": {"max_retries": 0}, "sources": [source], **catalog}
    path = folder / "ingest.yaml"
    path.write_text(yaml.safe_dump(document), encoding="utf-8")
    return path


def _environment(folder: Path) -> dict[str, str]:
    return {
        **os.environ,
        **{name: value for name, value in SECRETS.items() if name != "DLT"},
        "SOURCES__REST_API__CREDENTIALS__TOKEN": SECRETS["DLT"],
        "DLT_DATA_DIR": str(folder / "dlt-data"),
    }


def _run(folder: Path, *words: str, **variables: str) -> subprocess.CompletedProcess[str]:
    return subprocess.run(
        [sys.executable, "-m", "floe_ingest.cli", *words, "--log-level", "debug"],
        cwd=folder,
        env={**_environment(folder), **variables},
        capture_output=True,
        text=True,
        timeout=120,
        check=False,
        stdin=subprocess.DEVNULL,
    )


def _forms(secret: str) -> set[bytes]:
    """A secret as texts, JSON, URLs and headers may have it."""
    spelled = {secret, quote(secret), quote(secret, safe=""), quote_plus(secret), json.dumps(secret)[1:-1]}
    spelled |= {
        base64.b64encode(f"ada:{secret}".encode()).decode(),
        base64.b64encode(secret.encode()).decode(),
    }
    return {form.encode() for form in spelled}


def _unpacked(content: bytes) -> bytes:
    """States are kept as base64 of zlib: return what such words of a file hold."""
    found = [content]
    for word in content.replace(b"\\", b'"').split(b'"'):
        if len(word) > 40:
            try:
                found.append(zlib.decompress(base64.b64decode(word)))
            except (ValueError, zlib.error):
                continue
    return b"\n".join(found)


def _leaks(folder: Path, *texts: str) -> list[str]:
    places: dict[str, bytes] = {f"stream {number}": text.encode() for number, text in enumerate(texts)}
    skipped = folder / "secrets.toml"
    for path in folder.rglob("*"):
        if path.is_file() and path.name not in ("secrets.toml", "site.py") and path != skipped:
            places[str(path.relative_to(folder))] = _unpacked(path.read_bytes())
    return [
        f"{name} in {place}"
        for name, secret in SECRETS.items()
        for place, content in places.items()
        if any(form in content for form in _forms(secret))
    ]


STAGES: Mapping[str, Any] = {
    "success": lambda: pages(ORDERS, 3),
    "refused": lambda: [Answer({"error": "who?"}, 401)],
    "broken": lambda: pages(ORDERS, 3, fail={3: [Answer({"data": ORDERS}, cut=True)]}),
    "unavailable": lambda: pages(ORDERS, 3, fail={2: [Answer(status=503)]}),
    "no JSON": lambda: [Answer(b"<html>no</html>")],
}


@pytest.mark.parametrize("auth", list(AUTH))
@pytest.mark.parametrize("stage", list(STAGES))
def test_a_load_leaves_none(api: Api, tmp_path: Path, auth: str, stage: str) -> None:
    api.routes["/orders"] = STAGES[stage]()
    nested = "native" if auth in ("query", "oauth") else "tables"
    config = _config(api, tmp_path, auth, nested)
    done = _run(tmp_path, "run", str(config), "--json")
    assert (done.returncode == 0) == (stage == "success"), done.stderr
    assert api.asked
    # The load really had its secret: it is there where it belongs, in what the API was sent.
    sent = json.dumps([{**request.headers, **request.query} for request in api.asked]).encode()
    own = {"bearer": "BEARER", "basic": "BASIC", "query": "QUERY", "oauth": "ISSUED", "dlt": "DLT"}[auth]
    assert any(form in sent for form in _forms(SECRETS[own]))
    assert json.loads(done.stdout)["success"] is (stage == "success")
    assert _leaks(tmp_path, done.stdout, done.stderr) == []


@pytest.mark.parametrize("auth", ["bearer", "query"])
def test_neither_does_a_check(api: Api, tmp_path: Path, auth: str) -> None:
    api.routes["/orders"] = [Answer(status=403)]
    done = _run(tmp_path, "check", str(_config(api, tmp_path, auth)), "--debug")
    assert done.returncode == 1, done.stderr
    assert _leaks(tmp_path, done.stdout, done.stderr) == []


def test_nor_a_configuration_that_is_wrong(api: Api, tmp_path: Path) -> None:
    config = _config(api, tmp_path, "bearer")
    text = config.read_text(encoding="utf-8")
    for old, new in (
        ("token:", "tokn:"),
        ("type: bearer", "type: barer"),
        ("nested: tables", "nested: ${BEARER}"),
    ):
        config.write_text(text.replace(old, new), encoding="utf-8")
        done = _run(tmp_path, "run", str(config), "--debug")
        assert done.returncode == 2, done.stderr
        assert _leaks(tmp_path, done.stdout, done.stderr) == []


def test_nor_a_commit_that_fails(api: Api, tmp_path: Path) -> None:
    """The catalog goes away: the package stays in the working folder, with the state of the cursor."""
    api.routes["/orders"] = pages(ORDERS, 3)
    catalog = {
        "type": "rest",
        "uri": f"http://ada:${{URL}}@127.0.0.1:{free_port()}",
        "credential": "ada:${CLIENT}",
        "warehouse": "lake",
    }
    done = _run(tmp_path, "run", str(_config(api, tmp_path, "bearer", catalog_config=catalog)), "--debug")
    assert done.returncode == 1, done.stderr
    assert _leaks(tmp_path, done.stdout, done.stderr) == []


@pytest.mark.parametrize("command", ["run", "check"])
def test_nor_a_database_that_is_not_there(tmp_path: Path, command: str) -> None:
    (tmp_path / "ingest.yaml").write_text(
        "retry_config: {max_retries: 0}\n"
        "sources:\n  - name: shop\n    source_type: sql_database\n    destination_table: 'raw.{resource}'\n"
        "    source_config:\n      table: orders\n"
        f"      url: postgresql://ada:${{URL}}@127.0.0.1:{free_port()}/shop\n",
        encoding="utf-8",
    )
    done = _run(tmp_path, command, "ingest.yaml", "--debug")
    assert done.returncode == 1, done.stderr
    assert _leaks(tmp_path, done.stdout, done.stderr) == []


def test_secrets_of_dlts_file(api: Api, tmp_path: Path) -> None:
    api.routes["/orders"] = pages(ORDERS, 3, fail={2: [Answer(status=503)]})
    (tmp_path / ".dlt").mkdir()
    secret = f'[sources.rest_api.credentials]\ntoken = "{SECRETS["DLT"]}"\n'
    (tmp_path / ".dlt" / "secrets.toml").write_text(secret, encoding="utf-8")
    config = str(_config(api, tmp_path, "dlt"))
    environment = _environment(tmp_path)
    del environment["SOURCES__REST_API__CREDENTIALS__TOKEN"]
    done = subprocess.run(
        [sys.executable, "-m", "floe_ingest.cli", "run", config, "--log-level", "debug"],
        cwd=tmp_path,
        env=environment,
        capture_output=True,
        text=True,
        timeout=120,
        check=False,
    )
    assert done.returncode == 1, done.stderr
    assert api.asked[-1].headers["Authorization"] == f"Bearer {SECRETS['DLT']}"
    assert _leaks(tmp_path, done.stdout, done.stderr) == []


def test_a_configuration_holds_none(api: Api, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    for name, value in SECRETS.items():
        monkeypatch.setenv(name, value)
    config = load_config(_config(api, tmp_path, "basic"))
    shown = f"{config!r} {config} {config.model_dump()}".encode() + pickle.dumps(config)
    assert [name for name, secret in SECRETS.items() if any(form in shown for form in _forms(secret))] == []


def test_the_search_finds_what_it_looks_for(tmp_path: Path) -> None:
    packed = base64.b64encode(zlib.compress(json.dumps({"token": SECRETS["BEARER"]}).encode() * 3))
    (tmp_path / "metadata.json").write_bytes(b'{"state": "' + packed + b'"}')
    assert _leaks(tmp_path, f"GET /?k={quote_plus(SECRETS['BASIC'])}") == [
        "BEARER in metadata.json",
        "BASIC in stream 0",
    ]
