"""Takes the records out of pages: as Python objects, or, for ``nested: native``, from the bytes to Arrow.

Of a page that becomes Arrow, no record ever is a Python object. Arrow's JSON parser reads the whole page, by
the types of the pages before; what stands around the records goes to dlt's paginator, as if Python had
parsed the page. That parser has habits of its own (it takes texts for times, and rounds whole numbers beyond
64 bits). A page in which one of them could show, or whose types are others, is parsed by Python.
"""

from __future__ import annotations

import re
from functools import lru_cache
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from collections.abc import Sequence

    import pyarrow as pa
    import requests

_PLAIN = re.compile(r"[A-Za-z_]\w*(?:\.[A-Za-z_]\w*)*")
_LEARNT_FROM = 500
_MISSES = 3
_EXACT_IN_DOUBLE = float(1 << 53)
_MOST_BYTES = 1 << 30
_TOP = "records"


class PageReader:
    """Reads the pages of one resource, one after the other, in the place of ``RESTClient.extract_response``.

    Arguments:
        client: dlt's client of the resource.
        native: whether records may stay Arrow; then ``arrow_records`` gives them.
    """

    def __init__(self, client: Any, *, native: bool) -> None:
        self._slowly = client.extract_response
        self._native = native
        self._types: pa.DataType | None = None
        self._misses = 0

    def __call__(self, response: requests.Response, data_selector: Any) -> list[Any]:
        """Return the records of a page; of one that became Arrow, as many times None."""
        path = _path(data_selector) if self._native and self._misses <= _MISSES else None
        if path is None:
            return self._slow(response, data_selector)
        if self._types is not None:
            page = _parsed(response.content, path, self._types)
            if page is not None:
                return self._keep(response, page, path)
            self._misses += 1
        records = self._slow(response, data_selector)
        self._learn(response.json(), path)
        return records

    def _slow(self, response: requests.Response, data_selector: Any) -> list[Any]:
        # dlt would compile a text for each page anew.
        found: list[Any] = self._slowly(response, _compiled(data_selector))
        return found

    def _keep(self, response: Any, page: pa.StructArray, path: Sequence[str]) -> list[Any]:
        self._types, self._misses = _known(page.type), 0
        records, around = _split(page, path)
        count = 0 if records is None else len(records)
        response.arrow_records = records
        response.know_as(around[_TOP] if path == (_TOP,) else around)
        return [None] * count

    def _learn(self, document: Any, path: Sequence[str]) -> None:
        """Note the types of a page that Python has parsed."""
        import pyarrow as pa

        try:
            kind = _known(pa.array([_begun(document, path)]).type)
            if self._types is not None:
                schemas = [pa.schema(list(self._types)), pa.schema(list(kind))]
                kind = pa.struct(list(pa.unify_schemas(schemas, promote_options="permissive")))
        except (pa.ArrowInvalid, pa.ArrowTypeError, OverflowError):
            self._misses += 1
            return
        self._types = kind


def arrow_records(page: Any) -> pa.StructArray | None:
    """Return the records of a page as Arrow; None for a page of Python objects."""
    return getattr(getattr(page, "response", None), "arrow_records", None)


def looks_into_records(paginator: Any) -> bool:
    """Tell whether a paginator may look into the records of a page, or do what is not known."""
    if paginator is None:
        return False  # dlt finds one by the first page, which Python parses
    if not type(paginator).__module__.startswith("dlt."):
        return True
    names = ("total_path", "has_more_path", "next_url_path", "cursor_path")
    paths = [str(path) for name in names if (path := getattr(paginator, name, None)) is not None]
    return any(not _PLAIN.fullmatch(path.removeprefix("$.")) for path in paths)


@lru_cache(maxsize=64)
def _compiled(selector: Any) -> Any:
    from dlt.common.jsonpath import compile_path

    return compile_path(selector)


def _path(selector: Any) -> tuple[str, ...] | None:
    """Return the keys that lead to the records; None for a selector that does more than that."""
    text = str(selector)
    if text == "$":
        return (_TOP,)
    return tuple(text.removeprefix("$.").split(".")) if _PLAIN.fullmatch(text.removeprefix("$.")) else None


