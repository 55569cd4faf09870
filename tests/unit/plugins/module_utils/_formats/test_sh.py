# Copyright: Contributors to the routed_ipsec.vti project
# GNU General Public License v3.0+ (see COPYING or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""Assignments for files sourced by sh, evaluated by a real sh."""

from __future__ import annotations

import subprocess

import pytest
from ansible_collections.routed_ipsec.vti.plugins.module_utils._core.errors import InvalidOption, ParseError
from ansible_collections.routed_ipsec.vti.plugins.module_utils._formats.sh import (
    Assignment,
    assignment,
    parse,
    render,
)
from hypothesis import given, settings
from hypothesis import strategies as st

names = st.from_regex(r"v_[A-Za-z0-9_]{0,8}", fullmatch=True)
values = st.text(
    st.one_of(
        st.sampled_from("\\\"'`$(){}\n#; \t"), st.characters(blacklist_characters="\0", blacklist_categories=("Cs",))
    )
)
assignments = st.builds(Assignment, names, values, st.booleans())


def evaluate(script, name):
    """The value of a variable after sh has run the script."""
    source = f'{script}\nprintf %s "${{{name}}}"\n'.encode()
    done = subprocess.run(["/bin/sh", "-eu"], input=source, capture_output=True, timeout=10, check=True)
    assert done.stderr == b""
    return done.stdout.decode()


@settings(max_examples=60, deadline=None)
@given(names, values)
def test_sh_sees_the_value(name, value):
    assert evaluate(assignment(name, value), name) == value


@settings(max_examples=30, deadline=None)
@given(names, values, values)
def test_sh_sees_the_value_appended(name, first, second):
    assert evaluate(assignment(name, first) + assignment(name, second, append=True), name) == f"{first} {second}"


def test_a_value_runs_no_command(tmp_path):
    trap = tmp_path / "trap"
    value = f'"; touch {trap}; "$(touch {trap})`touch {trap}`\n touch {trap}\n\\$(touch {trap})\\'
    assert evaluate(assignment("v", value), "v") == value
    assert not trap.exists()


@given(st.lists(assignments), st.text(st.characters(blacklist_categories=("Cs", "Cc"))))
def test_parses_what_it_renders(written, header):
    assert list(parse(render(written, header))) == written


def test_spelling_is_that_of_rc_conf():
    written = [
        Assignment("cloned_interfaces", "ipsec5:sticky", append=True),
        Assignment("create_args_ipsec5", "reqid 105"),
    ]
    text = (
        "# Written by Ansible\n#\n# twice\n"
        'cloned_interfaces="${cloned_interfaces} ipsec5:sticky"\n'
        'create_args_ipsec5="reqid 105"\n'
    )
    assert render(written, "Written by Ansible\n\ntwice") == text
    assert list(parse(text)) == written


def test_what_looks_like_appending_is_not():
    text = assignment("a", "${a} b")
    assert text == 'a="\\${a} b"\n'
    assert parse(text) == (Assignment("a", "${a} b"),)


def test_skips_comments_and_blanks():
    assert parse('\n  # one\n\na="1"\n#two') == (Assignment("a", "1"),)
    assert parse("") == ()


@pytest.mark.parametrize(
    ("text", "line"),
    [
        ("a=1\n", 1),
        ('a="1"\nb="$a"\n', 2),
        ('a="`x`"\n', 1),
        ('a="${b} c"\n', 1),
        ('a="\\n"\n', 1),
        ("a='1'\n", 1),
        ('# x\na="1"; touch x\n', 2),
        ('a="1', 1),
        ("touch x\n", 1),
        ('a-b="1"\n', 1),
    ],
)
def test_refuses_other_shell_code(text, line):
    with pytest.raises(ParseError, match=rf"^sh: line {line}: "):
        parse(text)


@pytest.mark.parametrize(("name", "value"), [("a b", ""), ("1a", ""), ("", ""), ("a-b", ""), ("a\n", ""), ("a", "\0")])
def test_refuses_what_sh_cannot_hold(name, value):
    with pytest.raises(InvalidOption):
        assignment(name, value)
