"""The rest_api source over a real loopback server: dlt's configuration, checked before any request."""

from __future__ import annotations

import json
import threading
import time
from contextlib import contextmanager
from dataclasses import dataclass, field
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from typing import TYPE_CHECKING, Any
from urllib.parse import parse_qs, urlsplit

import pytest
from services.processes import free_port
from sources_support import extracted, items_of, request_for

from floe_ingest import SourceConfigurationError, SourceConnectionError
from floe_ingest_sources import rest_api
from floe_ingest_sources.rest_api import RestApiConfig, probe

if TYPE_CHECKING:
    from collections.abc import Iterator
    from pathlib import Path

SECRET = "hunter2-and-more"


@dataclass
class Api:
    """A server with pages of posts, their comments, a slow, a dripping and a broken path."""

    url: str = ""
    requests: list[tuple[str, str]] = field(default_factory=list)
    stopping: threading.Event = field(default_factory=threading.Event)

    def respond(self, path: str, query: dict[str, list[str]]) -> tuple[int, Any]:
        if path == "/posts":
            page = int(query.get("page", ["1"])[0])
            data = [{"id": page * 10 + i, "title": "t", "tags": [{"name": "a"}]} for i in range(2)]
            return 200, {"data": data, "next": f"{self.url}/posts?page={page + 1}" if page < 3 else None}
        if path.endswith("/comments"):
            return 200, {"data": [{"post": int(path.split("/")[2])}], "next": None}
        if path == "/text":
            return 200, None
        return {"/secret": 401, "/broken": 503}.get(path, 404), {"error": "no"}


@pytest.fixture
def api() -> Iterator[Api]:
    with serving() as made:
        yield made


@contextmanager
def serving() -> Iterator[Api]:
    made = Api()

    class Handler(BaseHTTPRequestHandler):
        def do_GET(self) -> None:
            parts = urlsplit(self.path)
            made.requests.append((self.command, self.path))
            if parts.path == "/slow":
                made.stopping.wait(20)
            if parts.path == "/drip":
                self._drip()
                return
            status, document = made.respond(parts.path, parse_qs(parts.query))
            body = b"no json" if document is None else json.dumps(document).encode()
            self.send_response(status)
            self.send_header("Content-Type", "application/json")
            self.send_header("Content-Length", str(len(body)))
            self.end_headers()
            self.wfile.write(body)

        do_POST = do_GET  # noqa: N815

        def _drip(self) -> None:
            self.send_response(200)
            self.send_header("Content-Length", "100000")
            self.end_headers()
            while not made.stopping.wait(0.05):
                try:
                    self.wfile.write(b" ")
                except OSError:
                    return

        def log_message(self, *_: object) -> None:
            """Write nothing."""

    server = ThreadingHTTPServer(("127.0.0.1", 0), Handler)
    made.url = f"http://127.0.0.1:{server.server_port}"
    thread = threading.Thread(target=server.serve_forever, kwargs={"poll_interval": 0.05})
    thread.start()
    try:
        yield made
    finally:
        made.stopping.set()
        server.shutdown()
        thread.join()
        server.server_close()


def config(url: str, *resources: Any, **client: Any) -> RestApiConfig:
    return RestApiConfig(
        client={"base_url": url, "paginator": {"type": "json_link", "next_url_path": "next"}, **client},
        resource_defaults={"endpoint": {"data_selector": "data"}},
        resources=list(resources) or ["posts"],
    )


def build(made: RestApiConfig, folder: Path, name: str = "blog") -> Any:
    return rest_api.floe_ingest_build_source(request_for("rest_api", made, folder, name))


def check(made: RestApiConfig, folder: Path) -> Any:
    return rest_api.floe_ingest_check_source(request_for("rest_api", made, folder))


COMMENTS = {"name": "comments", "endpoint": {"path": "posts/{resources.posts.id}/comments"}}


def test_all_pages_and_dependent_resources_are_read(api: Api, tmp_path: Path) -> None:
    source = build(config(api.url, "posts", COMMENTS), tmp_path, name="blog-eu")
    assert source.name == "blog_eu"
    assert api.requests == []
    found = list(items_of(source.with_resources("posts")))
    assert [record["id"] for _, record in found] == [10, 11, 20, 21, 30, 31]
    posts = [record["post"] for _, record in items_of(source.with_resources("comments"))]
    assert sorted(posts) == [10, 11, 20, 21, 30, 31]


def test_hints_of_the_configuration_are_dlts(api: Api, tmp_path: Path) -> None:
    posts = {"name": "posts", "primary_key": "id", "write_disposition": "merge"}
    table = extracted(build(config(api.url, posts), tmp_path), tmp_path).tables["posts"]
    assert table["write_disposition"] == "merge"
    assert table["columns"]["id"]["primary_key"]


def test_a_configuration_builds_twice_and_stays_as_it_is(api: Api, tmp_path: Path) -> None:
    made = config(api.url, {"name": "posts", "processing_steps": [{"filter": lambda row: row["id"] > 20}]})
    before = repr(made.model_dump())
    for _ in range(2):
        assert [row["id"] for _, row in items_of(build(made, tmp_path))] == [21, 30, 31]
    assert repr(made.model_dump()) == before


