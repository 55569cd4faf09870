# Copyright: Contributors to the routed_ipsec.vti project
# GNU General Public License v3.0+ (see COPYING or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""sysctl's output, and our block in sysctl.conf beside what others wrote there."""

from __future__ import annotations

import pytest
from ansible_collections.routed_ipsec.vti.plugins.module_utils._core.errors import InvalidOption, ParseError
from ansible_collections.routed_ipsec.vti.plugins.module_utils._formats import block
from ansible_collections.routed_ipsec.vti.plugins.module_utils._formats.block import BEGIN, END
from ansible_collections.routed_ipsec.vti.plugins.module_utils._formats.sysctl import parse, with_block
from ansible_collections.routed_ipsec.vti.tests.unit.plugins.module_utils._formats.transcripts import load, of_command
from hypothesis import assume, given
from hypothesis import strategies as st

SETTINGS = {"net.enc.in.ipsec_filter_mask": "2", "net.inet.ipsec.filtertunnel": "0"}
names = st.from_regex(r"[a-z][a-z0-9_]{0,5}(\.[a-z0-9_]{1,5}){1,3}", fullmatch=True)
settings = st.dictionaries(names, st.from_regex(r"[0-9A-Za-z.:/-]{1,6}", fullmatch=True), max_size=5)
files = st.one_of(st.text(), st.lists(st.sampled_from(["a=1", "# comment", "", "b = 2 \t", "\r"])).map("\n".join))


@pytest.mark.parametrize("transcript", of_command("sysctl"), ids=lambda transcript: transcript.command)
def test_reads_names_and_values_and_refuses_values_alone(transcript):
    if "-n" in transcript.command.split() and transcript.stdout:
        with pytest.raises(ParseError):
            parse(transcript.stdout)
    else:
        assert len(parse(transcript.stdout)) == transcript.stdout.count("\n")


def test_recorded_values():
    assert parse(load("net/009").stdout) == {"net.inet.ipsec.filtertunnel": "0"}
    assert parse(load("net/018").stdout) == {
        "net.enc.out.ipsec_bpf_mask": "3",
        "net.enc.out.ipsec_filter_mask": "1",
        "net.enc.in.ipsec_bpf_mask": "1",
        "net.enc.in.ipsec_filter_mask": "1",
    }
    assert parse(load("net/034").stdout) == {"net.inet.ip.forwarding": "1"}
    assert parse(load("net/031").stdout) == {}


def test_linux_form_and_empty_values():
    assert parse("net.ipv4.ip_forward = 1\nnet.ipv4.conf.ipsec1/7.rp_filter = 0\nkern.domain:\nkern.a: b = c\n") == {
        "net.ipv4.ip_forward": "1",
        "net.ipv4.conf.ipsec1/7.rp_filter": "0",
        "kern.domain": "",
        "kern.a": "b = c",
    }


@given(files, settings, settings)
def test_a_block_comes_changes_and_goes(text, first, second):
    assume(BEGIN not in text)
    added = with_block(text, first)
    changed = with_block(added, second)
    assert block.read(text, "x") is None
    assert block.read(changed, "x") == [f"{name}={value}" for name, value in second.items()]
    assert with_block(added, first) == added
    assert with_block(changed, first) == added
    assert with_block(changed, None) == text
    assert with_block(text, None) == text


@given(files, settings, settings, st.text(min_size=1))
def test_what_others_append_later_stays(text, first, second, later):
    assume(BEGIN not in text + later)
    end = "" if not text or text.endswith("\n") else "\n"
    grown = with_block(text, first) + later
    assert with_block(grown, second) == with_block(text, second) + later
    assert with_block(grown, None) == text + end + later


def test_the_block_as_written():
    assert with_block("a=1\n", SETTINGS) == (
        "a=1\n# BEGIN routed_ipsec.vti\n"
        "net.enc.in.ipsec_filter_mask=2\nnet.inet.ipsec.filtertunnel=0\n"
        "# END routed_ipsec.vti\n"
    )
    assert with_block("", {}) == f"{BEGIN}\n{END}\n"
    assert block.read(f"{BEGIN}\na.b=1\n{END}", "x") == ["a.b=1"]


@pytest.mark.parametrize(
    "text",
    [
        f"{BEGIN}\n",
        f"{END}\n",
        f"{END}\n{BEGIN}\n",
        f"{BEGIN}\n{BEGIN}\n{END}\n",
        f"{BEGIN}\n{END}\n{END}\n",
        f"{BEGIN}\n{END}\n{BEGIN}\n{END}\n",
    ],
)
def test_refuses_markers_that_do_not_pair_up(text):
    for change in (lambda text: with_block(text, SETTINGS), lambda text: with_block(text, None)):
        with pytest.raises(ParseError, match=r"^sysctl\.conf: "):
            change(text)


def test_a_block_somebody_edited_is_replaced_as_a_whole():
    assert with_block(f"a=1\n{BEGIN}\n# mine\n{END}\nb=2\n", {"c.d": "3"}) == f"a=1\n{BEGIN}\nc.d=3\n{END}\nb=2\n"


@pytest.mark.parametrize(
    "settings",
    [{"a.b": "1\nb=2"}, {"a.b": ""}, {"a.b c": "1"}, {"a.b": "1 # 2"}, {"#a.b": "1"}, {"a.b": "1 2"}, {"a": "1"}],
)
def test_refuses_to_write_what_cannot_be_read(settings):
    with pytest.raises(InvalidOption):
        with_block("", settings)


@pytest.mark.parametrize("text", ["0\n", "sysctl: unknown oid 'a'\n", "a.b 1\n"])
def test_refuses_other_output(text):
    with pytest.raises(ParseError, match=r"^sysctl: "):
        parse(text)
