# Copyright: Contributors to the routed_ipsec.vti project
# GNU General Public License v3.0+ (see COPYING or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""vici messages as swanctl printed them on a live tunnel, and the corners of their ambiguous one-line form."""

from __future__ import annotations

import pytest
from ansible_collections.routed_ipsec.vti.plugins.module_utils._core.errors import ParseError
from ansible_collections.routed_ipsec.vti.plugins.module_utils._formats.vici import Message, parse
from ansible_collections.routed_ipsec.vti.tests.unit.plugins.module_utils._formats.transcripts import load, of_command
from hypothesis import given
from hypothesis import strategies as st

SWANCTL = of_command("swanctl")
DUMPS = [each for each in SWANCTL if each.rc == 0 and {"--raw", "--pretty"} & set(each.command.split())]


@pytest.mark.parametrize("transcript", SWANCTL, ids=lambda transcript: transcript.command)
def test_reads_dumps_and_refuses_what_is_meant_for_people(transcript):
    if transcript in DUMPS:
        assert parse(transcript.stdout)[-1].kind == "reply"
    elif transcript.stdout:
        with pytest.raises(ParseError):
            parse(transcript.stdout)
    else:
        assert parse(transcript.stdout) == ()


@pytest.mark.parametrize(("raw", "pretty"), [("041", "042"), ("044", "045"), ("047", "048")])
def test_both_forms_say_the_same(raw, pretty):
    one_line, lines = (parse(load(f"ipsec-up/{number}").stdout) for number in (raw, pretty))
    if raw == "041":  # the two were recorded some seconds apart
        assert one_line[0].body["plugins"] == lines[0].body["plugins"]
    elif raw == "047":
        tunnel, same = (each[0].body["tun0"] for each in (one_line, lines))
        assert list(tunnel) == list(same)
        assert tunnel["child-sas"]["tun0-1"]["remote-ts"] == same["child-sas"]["tun0-1"]["remote-ts"]
    else:
        assert one_line == lines


def test_connections():
    event, reply = parse(load("ipsec-up/044").stdout)
    tunnel = event.body["tun0"]
    assert (event.kind, event.name) == ("event", "list-conn")
    assert reply == Message("reply", "list-conns", {})
    assert tunnel["local_addrs"] == ("192.0.2.1",)
    assert tunnel["local-1"] == {
        "id": "192.0.2.1",
        "class": "pre-shared key",
        "groups": (),
        "cert_policy": (),
        "certs": (),
        "cacerts": (),
    }
    assert tunnel["children"]["tun0"]["dpd_action"] == "none"


def test_security_associations():
    event, reply = parse(load("ipsec-up/047").stdout)
    assert event.body["tun0"]["state"] == "ESTABLISHED"
    assert event.body["tun0"]["child-sas"]["tun0-1"]["bytes-in"] == "420"
    assert reply.body == {}


def test_statistics_have_blanks_in_values():
    (reply,) = parse(load("ipsec-up/041").stdout)
    assert reply.body["uptime"] == {"running": "11 minutes", "since": "Nov 23 13:14:14 2026"}
    assert reply.body["workers"]["active"] == {"critical": "4", "high": "0", "medium": "1", "low": "0"}
    assert reply.body["scheduled"] == "2"
    assert reply.body["plugins"][:2] == ("charon", "aes")


def test_logs_have_braces_in_messages():
    log, reply = parse(load("ipsec-up/064").stdout)
    assert (log.kind, log.name, log.body["level"]) == ("log", "log", "1")
    assert log.body["msg"].startswith("not establishing CHILD_SA tun0{3} due to existing duplicate {1} with SPIs ")
    assert reply.body == {"success": "no", "errmsg": "establishing CHILD_SA 'tun0' failed"}


def test_failed_loads():
    assert [(message.name, message.body.get("errmsg")) for message in parse(load("ipsec-up/108").stdout)] == [
        ("get-conns", None),
        ("load-conn", None),
        ("load-conn", "invalid value for: esp_proposals, config discarded"),
    ]


