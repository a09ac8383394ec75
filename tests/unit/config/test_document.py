"""YAML without YAML 1.1's surprises, JSON with comments: values and places."""

from __future__ import annotations

import json

import pytest
from hypothesis import given
from hypothesis import strategies as st

from pyralog.config.document import blank_comments, read_document
from pyralog.config.marks import plain, scalar


def tree(text: str, name: str = "config.yaml") -> dict[str, object]:
    document = read_document(text.encode(), name)
    assert document.problems == []
    return document.tree


@pytest.mark.parametrize(
    ("text", "expected"),
    [
        ("yes", "yes"),
        ("on", "on"),
        ("NO", "NO"),
        ("true", True),
        ("False", False),
        ("12:30:45", "12:30:45"),
        ("010", "010"),
        ("0o10", "0o10"),
        ("0x1F", "0x1F"),
        ("1_000", "1_000"),
        ("1e3", 1000.0),
        ("1E+3", 1000.0),
        ("-1.5e-1", -0.15),
        (".5", 0.5),
        (".inf", ".inf"),
        ("2026-01-01", "2026-01-01"),
        ("null", None),
        ("~", None),
        ("", None),
        ("-1", -1),
        ("s3://bucket/path", "s3://bucket/path"),
        ("=", "="),
        ("<<", "<<"),
    ],
)
def test_plain_scalars(text: str, expected: object) -> None:
    assert tree(f"a: {text}\n") == {"a": expected}
    assert plain(text) == expected


def test_json_comments_tabs_and_trailing_commas() -> None:
    text = '{\n\t// one\n\t"a": "s3://x", # two\n\t"b": [1, 2,], /* three\n "c": 9 */ "d": "/* no */",\n}\n'
    document = read_document(text.encode(), "x.json")
    assert document.tree == {"a": "s3://x", "b": [1, 2], "d": "/* no */"}
    assert str(document.value_places["a",]) == "3:7"
    assert str(document.key_places["d",]) == "5:12"


def test_comments_leave_every_other_character_in_place() -> None:
    text = '{"a": 1, // x\n"b": "#//\\"/*", /* y */ "c": 2}'
    blanked = blank_comments(text)
    assert len(blanked) == len(text)
    assert [n for n, c in enumerate(text) if c == "\n"] == [n for n, c in enumerate(blanked) if c == "\n"]


json_values = st.recursive(
    st.none() | st.booleans() | st.integers(-(2**63), 2**63) | st.text(st.characters(exclude_categories=("Cs",))),
    lambda inner: st.lists(inner, max_size=4) | st.dictionaries(st.text(max_size=8), inner, max_size=4),
    max_leaves=12,
)


@given(st.dictionaries(st.text(max_size=8), json_values, max_size=5), st.booleans())
def test_any_json_object_reads_as_json_does(value: dict[str, object], ascii_only: bool) -> None:
    text = json.dumps(value, ensure_ascii=ascii_only, indent=2)
    document = read_document(text.encode(), "x.json")
    if document.problems and not ascii_only:
        return  # characters that YAML forbids unescaped
    assert document.problems == []
    assert document.tree == value


def test_line_ends_of_yaml_are_characters_of_json() -> None:
    assert tree('{"a\x85": "b\u2028 \u2029c\\\\\x85"}', "x.json") == {"a\x85": "b\u2028 \u2029c\\\x85"}


def test_surrogate_pairs_of_json_are_joined() -> None:
    assert tree('{"a": "\\ud83d\\ude00"}', "x.json") == {"a": "\U0001f600"}


def test_byte_order_mark_and_empty_files() -> None:
    assert tree("\ufeffa: 1\n") == {"a": 1}
    assert tree("") == {}
    assert tree("# nothing\n") == {}


@pytest.mark.parametrize(
    ("text", "expected"),
    [("[1, 2]", [1, 2]), ('{a: "b"}', {"a": "b"}), ("[1", "[1"), ("1e3", 1000.0), ("2GiB", "2GiB"), ("a b", "a b")],
)
def test_values_of_variables(text: str, expected: object) -> None:
    assert scalar(text) == expected
