"""How the rest_api source asks: auth, paginators, pauses, rates, threads, limits; against a real server."""

from __future__ import annotations

import base64
import pickle
import sys
import textwrap
import threading
from datetime import UTC, datetime, timedelta
from email.utils import format_datetime
from typing import TYPE_CHECKING, Any

import pytest
from pydantic import ValidationError
from rest_support import Answer, Api, Asked, pages, serving
from sources_support import items_of, request_for

from floe_ingest import SourceConfigurationError, SourceConnectionError
from floe_ingest_sources import rest_api
from floe_ingest_sources.rest_api import RestApiConfig

if TYPE_CHECKING:
    from collections.abc import Iterator
    from pathlib import Path

SECRET = "hunter2-and-more"
PAGED = {"type": "page_number", "base_page": 1, "total_path": None, "has_more_path": "more"}


@pytest.fixture
def api() -> Iterator[Api]:
    with serving() as made:
        yield made


def config(api: Api, *resources: Any, client: dict[str, Any] | None = None, **options: Any) -> RestApiConfig:
    return RestApiConfig(
        client={"base_url": api.url, "paginator": PAGED, **(client or {})},
        resource_defaults={"endpoint": {"data_selector": "data"}},
        resources=list(resources) or ["posts"],
        **options,
    )


def read(made: RestApiConfig, folder: Path) -> list[Any]:
    source = rest_api.floe_ingest_build_source(request_for("rest_api", made, folder, "blog"))
    return [record for _, record in items_of(source)]


def ids(count: int) -> list[dict[str, int]]:
    return [{"id": number} for number in range(count)]


class TestTryingAgain:
    @pytest.mark.parametrize("status", [429, 503])
    def test_a_pause_that_the_api_asks_for_is_kept(self, api: Api, tmp_path: Path, status: int) -> None:
        busy = Answer(status=status, headers={"Retry-After": "2"})
        api.routes["/posts"] = pages(ids(4), 2, fail={2: [busy, Answer({"data": [], "more": False})]})
        assert read(config(api), tmp_path) == ids(2)
        first, _, second = (request.at for request in api.asked)
        assert second - first >= 2.0

    def test_a_date_is_a_pause_too(self, api: Api, tmp_path: Path) -> None:
        at = format_datetime(datetime.now(UTC) + timedelta(seconds=3), usegmt=True)
        api.routes["/posts"] = [
            Answer(status=503, headers={"Retry-After": at}),
            Answer({"data": ids(1), "more": False}),
        ]
        assert read(config(api), tmp_path) == ids(1)
        refused, taken = (request.at for request in api.asked)
        assert taken - refused >= 1.0

    def test_a_pause_longer_than_allowed_ends_the_load(self, api: Api, tmp_path: Path) -> None:
        api.routes["/posts"] = [Answer(status=429, headers={"Retry-After": "3600"})]
        with pytest.raises(SourceConnectionError, match=r"answered 429 .*Retry-After 3600"):
            read(config(api, max_retry_after_seconds=10), tmp_path)
        assert len(api.asked) == 1

    def test_an_answer_that_breaks_off_is_asked_for_again(self, api: Api, tmp_path: Path) -> None:
        whole = Answer({"data": ids(2), "more": False})
        api.routes["/posts"] = [Answer(whole.body, cut=True), whole]
        assert read(config(api), tmp_path) == ids(2)
        assert len(api.asked) == 2

    def test_tries_have_an_end_that_says_where(self, api: Api, tmp_path: Path) -> None:
        api.routes["/posts"] = pages(ids(6), 2, fail={3: [Answer(status=503)]})
        with pytest.raises(
            SourceConnectionError,
            match=r"Resource 'posts' stopped at page 3, after 4 records: GET http://127\.0\.0\.1:\d+/posts "
            r"answered 503 Service Unavailable\. Try again later\.",
        ):
            read(config(api, max_retries=1), tmp_path)
        assert len(api.asked) == 4

    def test_a_status_with_an_action_is_final(self, api: Api, tmp_path: Path) -> None:
        api.routes["/posts"] = [Answer(status=503)]
        ignore = {
            "name": "posts",
            "endpoint": {"response_actions": [{"status_code": 503, "action": "ignore"}]},
        }
        read(config(api, ignore), tmp_path)
        assert len(api.asked) == 1

    def test_nothing_is_waited_for_for_ever(self, api: Api, tmp_path: Path) -> None:
        never = threading.Event()

        def hang(_: Asked) -> Answer:
            never.wait(20)
            return Answer()

        api.routes["/posts"] = hang
        with pytest.raises(SourceConnectionError, match="did not answer: no answer within timeout_seconds"):
            read(config(api, timeout_seconds=0.3, max_retries=0), tmp_path)
        never.set()