@pytest.mark.parametrize(
    ("changes", "words"),
    [
        (
            {"client": {"base_ur": "http://x"}},
            r"client\.base_url is missing.*client\.base_ur is unknown\. Did you mean 'base_url'",
        ),
        ({"client": {"base_url": "x.example"}}, r"client\.base_url must be a URL"),
        (
            {"client": {"paginator": "json_lnk"}},
            r"client\.paginator has an unknown type 'json_lnk'\. Did you mean 'json_link'",
        ),
        (
            {"client": {"paginator": {"type": "offset", "limt": 3}}},
            r"client\.paginator\.limt is unknown\. Did you mean 'limit'",
        ),
        ({"client": {"auth": {"tokn": SECRET}}}, r"client\.auth\.tokn is unknown\. Did you mean 'token'"),
        (
            {"client": {"auth": {"type": "barer", "token": SECRET}}},
            r"client\.auth\.type .* 'barer'\. Did you mean 'bearer'",
        ),
        ({"client": {"auth": {"type": "http_basic", "username": "u"}}}, r"client\.auth\.password is missing"),
        ({"client": {"headers": {"X-Key": 5}}}, r"client\.headers.*type int"),
        (
            {"resources": [{"name": "a", "endpoint": {"pth": "x"}}]},
            r"resources\[0\]\.endpoint\.pth is unknown\. .*'path'",
        ),
        (
            {"resources": ["a", {"name": "b", "endpont": "x"}]},
            r"resources\[1\]\.endpont is unknown\. .*'endpoint'",
        ),
        (
            {"resources": [{"name": "a", "endpoint": {"method": "FETCH"}}]},
            r"resources\[0\]\.endpoint\.method has the value 'FETCH'\..* There are: GET, POST",
        ),
        (
            {"resources": [{"name": "a", "endpoint": {"incremental": {"cursor_pth": "x"}}}]},
            r"endpoint\.incremental\.cursor_pth is unknown\. Did you mean 'cursor_path'",
        ),
        ({"resources": ["a", "a"]}, "a"),
        ({"resources": [{"name": "a", "endpoint": {"path": "x/{resources.nope.id}"}}]}, "nope"),
        (
            {"resource_defaults": {"primry_key": "x"}},
            r"resource_defaults\.primry_key is unknown\. .*'primary_key'",
        ),
    ],
)
def test_what_is_wrong_is_found_before_any_request(
    api: Api, tmp_path: Path, changes: dict[str, Any], words: str
) -> None:
    document = {"client": {"base_url": api.url, "auth": {"token": SECRET}}, "resources": ["posts"]}
    for part, value in changes.items():
        document[part] = {**document[part], **value} if part == "client" and "base_ur" not in value else value
    for attempt in (build, check):
        with pytest.raises(SourceConfigurationError, match=words) as caught:
            attempt(RestApiConfig.model_validate(document), tmp_path)
        error: BaseException | None = caught.value
        while error is not None:
            assert SECRET not in str(error)
            error = error.__cause__
    assert api.requests == []


def test_the_check_reads_one_page_of_each_root(api: Api, tmp_path: Path) -> None:
    sent = {"name": "sent", "endpoint": {"path": "posts", "method": "POST"}}
    found = check(config(api.url, "posts", COMMENTS, sent), tmp_path)
    assert [(one.name, one.columns, one.detail) for one in found.resources] == [
        ("posts", ("id", "title", "tags"), "2 records on the first page")
    ]
    assert api.requests == [("GET", "/posts")]


def test_without_such_a_resource_the_base_is_asked(api: Api, tmp_path: Path) -> None:
    sent = {"name": "sent", "endpoint": {"path": "posts", "method": "POST"}}
    assert check(config(api.url, sent), tmp_path).resources == ()
    assert api.requests == [("GET", "/")]


@pytest.mark.parametrize(
    ("path", "words"),
    [
        ("secret", r"GET http://127\.0\.0\.1:\d+/secret answered 401 Unauthorized\. Check client\.auth"),
        ("nope", r"/nope answered 404 Not Found\. Check client\.base_url"),
        ("broken", r"/broken answered 503 Service Unavailable\. Try again later"),
        ("text", r"GET http://127\.0\.0\.1:\d+/text answered with something that is not JSON"),
    ],
)
def test_an_answer_that_is_none_is_said_without_secrets(
    api: Api, tmp_path: Path, path: str, words: str
) -> None:
    resource = {"name": path, "endpoint": {"path": path, "params": {"sig": SECRET}}}
    started = time.monotonic()
    with pytest.raises(SourceConnectionError, match=words) as caught:
        check(config(api.url, resource), tmp_path)
    assert time.monotonic() - started < 5
    assert SECRET not in str(caught.value) + str(caught.value.__cause__)
    assert len(api.requests) == 1


def test_nobody_there_is_said(tmp_path: Path) -> None:
    url = f"http://user:{SECRET}@127.0.0.1:{free_port()}"
    with pytest.raises(SourceConnectionError, match=r"did not answer: Connection refused") as caught:
        check(config(url, {"name": "a", "endpoint": {"params": {"sig": SECRET}}}), tmp_path)
    assert SECRET not in str(caught.value) + str(caught.value.__cause__)


@pytest.mark.parametrize("path", ["slow", "drip"])
def test_a_slow_answer_is_not_waited_for(
    api: Api, tmp_path: Path, path: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(probe, "PROBE_SECONDS", 0.5)
    started = time.monotonic()
    with pytest.raises(SourceConnectionError, match=r"no full answer within 0\.5 seconds"):
        check(config(api.url, path), tmp_path)
    assert time.monotonic() - started < 5
