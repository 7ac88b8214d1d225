"""``${NAME}``: what is filled in, what is refused."""

from __future__ import annotations

from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from floe_ingest.config.environment import expand, expand_text

ENVIRON = {"HOST": "db", "EMPTY": "", "NESTED": "${HOST}", "DOLLAR": "$"}


@pytest.mark.parametrize(
    ("text", "result"),
    [
        ("plain", "plain"),
        ("${HOST}", "db"),
        ("a ${HOST}:${HOST} b", "a db:db b"),
        ("${EMPTY}", ""),
        ("$${HOST}", "${HOST}"),
        ("$${HOST} is ${HOST}", "${HOST} is db"),
        ("$${", "${"),
        ("$HOST costs 5$", "$HOST costs 5$"),
        ("{HOST}", "{HOST}"),
        ("${NESTED}", "${HOST}"),
        ("${DOLLAR}{HOST}", "${HOST}"),
        ("$$${HOST}", "$${HOST}"),
    ],
)
def test_what_is_filled_in(text: str, result: str) -> None:
    assert expand_text(text, ENVIRON) == (result, [])


@pytest.mark.parametrize("text", ["${}", "${", "${1A}", "${HOST:-x}", "${HO ST}", "${host-name}", "a ${ b"])
def test_what_looks_like_a_variable_and_is_none(text: str) -> None:
    result, (problem,) = expand_text(text, ENVIRON)
    assert result == text
    assert "is not a variable" in problem
    assert "$${ for a plain ${" in problem


def test_all_missing_variables_are_named_and_the_nearest_one_that_is_set() -> None:
    result, problems = expand_text("${HOSTS}/${NOT_THERE}/${HOST}/${HOSTS}", ENVIRON)
    assert result == "${HOSTS}/${NOT_THERE}/${HOST}/${HOSTS}"
    assert problems == [
        "the environment variable HOSTS is not set; did you mean HOST, which is?",
        "the environment variable NOT_THERE is not set",
    ]


def test_a_structure_keeps_its_shape_and_says_where_something_is_missing() -> None:
    written = {"a": ["x", {"b": "${HOST}"}, 5, None, True], "${HOST}": "${GONE}", "c": ("${HOST}",)}
    expansion = expand(written, ("sources", 0), ENVIRON)
    assert expansion.value == {"a": ["x", {"b": "db"}, 5, None, True], "${HOST}": "${GONE}", "c": ["db"]}
    assert expansion.filled == {
        ("sources", 0, "a", 1, "b"),
        ("sources", 0, "${HOST}"),
        ("sources", 0, "c", 0),
    }
    assert expansion.failed == {("sources", 0, "${HOST}")}
    assert written["a"] == ["x", {"b": "${HOST}"}, 5, None, True]


def test_an_expansion_shows_nothing_of_itself() -> None:
    expansion = expand({"a": "x${HOST}"}, (), {"HOST": "hunter2"})
    assert set(expansion.secrets) == {"hunter2", "xhunter2"}
    assert "hunter2" not in repr(expansion)


_plain = st.text(st.characters(exclude_categories=["Cs"]), max_size=20)
_structures = st.recursive(
    st.one_of(_plain, st.none(), st.booleans(), st.integers(), st.floats(allow_nan=False)),
    lambda inner: st.one_of(st.lists(inner, max_size=4), st.dictionaries(_plain, inner, max_size=4)),
    max_leaves=20,
)


def _escaped(value: Any) -> Any:
    if isinstance(value, str):
        return value.replace("${", "$${")
    if isinstance(value, dict):
        return {key: _escaped(item) for key, item in value.items()}
    return [_escaped(item) for item in value] if isinstance(value, list) else value


@given(_structures)
def test_what_is_escaped_comes_out_as_it_was(value: Any) -> None:
    expansion = expand(_escaped(value), (), {})
    assert expansion.value == value
    assert expansion.findings == ()


@given(st.lists(st.tuples(_plain, _plain), min_size=1, max_size=5))
def test_a_text_is_the_sum_of_its_parts(parts: list[tuple[str, str]]) -> None:
    environ = {f"V{index}": value for index, (_, value) in enumerate(parts)}
    written = "".join(f"{_escaped(text).rstrip('$')}${{V{index}}}" for index, (text, _) in enumerate(parts))
    wanted = "".join(f"{text.rstrip('$')}{value}" for text, value in parts)
    assert expand_text(written, environ) == (wanted, [])