class TestManners:
    def test_one_connection_serves_all_requests(self, api: Api, tmp_path: Path) -> None:
        api.routes["/posts"] = pages(ids(20), 2)
        api.routes["/tags"] = pages(ids(6), 2)
        read(config(api, "posts", "tags"), tmp_path)
        assert len(api.asked) == 13
        assert len({request.connection for request in api.asked}) == 1

    def test_a_rate_is_kept_to(self, api: Api, tmp_path: Path) -> None:
        api.routes["/posts"] = pages(ids(12), 2)
        read(config(api, requests_per_second=10), tmp_path)
        times = [request.at for request in api.asked]
        assert times[-1] - times[0] >= 0.45

    def test_children_are_read_at_once_up_to_a_bound(self, api: Api, tmp_path: Path) -> None:
        meeting = threading.Barrier(3, timeout=20)

        def comments(request: Asked) -> Answer:
            meeting.wait()
            return Answer({"data": [{"post": int(request.path.split("/")[2])}], "more": False})

        api.routes["/posts"] = pages(ids(12), 12)
        api.routes |= {f"/posts/{number}/comments": comments for number in range(12)}
        child = {"name": "comments", "endpoint": {"path": "posts/{resources.posts.id}/comments"}}
        parent = {"name": "posts", "selected": False}
        found = read(config(api, parent, child, parallel_requests=3), tmp_path)
        assert sorted(record["post"] for record in found) == list(range(12))
        assert api.most_at_once == 3

    def test_pages_are_limited(self, api: Api, tmp_path: Path) -> None:
        api.routes["/posts"] = pages(ids(20), 2)
        assert read(config(api, max_pages=3), tmp_path) == ids(6)
        assert len(api.asked) == 3

    def test_a_limit_and_a_cursor_need_an_order(self, api: Api, tmp_path: Path) -> None:
        cursor = {"cursor_path": "at", "start_param": "since", "initial_value": "2024"}
        posts = {"name": "posts", "endpoint": {"incremental": cursor}}
        with pytest.raises(SourceConfigurationError, match=r"'posts' is incremental.*row_order: asc"):
            read(config(api, posts, max_pages=3), tmp_path)
        assert api.asked == []


TOKEN = {"access_token": SECRET, "expires_in": 3600}


@pytest.mark.parametrize(
    ("auth", "sent"),
    [
        ({"type": "bearer", "token": SECRET}, ("Authorization", f"Bearer {SECRET}")),
        ({"token": SECRET}, ("Authorization", f"Bearer {SECRET}")),
        (
            {"type": "http_basic", "username": "me", "password": SECRET},
            ("Authorization", "Basic " + base64.b64encode(f"me:{SECRET}".encode()).decode()),
        ),
        ({"type": "api_key", "name": "X-Key", "api_key": SECRET}, ("X-Key", SECRET)),
        ({"type": "api_key", "name": "k", "api_key": SECRET, "location": "query"}, ("?k", SECRET)),
        (
            {
                "type": "oauth2_client_credentials",
                "access_token_url": "URL/token",
                "client_id": "me",
                "client_secret": "very-secret",
            },
            ("Authorization", f"Bearer {SECRET}"),
        ),
    ],
    ids=["bearer", "short", "basic", "key-header", "key-query", "oauth2"],
)
def test_who_asks(api: Api, tmp_path: Path, auth: dict[str, str], sent: tuple[str, str]) -> None:
    api.routes["/posts"] = pages(ids(2), 2)
    api.routes["/token"] = [Answer(TOKEN)]
    auth = {name: value.replace("URL", api.url) for name, value in auth.items()}
    made = config(api, client={"auth": auth})
    assert read(made, tmp_path) == ids(2)
    asked = api.asked[-1]
    name, value = sent
    assert (asked.query.get(name[1:]) if name.startswith("?") else asked.headers.get(name)) == value
    assert SECRET not in f"{made!r} {made.model_dump()} {made.model_dump_json()}"
    assert "very-secret" not in f"{made!r} {made.model_dump()}"


def test_a_cookie_is_a_header(api: Api, tmp_path: Path) -> None:
    api.routes["/posts"] = pages(ids(2), 2)
    auth = {"type": "api_key", "name": "k", "api_key": SECRET, "location": "cookie"}
    with pytest.raises(
        SourceConfigurationError, match=r"client\.auth\.location is 'cookie'.*headers: {Cookie"
    ):
        read(config(api, client={"auth": auth}), tmp_path)
    assert read(config(api, client={"headers": {"Cookie": f"k={SECRET}"}}), tmp_path) == ids(2)
    assert api.asked[-1].headers["Cookie"] == f"k={SECRET}"


def _linked(api: Api, how: str) -> dict[str, Any]:
    """Serve three pages of two records in one of the ways that APIs have, and return the paginator for it."""

    def respond(request: Asked) -> Answer:
        query = request.query
        start = int(query.get("cursor") or query.get("offset") or 2 * int(query.get("page", 0)))
        data, after = ids(6)[start : start + 2], start + 2
        more = after < 6
        headers: dict[str, str] = {}
        body: Any = {"data": data, "total": 6}
        if how == "header_link" and more:
            headers["Link"] = f'<{api.url}/posts?offset={after}>; rel="next"'
        if how == "header_cursor" and more:
            headers["Next"] = str(after)
        if how in ("json_link", "auto"):
            body["next"] = f"{api.url}/posts?offset={after}" if more else None
        if how == "cursor":
            body["after"] = str(after) if more else None
        return Answer(body, headers=headers)

    api.routes["/posts"] = respond
    return {
        "header_link": {"type": "header_link"},
        "header_cursor": {"type": "header_cursor", "cursor_key": "Next", "cursor_param": "cursor"},
        "json_link": {"type": "json_link", "next_url_path": "next"},
        "cursor": {"type": "cursor", "cursor_path": "after", "cursor_param": "cursor"},
        "offset": {"type": "offset", "limit": 2, "total_path": "total"},
        "page_number": {"type": "page_number", "base_page": 0, "total_path": None, "maximum_page": 3},
        "auto": {"type": "auto"},
    }[how]


