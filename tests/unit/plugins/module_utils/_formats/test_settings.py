# Copyright: Contributors to the routed_ipsec.vti project
# GNU General Public License v3.0+ (see COPYING or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

"""strongSwan's settings: what its own parser reads and refuses, and our spelling of it."""

from __future__ import annotations

import pytest
from ansible_collections.routed_ipsec.vti.plugins.module_utils._core.errors import InvalidOption, ParseError
from ansible_collections.routed_ipsec.vti.plugins.module_utils._formats.settings import (
    Document,
    merge,
    parse,
    read,
    render,
)
from hypothesis import given
from hypothesis import strategies as st

SETTINGS = {
    "connections": {"branch": {"version": "2", "local-1": {"auth": "psk", "id": "C=CH, O=x, CN=y # z"}}},
    "secrets": {"ike-branch": {"secret": 'a "quoted" \\ one, with = and } and #'}},
    "empty": {},
}

names = st.text(st.characters(blacklist_characters='#{}:.,="\r\n\t \0', blacklist_categories=("Cs",)), min_size=1)
values = st.text(
    st.one_of(
        st.sampled_from('\\"\n\r\t }{#=nrt'), st.characters(blacklist_characters="\0", blacklist_categories=("Cs",))
    )
)
sections = st.recursive(
    st.dictionaries(names, values, max_size=4),
    lambda inner: st.dictionaries(names.filter(lambda name: name != "include"), st.one_of(values, inner), max_size=4),
    max_leaves=10,
)


@given(sections)
def test_parses_what_it_renders(settings):
    assert parse(render(settings)) == settings
    assert render(parse(render(settings))) == render(settings)


@given(sections, sections)
def test_merging_is_reading_one_after_the_other(first, second):
    try:
        merged = merge(first, second)
    except ParseError:
        with pytest.raises(ParseError):
            parse(render(first) + render(second))
    else:
        assert parse(render(first) + render(second)) == merged


@given(st.text())
def test_any_text_is_settings_or_a_parse_error(text):
    try:
        parsed = parse(text)
    except ParseError:
        return
    assert parse(render(parsed)) == parsed


def test_renders_sections_nested_and_values_quoted():
    assert render({"a": {"b": 'c"\n', "d": {}}}) == 'a {\n\tb = "c\\"\\n"\n\td {\n\t}\n}\n'
    assert parse(render(SETTINGS)) == SETTINGS


@pytest.mark.parametrize(
    ("text", "settings"),
    [
        ("", {}),
        ("# only a comment", {}),
        ("a = b", {"a": "b"}),
        ("a=b # comment\n", {"a": "b"}),
        ("a = b   c\td\n", {"a": "b c d"}),
        ('a = "b  c" "d"\n', {"a": "b  c d"}),
        ('a = b"c"d\n', {"a": "b c d"}),
        ('a = "b}#" # c\n', {"a": "b}#"}),
        ("a = b = c {\n", {"a": "b = c {"}),
        ("a { b = c }", {"a": {"b": "c"}}),
        ("a { b = c } d = e\n", {"a": {"b": "c"}, "d": "e"}),
        ("a\n\n{\nb\n=\nc = d\n}", {"a": {"c": "d"}}),
        ("a {b=1\n}\na {c=2\nb=3\n}", {"a": {"b": "3", "c": "2"}}),
        ("a = 1\na =\n", {}),
        ('a = ""', {"a": ""}),
        ('a = "1\r\n2\\\r\n3\\\n4\\x\\\\"', {"a": "1\n234x\\"}),
        ("a = 1\r\nb = 2\r\n", {"a": "1", "b": "2"}),
        ("include = 1\nincludes = 2\n", {"include": "1", "includes": "2"}),
        ("ike-hq { id = C=CH, O=x, CN=y\n}", {"ike-hq": {"id": "C=CH, O=x, CN=y"}}),
        ("a/b%any* = 1", {"a/b%any*": "1"}),
        ("ä = ü\n", {"ä": "ü"}),
    ],
)
def test_reads_what_strongswan_reads(text, settings):
    assert parse(text) == settings


@pytest.mark.parametrize(
    ("text", "line"),
    [
        # the two syntax errors that made swanctl unload connections, as recorded: end of file, and a stray word
        ("connections {\n  broken {\n    version = 2\n", 4),
        ("this is not a setting\n", 1),
        ("}", 1),
        ("a", 1),
        ("\na {\n", 3),
        ('a = 1\nb = "x\n', 2),
        ("a = 1\na {\n}\n", 2),
        ("a {\n}\na = 1\n", 3),
        ('"a" = b', 1),
        ("a.b = c", 1),
        ("a, b = c", 1),
        ("a : {\n}", 1),
        ("a : b,\n= c", 2),
        ("a : b = c", 1),
        ("= b", 1),
        ("{\n}", 1),
        ("a = 1\n\0", 2),
        ('include "x', 1),
        ("include  = x", 1),
    ],
)
def test_refuses_what_strongswan_refuses(text, line):
    with pytest.raises(ParseError, match=rf"^settings: line {line}: "):
        parse(text)


def test_reports_includes_and_references():
    text = (
        "include conf.d/*.conf # ours\n"
        'a : b, c.d { include "my files/*" x = 1\n e : f { } }\n'
        "g {include a\\ b\\x\n}\ninclude \n"
    )
    assert read(text) == Document(
        {"a": {"x": "1", "e": {}}, "g": {}},
        ("conf.d/*.conf", "my files/*", "a b\\x"),
        (("a", ("b", "c.d")), ("a.e", ("f",))),
    )


def test_values_after_an_include_in_one_line():
    assert read("a { include x } b = 1") == Document({"a": {}, "b": "1"}, ("x",))


@pytest.mark.parametrize(
    "settings", [{"a b": "1"}, {"": "1"}, {"a.b": {}}, {"include": {}}, {"a#": "1"}, {"a": "\0"}, {"a": {"b=": "c"}}]
)
def test_refuses_to_write_what_cannot_be_read(settings):
    with pytest.raises(InvalidOption):
        render(settings)


def test_merge_leaves_its_arguments_alone():
    first = {"a": {"b": "1"}}
    assert merge(first, {"a": {"c": "2"}, "d": "3"}) == {"a": {"b": "1", "c": "2"}, "d": "3"}
    assert first == {"a": {"b": "1"}}
    with pytest.raises(ParseError):
        merge(first, {"a": "1"})
