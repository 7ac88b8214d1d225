"""A filesystem source takes the keys that floe's orchestrator knows."""

from __future__ import annotations

from typing import Any

import pytest
from pydantic import ValidationError

from floe_ingest_sources.filesystem import FilesystemConfig


@pytest.mark.parametrize(
    ("options", "expected"),
    [
        ({"sep": ";"}, {"delimiter": ";"}),
        ({"delimiter": "|", "quotechar": "'"}, {"delimiter": "|", "quote": "'"}),
        ({"na_values": "NULL"}, {"null_values": ("NULL",)}),
        ({"na_values": ["", "-"], "encoding": "latin-1"}, {"null_values": ("", "-"), "encoding": "latin-1"}),
        ({"header": None, "names": ["a", "b"]}, {"header": False, "names": ("a", "b")}),
        ({"header": 0, "chunksize": 1000, "use_pyarrow": True}, {"header": True}),
    ],
)
def test_pandas_names(options: dict[str, Any], expected: dict[str, Any]) -> None:
    config = FilesystemConfig.model_validate({"path": "data", "format": "csv", "reader_options": options})
    assert {key: getattr(config.csv, key) for key in expected} == expected


def test_ours_go_first_and_stay() -> None:
    document = {
        "path": "data",
        "include_glob": "*.csv",
        "csv": {"delimiter": ","},
        "reader_options": {"sep": ";", "filename": True},
    }
    config = FilesystemConfig.model_validate(document)
    assert (config.csv.delimiter, config.reader_options.filename, config.file_glob) == (",", True, "*.csv")
    assert document["reader_options"] == {"sep": ";", "filename": True}


def test_what_cannot_be_kept_is_refused() -> None:
    with pytest.raises(ValidationError, match="escapechar"):
        FilesystemConfig.model_validate({"path": "data", "reader_options": {"escapechar": "\\"}})
