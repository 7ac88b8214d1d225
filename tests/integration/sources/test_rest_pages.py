"""Pages read straight to Arrow, held against what Python reads; dlt's own client asks a real server."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import pytest
from dlt.sources.helpers.rest_client import RESTClient
from dlt.sources.helpers.rest_client.paginators import (
    BasePaginator,
    JSONLinkPaginator,
    JSONResponseCursorPaginator,
    PageNumberPaginator,
)
from rest_support import Answer, Api, Asked, serving

from floe_ingest_sources.rest_api.native import arrow_tables
from floe_ingest_sources.rest_api.page_reader import PageReader, arrow_records, looks_into_records
from floe_ingest_sources.rest_api.session import Manners, make_session

if TYPE_CHECKING:
    from collections.abc import Iterator

RECORDS: list[dict[str, Any]] = [
    {
        "id": number,
        "at": f"2024-01-0{number}T08:00:00+02:00",
        "day": "2024-01-02",
        "price": number / 4,
        "s": {"a": "2024-01-02", "deep": {"n": number, "none": None}},
        "lines": [{"sku": "x", "n": 1}] * number,
        "none": None,
        "empty": [],
    }
    for number in (1, 2, 3)
]


@pytest.fixture
def api() -> Iterator[Api]:
    with serving() as made:
        yield made


def paged(paginator: BasePaginator | None = None) -> BasePaginator:
    return paginator or PageNumberPaginator(base_page=1, total_path=None, has_more_path="more")


def read(api: Api, bodies: list[Any], selector: Any = "data", paginator: Any = None) -> list[Any]:
    """Return the pages that dlt's client yields, with our reader in it."""

    def answer(asked: Asked) -> Answer:
        return Answer(
            bodies[int(asked.query.get("page", asked.query.get("after", "1")).rpartition("-")[2]) - 1]
        )

    api.routes["/things"] = answer
    client = RESTClient(api.url, session=make_session(Manners()), paginator=paged(paginator))
    client.extract_response = PageReader(client, native=True)  # type: ignore[method-assign]
    return list(client.paginate("things", data_selector=selector))


def rows(pages: list[Any]) -> list[dict[str, Any]]:
    return [row for table in arrow_tables(pages, "things") for row in table.to_pylist()]


def types(pages: list[Any]) -> dict[str, str]:
    return {field.name: str(field.type) for table in arrow_tables(pages, "things") for field in table.schema}


def page(records: Any, number: int = 1, last: int = 3) -> dict[str, Any]:
    return {"data": records, "more": number < last, "at": "2024-01-02T03:04:05Z"}


def test_pages_after_the_first_become_arrow_without_objects(api: Api) -> None:
    found = read(api, [page([record], number) for number, record in enumerate(RECORDS, start=1)])
    assert [arrow_records(one) is not None for one in found] == [False, True, True]
    by_python = [[record] for record in RECORDS]
    assert rows(found) == rows(by_python)
    assert types(found) == types(by_python)


@pytest.mark.parametrize(
    "odd",
    [
        {"id": 12345678901234567890},
        {"id": 1.5},
        {"id": "text"},
        {"id": None},
        {"id": True},
        {"price": 3},
        {"price": 2**53 + 1},
        {"new": "2024-01-02T00:00:00Z"},
        {"new": {"at": "2024-01-02", "list": ["2024-01-02"]}},
        {"new": 12345678901234567890},
        {"new": [1, "a"]},
        {"new": {}},
        {"s": None},
        {"s": {"other": 1}},
        {"none": "2024-01-02"},
        {"empty": ["2024-01-02T00:00:00"]},
        {"lines": [{"sku": "y", "more": [None, {"deep": 0.5}]}]},
        {"day": "Zürich \u0000 \U0001f600"},
        {"schlüssel mit leerzeichen": 1, "": 2},
    ],
    ids=str,
)
def test_odd_records_are_what_python_makes_of_them(api: Api, odd: dict[str, Any]) -> None:
    records = [[RECORDS[0]], [{**RECORDS[1], **odd}], [RECORDS[2]]]
    found = read(api, [page(group, number) for number, group in enumerate(records, start=1)])
    assert rows(found) == rows(records)
    assert types(found) == types(records)