@pytest.mark.parametrize(
    ("line", "body"),
    [
        ("x reply {}", {}),
        ("x reply {a=}", {"a": ""}),
        ("x reply {a= b=c}", {"a": "", "b": "c"}),
        ("x reply {a {} b {c=1}}", {"a": {}, "b": {"c": "1"}}),
        ("x reply {id=C=CH, O=x y, CN=a b remote-port=1}", {"id": "C=CH, O=x y, CN=a b", "remote-port": "1"}),
        ("x reply {a=[C=CH, O=x, CN=y C=CH, CN=z]}", {"a": ("C=CH, O=x, CN=y", "C=CH, CN=z")}),
        ("x reply {ts=[10.0.0.0/8[tcp/80] ::/0[gre]] b=1}", {"ts": ("10.0.0.0/8[tcp/80]", "::/0[gre]"), "b": "1"}),
        ("get-counters reply {counters { {a=1} tun0 {a=2}}}", {"counters": {"": {"a": "1"}, "tun0": {"a": "2"}}}),
        ("x reply {errmsg=a b=c {d} e}", {"errmsg": "a b=c {d} e"}),
    ],
)
def test_one_line_form(line, body):
    assert [message.body for message in parse(f"{line}\n")] == [body]


def test_messages_of_one_name_stay_apart():
    assert [list(message.body) for message in parse("list-sa event {a {}}\nlist-sa event {a {}}\n")] == [["a"], ["a"]]


@pytest.mark.parametrize(
    "text",
    [
        "x",
        "x reply",
        "x reply {",
        "x reply {a=1",
        "x reply {a}",
        "x reply {a=1 a=2}",
        "x reply {a=[1}",
        "x reply {} y",
        "x reply {a=1}}",
        "x other {}",
        "x reply {\n  a = [\n    1\n",
        "x reply {\n  a\n}\n",
        "x reply {\n  a = 1\n",
        "connecting to 'unix:///var/run/charon.vici' failed: Connection refused",
    ],
)
def test_refuses_anything_else(text):
    with pytest.raises(ParseError, match=r"^swanctl: "):
        parse(text)


keys = st.from_regex(r"[a-z][a-z0-9_-]{0,8}", fullmatch=True).filter(lambda key: key not in ("msg", "errmsg"))
plain = st.from_regex(r"[A-Za-z0-9./:%,_-]{1,8}( [A-Za-z0-9./:%_-]{1,8}){0,2}", fullmatch=True)
words = st.from_regex(r"[A-Za-z0-9./:%_-]{1,8}", fullmatch=True)
bodies = st.recursive(
    st.dictionaries(keys, st.one_of(plain.filter(lambda value: "," not in value), st.lists(words).map(tuple))),
    lambda inner: st.dictionaries(keys, st.one_of(words, inner), max_size=3),
    max_leaves=8,
)


def dump_raw(body):
    parts = []
    for key, value in body.items():
        if isinstance(value, dict):
            parts.append(f"{key} {{{dump_raw(value)}}}")
        else:
            parts.append(f"{key}=[{' '.join(value)}]" if isinstance(value, tuple) else f"{key}={value}")
    return " ".join(parts)


def dump_pretty(body, indent="  "):
    for key, value in body.items():
        if isinstance(value, dict):
            yield from (f"{indent}{key} {{", *dump_pretty(value, indent + "  "), f"{indent}}}")
        elif isinstance(value, tuple):
            yield from (f"{indent}{key} = [", *(f"{indent}  {item}" for item in value), f"{indent}]")
        else:
            yield f"{indent}{key} = {value}"


@given(bodies)
def test_reads_what_libvici_would_dump(body):
    assert parse(f"x event {{{dump_raw(body)}}}\n") == (Message("event", "x", body),)
    assert parse("\n".join(["x event {", *dump_pretty(body), "}", ""])) == (Message("event", "x", body),)