def _begun(document: Any, path: Sequence[str]) -> Any:
    """Return a page with its first records alone."""
    if path == (_TOP,) and isinstance(document, list):
        return {_TOP: document[:_LEARNT_FROM]}
    if not path:
        return document[:_LEARNT_FROM] if isinstance(document, list) else document
    if not isinstance(document, dict) or path[0] not in document:
        return document
    return {**document, path[0]: _begun(document[path[0]], path[1:])}


def _parsed(content: bytes, path: Sequence[str], types: pa.DataType) -> pa.StructArray | None:
    """Return a page as one object; None where Python has to look."""
    import pyarrow as pa

    if path == (_TOP,):
        content = b'{"%s":%s}' % (_TOP.encode(), content)
    if not content.strip() or len(content) > _MOST_BYTES:
        return None
    try:
        content.isascii() or content.decode()
        page = _read(content, types)
        if (seen := _known(_without_times(page.type))) != types:
            # Arrow lets nulls go that stand in a list before the first object, unless it knows that type.
            page = _read(content, seen)
    except (pa.ArrowInvalid, UnicodeDecodeError):
        return None
    if len(page) != 1 or not _has_objects(page, path) or _is_inexact(page):
        return None
    return page


def _read(content: bytes, types: pa.DataType) -> pa.StructArray:
    import pyarrow as pa
    from pyarrow import json

    table = json.read_json(
        pa.BufferReader(content),
        read_options=json.ReadOptions(use_threads=False, block_size=len(content) + 1),
        parse_options=json.ParseOptions(explicit_schema=pa.schema(list(types)), newlines_in_values=True),
    )
    table.validate(full=True)
    return table.to_struct_array().combine_chunks()


def _without_times(kind: pa.DataType) -> pa.DataType:
    """Return a type with text where Arrow saw times."""
    import pyarrow as pa
    from pyarrow import types

    if types.is_struct(kind):
        return pa.struct([field.with_type(_without_times(field.type)) for field in kind])
    if types.is_list(kind):
        return pa.list_(_without_times(kind.value_type))
    return pa.string() if types.is_timestamp(kind) else kind


def _known(kind: pa.DataType) -> pa.DataType:
    """Return a type without the parts of which nothing is known but null."""
    import pyarrow as pa
    from pyarrow import types

    if types.is_struct(kind):
        return pa.struct([f.with_type(_known(f.type)) for f in kind if not _is_unknown(f.type)])
    return pa.list_(_known(kind.value_type)) if types.is_list(kind) else kind


def _is_unknown(kind: pa.DataType) -> bool:
    from pyarrow import types

    return bool(types.is_null(kind) or (types.is_list(kind) and _is_unknown(kind.value_type)))


def _has_objects(page: pa.StructArray, path: Sequence[str]) -> bool:
    """Tell whether objects alone are in the list of records, or no list is there."""
    from pyarrow import types

    found: Any = page
    for key in path:
        if not types.is_struct(found.type) or found.type.get_field_index(key) < 0:
            return False
        found = found.field(key)
    if not types.is_list(found.type) or not types.is_struct(found.type.value_type):
        return False
    return bool(found.flatten().null_count == 0)


def _is_inexact(values: pa.Array) -> bool:
    """Tell whether a number is none, or may have been a whole one that a double does not hold."""
    import pyarrow.compute as pc
    from pyarrow import types

    if types.is_struct(values.type):
        return any(_is_inexact(part) for part in values.flatten())
    if types.is_list(values.type):
        return _is_inexact(values.flatten())
    if not types.is_floating(values.type):
        return False
    return pc.all(pc.less(pc.abs(values), _EXACT_IN_DOUBLE)).as_py() is False


def _split(page: pa.StructArray, path: Sequence[str]) -> tuple[pa.StructArray | None, dict[str, Any]]:
    """Return the records of a page, and the page as Python has it, with None for each record."""
    key, *further = path
    around = {field.name: page.field(field.name)[0].as_py() for field in page.type if field.name != key}
    if further:
        records, around[key] = _split(page.field(key), further)
        return records, around
    records = page.field(key)[0].values
    around[key] = None if records is None else [None] * len(records)
    return records, around