@pytest.mark.parametrize(
    ("body", "records"),
    [
        (b'{"data": [], "more": true}', []),
        (b'{"data": null, "more": true}', []),
        (b'{"more": true}', []),
        (b'{"data": {"id": 7}, "more": true}', [{"id": 7}]),
        (b'{"data": [null, {"id": 7}], "more": true}', [None, {"id": 7}]),
        (b'{"data": [{"id": 7, "id": 8}], "more": true}', [{"id": 8}]),
        (b'{"data": [{"day": "\xe4"}], "more": true}', [{"day": "\ufffd"}]),
        (b'\n {\n "data": [\n {"id": 7}\n],\n "more": true\n}\n', [{"id": 7}]),
    ],
    ids=repr,
)
def test_odd_pages_are_what_python_makes_of_them(api: Api, body: bytes, records: list[Any]) -> None:
    found = read(api, [page([RECORDS[0]]), body, page([RECORDS[2]], 3)], paginator=paged_to_the_end())
    expected = rows([[RECORDS[0]], records, [RECORDS[2]]])
    assert rows(found) == expected


def paged_to_the_end() -> BasePaginator:
    return PageNumberPaginator(
        base_page=1, total_path=None, has_more_path="more", stop_after_empty_page=False
    )


@pytest.mark.parametrize("records", [b'[{"id": 1}]} trailing', b'[{"price": NaN}]}', b'[{"id": 01}]}'])
def test_bytes_that_are_no_json_are_the_error_that_they_were(api: Api, records: bytes) -> None:
    with pytest.raises(ValueError, match=r"Extra data|Expecting"):
        read(api, [page([RECORDS[0]]), b'{"more": true, "data": ' + records])


@pytest.mark.parametrize("cursor", ["2024-01-02T00:00:00Z-{}", "2024-01-0{}", "{}"])
def test_what_stands_around_the_records_reaches_the_paginator_as_it_was(api: Api, cursor: str) -> None:
    bodies = [
        {"data": [record], "meta": {"next": cursor.format(number) if number < 4 else None}}
        for number, record in enumerate(RECORDS, start=2)
    ]
    asks = JSONResponseCursorPaginator(cursor_path="meta.next", cursor_param="after")
    found = read(api, bodies, paginator=asks)
    assert [arrow_records(one) is not None for one in found] == [False, True, True]
    assert [asked.query.get("after") for asked in api.asked] == [None, *(cursor.format(n) for n in (2, 3))]


def test_links_inside_the_page_are_followed(api: Api) -> None:
    bodies = [
        {"result": {"items": [record], "next": f"/things?page={number}" if number < 4 else None}}
        for number, record in enumerate(RECORDS, start=2)
    ]
    found = read(api, bodies, "result.items", JSONLinkPaginator("result.next"))
    assert [arrow_records(one) is not None for one in found] == [False, True, True]
    assert rows(found) == RECORDS_WITHOUT_NULLS


RECORDS_WITHOUT_NULLS = rows([RECORDS])


def test_a_page_that_is_a_list_becomes_arrow(api: Api) -> None:
    bodies = [[record] for record in RECORDS] + [[]]
    found = read(api, bodies, "$", PageNumberPaginator(base_page=1, total_path=None))
    assert [arrow_records(one) is not None for one in found] == [False, True, True, True]
    assert rows(found) == RECORDS_WITHOUT_NULLS


def test_pages_that_are_never_of_one_type_are_not_tried_for_ever(api: Api) -> None:
    records = [[{"id": number if number % 2 else "x"}] for number in range(40)]
    found = read(api, [page(group, number, 40) for number, group in enumerate(records, start=1)])
    assert rows(found) == rows(records)


def test_a_paginator_that_looks_into_records_gets_them() -> None:
    class Own(PageNumberPaginator):
        pass

    assert not looks_into_records(None)
    assert not looks_into_records(JSONLinkPaginator("paging.next"))
    assert looks_into_records(JSONLinkPaginator("data[0].next"))
    assert looks_into_records(Own(total_path="total"))