@pytest.mark.parametrize("nested", ["tables", "native"])
@pytest.mark.parametrize(
    "how", ["header_link", "header_cursor", "json_link", "cursor", "offset", "page_number", "auto"]
)
def test_every_way_to_the_next_page(api: Api, tmp_path: Path, how: str, nested: str) -> None:
    found = read(config(api, client={"paginator": _linked(api, how)}, nested=nested), tmp_path)
    rows = [row for item in found for row in (item.to_pylist() if nested == "native" else [item])]
    assert rows == ids(6)
    assert len(api.asked) == 3


STEPS = """
def even(record):
    return record["id"] % 2 == 0

def named(record):
    return {**record, "name": f"n{record['id']}"}

def twice(record):
    yield record
    yield record

def unwrapped(response, *args, **kwargs):
    response._content = response.content.replace(b"DATA", b"data")

def later(value):
    return f"{value}!"

NOTHING = 5
"""


@pytest.fixture
def steps(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Iterator[None]:
    (tmp_path / "shop_steps.py").write_text(textwrap.dedent(STEPS), encoding="utf-8")
    monkeypatch.syspath_prepend(str(tmp_path))
    yield
    sys.modules.pop("shop_steps", None)


class TestFunctions:
    def test_steps_and_actions_by_name(self, api: Api, tmp_path: Path, steps: None) -> None:
        api.routes["/posts"] = [Answer({"DATA": ids(4), "more": False})]
        posts = {
            "name": "posts",
            "endpoint": {"response_actions": ["shop_steps:unwrapped"]},
            "processing_steps": [
                {"filter": "shop_steps:even"},
                {"map": "shop_steps:named"},
                {"yield_map": "shop_steps:twice"},
            ],
        }
        found = read(config(api, posts), tmp_path)
        assert found == [{"id": 0, "name": "n0"}] * 2 + [{"id": 2, "name": "n2"}] * 2

    def test_a_cursor_is_converted_by_name(self, api: Api, tmp_path: Path, steps: None) -> None:
        api.routes["/posts"] = [Answer({"data": [], "more": False})]
        cursor = {
            "cursor_path": "at",
            "start_param": "since",
            "initial_value": "2024",
            "convert": "shop_steps:later",
            "last_value_func": "max",
        }
        read(config(api, {"name": "posts", "endpoint": {"incremental": cursor}}), tmp_path)
        assert api.asked[0].query["since"] == "2024!"

    @pytest.mark.parametrize(
        ("name", "words"),
        [
            ("shop_steps:evn", r"processing_steps\[0\]\.filter .*has no 'evn'\. Did you mean 'even'\?"),
            ("shop_stps:even", r"processing_steps\[0\]\.filter .*there is no module 'shop_stps'"),
            ("shop_steps.even", r"should name a function as module:function, got 'shop_steps\.even'"),
            ("shop_steps:NOTHING", r"which is a int and no function"),
        ],
    )
    def test_a_name_that_stands_for_nothing(
        self, api: Api, tmp_path: Path, steps: None, name: str, words: str
    ) -> None:
        posts = {"name": "posts", "processing_steps": [{"filter": name}]}
        with pytest.raises(SourceConfigurationError, match=words):
            read(config(api, posts), tmp_path)
        assert api.asked == []


@pytest.mark.parametrize(
    "options",
    [
        {"requests_per_second": 0},
        {"parallel_requests": 0},
        {"max_pages": 0},
        {"timeout_seconds": 0},
        {"nested": "natve"},
        {"max_retries": -1},
        {"page_limit": 3},
    ],
    ids=lambda options: next(iter(options)),
)
def test_options_are_checked(api: Api, options: dict[str, Any]) -> None:
    with pytest.raises(ValidationError):
        config(api, **options)


def test_a_failure_carries_nothing_that_was_sent(api: Api, tmp_path: Path) -> None:
    api.routes["/posts"] = [Answer(status=401)]
    auth = {"type": "api_key", "name": "k", "api_key": SECRET, "location": "query"}
    made = config(api, client={"auth": auth, "headers": {"X-Token": f"{SECRET}-too"}})
    with pytest.raises(SourceConnectionError) as caught:
        read(made, tmp_path)
    error: BaseException | None = caught.value
    while error is not None:
        assert SECRET not in f"{error} {error!r} {vars(error)}"
        assert SECRET.encode() not in pickle.dumps(error)
        error = error.__cause__
