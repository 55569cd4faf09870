# Copyright: Contributors to the routed_ipsec.vti project
# GNU General Public License v3.0+ (see COPYING or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

"""pf.conf(5) as pfctl of FreeBSD 13.2 reads, refuses and lists it (its sources), and what the rules do with packets."""

from __future__ import annotations

import pytest
from ansible_collections.routed_ipsec.vti.tests.sim.files import Result
from ansible_collections.routed_ipsec.vti.tests.sim.freebsd import FreeBSD

VTI = "ifconfig ipsec1 inet 10.6.106.2/30 10.6.106.1 tunnel 192.0.2.2 192.0.2.1 up"
MAIN = "/etc/pf.conf"
POLICY = "/usr/local/etc/routed_ipsec/policy.conf"
SCRUB = "/usr/local/etc/routed_ipsec/scrub.conf"
NOT_LOADED = "pfctl: Syntax error in config file: pf rules not loaded\n"
HOP = "(ipsec1 10.6.106.1)"


@pytest.fixture
def host() -> FreeBSD:
    """A gateway with a LAN and a VTI; pf filters, but has no rules."""
    made = FreeBSD("a", {"vtnet0": ["192.0.2.2/24", "2001:db8::2/64"], "lan0": ["10.2.1.1/24"]}, gateway="192.0.2.254")
    done(made, "kldload pf", "pfctl -e", "ifconfig ipsec1 create reqid 101", VTI)
    return made


def done(host: FreeBSD, *commands: str, stdin: str = "") -> None:
    for command in commands:
        result = host.run(command.split(), stdin)
        assert result.rc == 0, (command, result)


def pfctl(host: FreeBSD, *words: str, stdin: str = "") -> Result:
    return host.run(["pfctl", *words], stdin)


def load(host: FreeBSD, text: str, anchor: str = "") -> None:
    result = pfctl(host, *(["-a", anchor] if anchor else []), "-f", "-", stdin=text)
    assert result == Result(0), result


def rows(result: Result) -> list[str]:
    assert (result.rc, result.stderr) == (0, ""), result
    return result.stdout.splitlines()


@pytest.mark.parametrize(
    ("written", "listed"),
    [
        ("pass", "pass all flags S/SA keep state"),
        ("pass in on enc0 all no state", "pass in on enc0 all no state"),
        ("pass all flags any", "pass all flags any keep state"),
        ("pass proto tcp", "pass proto tcp all flags S/SA keep state"),
        ("pass proto 50 keep state", "pass proto esp all keep state"),
        (
            "pass in inet6 proto icmp6 icmp6-type echoreq",
            "pass in inet6 proto ipv6-icmp all icmp6-type echoreq keep state",
        ),
        ("pass out on ipsec1 all keep state (floating)", "pass out on ipsec1 all flags S/SA keep state"),
        ("pass keep state (sloppy, if-bound)", "pass all flags S/SA keep state (if-bound, sloppy)"),
        ("pass in tag A label one label two", 'pass in all flags S/SA keep state label "one" label "two" tag A'),
        ('pass out label "x y" keep state ! tagged A', 'pass out all flags S/SA keep state label "x y" ! tagged A'),
        ("block", "block drop all"),
        ("block return in log quick on lan0 to ! (self)", "block return in log quick on lan0 from any to ! (self)"),
        ("block return-icmp out inet", "block return-icmp(port-unr) out inet all"),
        ("match in from <t> tag B", "match in from <t> to any tag B"),
        ("pass from 10.2.3.4/16", "pass inet from 10.2.0.0/16 to any flags S/SA keep state"),
        ("pass from 10/8", "pass inet from 10.0.0.0/8 to any flags S/SA keep state"),
        ("pass inet from any to 0.0.0.0/0", "pass inet all flags S/SA keep state"),
        ("pass to 2001:db8::/32", "pass inet6 from any to 2001:db8::/32 flags S/SA keep state"),
        ("pass to 10.0.0.1 - 10.0.0.5", "pass inet from any to 10.0.0.1 - 10.0.0.5 flags S/SA keep state"),
        (
            "pass from (ipsec1:network) to (lan0:0)/16",
            "pass from (ipsec1:network) to (lan0:0)/16 flags S/SA keep state",
        ),
        ("pass to lan0:network", "pass inet from any to 10.2.1.0/24 flags S/SA keep state"),
        ("pass to ipsec1:peer", "pass inet from any to 10.6.106.1 flags S/SA keep state"),
        ("pass proto udp to port 53", "pass proto udp from any to any port = domain keep state"),
        ("pass proto tcp to port 8000:8100", "pass proto tcp from any to any port 8000:8100 flags S/SA keep state"),
        ("pass proto udp from any port >= 1024", "pass proto udp from any port >= 1024 to any keep state"),
        ("pass proto udp from any port 1 >< 9", "pass proto udp from any port 1 >< 9 to any keep state"),
        (f"pass in on lan0 route-to {HOP}", f"pass in on lan0 route-to {HOP} inet all flags S/SA keep state"),
        ("pass in route-to ipsec1 inet", "pass in route-to ipsec1 inet all flags S/SA keep state"),
        (
            f"pass in quick on lan0 route-to {{ {HOP}, {HOP} (ipsec2 10.6.107.1) }} sticky-address inet to ! (self)",
            f"pass in quick on lan0 route-to {{ {HOP}, {HOP}, (ipsec2 10.6.107.1) }} round-robin sticky-address"
            " inet from any to ! (self) flags S/SA keep state",
        ),
        (f"pass in reply-to {HOP} inet6 from any", ""),
        (
            f'pass in quick on ipsec1 reply-to {HOP} inet to 10.2.0.0/24 keep state label "R"',
            f"pass in quick on ipsec1 reply-to {HOP} inet from any to 10.2.0.0/24"
            ' flags S/SA keep state label "R"',
        ),
        ('anchor "routed_ipsec/*"', 'anchor "routed_ipsec/*" all'),
        ("anchor x in on lan0 proto tcp tagged A", 'anchor "x" in on lan0 proto tcp all tagged A'),
        ("scrub on ipsec1 inet all max-mss 1360", "scrub on ipsec1 inet all max-mss 1360 fragment reassemble"),
        ("scrub in max-mss 1360 no-df fragment reassemble", "scrub in all no-df max-mss 1360 fragment reassemble"),
        (
            "nat on ipsec1 inet from 10.2.0.0/16 -> (ipsec1)",
            "nat on ipsec1 inet from 10.2.0.0/16 to any -> (ipsec1) round-robin",
        ),
        ("nat on ipsec1 inet to any -> (ipsec1:0)", "nat on ipsec1 inet all -> (ipsec1:0)"),
        ("nat pass on lan0 from <t> -> 10.2.1.1", "nat pass on lan0 inet from <t> to any -> 10.2.1.1"),
        ("no nat on ipsec1 from 10.2.1.0/24", "no nat on ipsec1 inet from 10.2.1.0/24 to any"),
        ("nat-anchor routed", 'nat-anchor "routed" all'),
        ('rdr-anchor "routed_ipsec/*"', 'rdr-anchor "routed_ipsec/*" all'),
        (
            "rdr on lan0 proto tcp to 10.2.1.1 port 80 -> 10.2.1.9 port 8080",
            "rdr on lan0 inet proto tcp from any to 10.2.1.1 port = http -> 10.2.1.9 port 8080",
        ),
    ],
)  # fmt: skip
def test_a_rule_and_its_listing(host: FreeBSD, written: str, listed: str) -> None:
    """As pfctl -nv shows it and, read once more, the same; no listing: pfctl refuses the rule."""
    result = pfctl(host, "-nvf", "-", stdin=f"{written}\n")
    assert (result.rc, result.stdout) == ((0, f"{listed}\n") if listed else (1, "")), result
    if listed:
        assert pfctl(host, "-nvf", "-", stdin=result.stdout).stdout == result.stdout


@pytest.mark.parametrize(
    ("written", "listed"),
    [
        (
            "pass in on lan0 inet proto { tcp, udp } from { 10.2.1.0/24 10.2.2.0/24 } to any port { 53 8000:8100 }",
            [
                f"pass in on lan0 inet proto {protocol} from 10.2.{net}.0/24 to any port {port}{flags} keep state"
                for protocol, flags in (("tcp", " flags S/SA"), ("udp", ""))
                for net in (1, 2)
                for port in ("= domain", "8000:8100")
            ],
        ),
        (
            "pass from { 10.2.1.0/24, 2001:db8:2::/48 } to { 10.1.0.0/16, 2001:db8:1::/48 }",
            [
                "pass inet from 10.2.1.0/24 to 10.1.0.0/16 flags S/SA keep state",
                "pass inet6 from 2001:db8:2::/48 to 2001:db8:1::/48 flags S/SA keep state",
            ],
        ),
        ("block on { lan0 ! ipsec1 }", ["block drop on lan0 all", "block drop on ! ipsec1 all"]),
        (
            "block to { 10.0.0.0/8, ! 10.2.0.1 }",  # two rules: a table is needed for an exception
            ["block drop inet from any to 10.0.0.0/8", "block drop inet from any to ! 10.2.0.1"],
        ),
        (
            "antispoof quick for lan0",
            [
                "block drop in quick on ! lan0 inet from 10.2.1.0/24 to any",
                "block drop in quick inet from 10.2.1.1 to any",
            ],
        ),
    ],
)
def test_lists_make_several_rules(host: FreeBSD, written: str, listed: list[str]) -> None:
    load(host, f"{written}\n")
    assert rows(pfctl(host, "-sr")) == listed


@pytest.mark.parametrize(
    ("text", "told"),
    [
        (f"pass quick route-to {HOP}", ["direction must be explicit with rules that specify routing"]),
        (f"pass in route-to {HOP} inet6", ["no routing address with matching address family found."]),
        (f"pass in route-to {HOP} to 2001:db8::1", ["no routing address with matching address family found."]),
        (f"pass in route-to {{ {HOP}, (a ::1) }}", ["all pool addresses must be in the same address family"]),
        (f"pass in inet route-to {HOP}", ["syntax error"]),  # the family comes behind the route
        (f"match in route-to {HOP}", [
            "route-to, reply-to, dup-to and fastroute must not be used on match rules",
            "skipping rule due to errors", "rule expands to no valid combination"]),
        ("pass inet from ::1", ["rule expands to no valid combination"]),
        ("pass proto icmp to port 80", [
            "port only applies to tcp/udp", "skipping rule due to errors", "rule expands to no valid combination"]),
        ("pass proto nosuch", ["unknown protocol nosuch"]),
        ("pass proto tcp to port nosuch", ["unknown port nosuch"]),
        ("pass on averyverylongname", ["interface name too long"]),
        ("pass from (lan0:nosuch)", ["interface lan0:nosuch has bad modifier"]),
        ("pass keep state keep state", ["modulate or keep cannot be redefined"]),
        (f"pass label {'x' * 64}", ["rule label too long (max 63 chars)"]),
        (f"table <{'x' * 32}> {{ }}", ["table name too long, max 31 chars"]),
        ("table <t> volatile", ["invalid table option 'volatile'"]),
        ("table <t> { (lan0) }", ["dynamic addresses are not permitted inside tables"]),
        ("anchor x keep state", ["cannot specify state handling on anchors"]),
        ("nat on lan0 from any", ["translation rule requires '-> address'"]),
        ("scrub in quick", ["scrub rules do not support 'quick'"]),
        ("scrub in fragment crop", ["syntax error"]),
        ("pass nosuch", ["syntax error"]),
        ("pass { in out }", ["syntax error"]),
    ],
)  # fmt: skip
def test_a_rule_that_is_refused(host: FreeBSD, text: str, told: list[str]) -> None:
    result = pfctl(host, "-nf", "-", stdin=f"# a comment\n{text}\npass\n")
    assert result == Result(1, "", "".join(f"stdin:2: {row}\n" for row in told))
    assert pfctl(host, "-f", "-", stdin=f"# a comment\n{text}\npass\n").stderr == result.stderr + NOT_LOADED
    assert rows(pfctl(host, "-sr")) == []


def test_the_last_line_needs_its_end(host: FreeBSD) -> None:
    assert pfctl(host, "-nf", "-", stdin="pass").stderr == "stdin:1: syntax error\n"


def test_errors_are_told_for_each_line_but_for_one_right_behind_another(host: FreeBSD) -> None:
    """yacc keeps quiet until three words in a row fit again."""
    result = pfctl(host, "-nf", "-", stdin="nosuch thing\nnosuch thing\npass in\npass nosuch\npass from nosuch\n")
    assert result.stderr.splitlines() == [
        "stdin:1: syntax error", "stdin:4: syntax error",
        "no IP address found for nosuch", "stdin:5: could not parse host specification",
    ]  # fmt: skip


def test_macros_comments_and_continued_lines(host: FreeBSD) -> None:
    text = 'if = "lan0"\nnets = "{ 10.2.1.0/24, \\\n 10.2.2.0/24 }" # two\n'
    text += "pass in on $if \\\n  from $nets\nblock to $if:network\n"
    shown = pfctl(host, "-nvf", "-", stdin=text)
    assert shown.stdout.splitlines() == [
        'if = "lan0"',
        'nets = "{ 10.2.1.0/24,  10.2.2.0/24 }"',
        "pass in on lan0 inet from 10.2.1.0/24 to any flags S/SA keep state",
        "pass in on lan0 inet from 10.2.2.0/24 to any flags S/SA keep state",
        "block drop inet from any to 10.2.1.0/24",
    ]
    assert pfctl(host, "-nf", "-", stdin=text + "nosuch x\n").stderr == "stdin:7: syntax error\n"


@pytest.mark.parametrize(
    ("early", "late"),
    [
        ("scrub in", "set block-policy return"),
        ("nat on lan0 -> (lan0)", "scrub in"),
        ("nat on lan0 -> (lan0)", "set limit states 10"),
        ("pass", "nat on lan0 -> (lan0)"),
        ("pass", 'nat-anchor "routed_ipsec/*"'),
        ("pass", f'include "{SCRUB}"'),
        ('anchor "routed_ipsec/*"', "rdr-anchor x"),
    ],
)
def test_order_is_enforced_unless_it_is_waived(host: FreeBSD, early: str, late: str) -> None:
    host.files[SCRUB] = "scrub on ipsec1 inet all max-mss 1360\n"
    where = f"{SCRUB}:2" if "include" in late else "stdin:2"  # what is included counts from 2
    message = "Rules must be in order: options, normalization, queueing, translation, filtering"
    assert pfctl(host, "-nf", "-", stdin=f"{early}\n{late}\n").stderr == f"{where}: {message}\n"
    for text in (f"{late}\n{early}\n", f"set require-order no\n{early}\n{late}\n"):
        assert pfctl(host, "-nf", "-", stdin=text) == Result(0)


@pytest.mark.parametrize(
    "late", ["table <t> { 10.0.0.1 }", "set skip on lo0", 'x = "y"', f'load anchor x from "{POLICY}"']
)
def test_what_has_no_place_in_the_order(host: FreeBSD, late: str) -> None:
    host.files[POLICY] = ""
    assert pfctl(host, "-nf", "-", stdin=f"pass\n{late}\n") == Result(0)


def test_include_is_read_when_the_rules_are_loaded(host: FreeBSD) -> None:
    host.files[SCRUB] = "scrub on ipsec1 inet all max-mss 1360"  # here the last line needs no end
    load(host, f'set skip on lo0\ninclude "{SCRUB}"\npass\n')
    host.files[SCRUB] = ""
    assert rows(pfctl(host, "-sr")) == [
        "scrub on ipsec1 inet all max-mss 1360 fragment reassemble",
        "pass all flags S/SA keep state",
    ]


def test_include_of_nothing_fails_the_whole_load(host: FreeBSD) -> None:
    load(host, "block\n")
    result = pfctl(host, "-f", "-", stdin=f'include "{SCRUB}"\npass\n')
    assert result.rc == 1
    assert result.stderr == (
        f"pfctl: {SCRUB}: No such file or directory\nstdin:1: failed to include file {SCRUB}\n{NOT_LOADED}"
    )
    assert rows(pfctl(host, "-sr")) == ["block drop all"]


def test_load_anchor_loads_with_the_main_ruleset_or_nothing_does(host: FreeBSD) -> None:
    host.files[MAIN] = f'anchor "routed_ipsec/*"\nload anchor "routed_ipsec/policy" from "{POLICY}"\npass\n'
    missing = f"pfctl: {POLICY}: No such file or directory\npfctl: cannot open the main config file!"
    for words in (["-nf", MAIN], ["-f", MAIN]):
        result = pfctl(host, *words)
        assert result.rc == 1
        assert result.stderr.startswith(missing)
        assert result.stderr.endswith("pfctl: load anchors\n")
    assert rows(pfctl(host, "-sr")) == []
    host.files[POLICY] = "block in\nnosuch\n"
    assert pfctl(host, "-f", MAIN) == Result(
        1, "", f"{POLICY}:2: syntax error\n{NOT_LOADED}pfctl: load anchors\n"
    )  # fmt: skip
    host.files[POLICY] = "block in\n"
    assert pfctl(host, "-nf", MAIN) == Result(0)
    assert pfctl(host, "-a", "routed_ipsec/policy", "-sr").stderr == "pfctl: DIOCGETRULES: Invalid argument\n"
    assert pfctl(host, "-f", MAIN) == Result(0)
    assert rows(pfctl(host, "-a", "routed_ipsec/policy", "-sr")) == ["block drop in all"]


def test_an_anchor_with_an_order_of_its_own(host: FreeBSD) -> None:
    """Each file begins anew, and an anchor's is checked like any other."""
    host.files[POLICY] = "nat on ipsec1 -> (ipsec1)\nblock in\n"
    load(host, f'pass\nload anchor "a" from "{POLICY}"\n')
    assert pfctl(host, "-a", "a", "-nf", "-", stdin="block\nscrub in\n").rc == 1


def test_a_missing_file_is_told_twice(host: FreeBSD) -> None:
    missing = "No such file or directory\n"
    told = f"pfctl: /nosuch: {missing}pfctl: cannot open the main config file!: {missing}"
    assert pfctl(host, "-nf", "/nosuch") == Result(1, "", told)
    assert pfctl(host, "-f", "/nosuch") == Result(1, "", told + NOT_LOADED)


def test_each_kind_of_rule_is_listed_and_flushed_apart(host: FreeBSD) -> None:
    text = "nat on ipsec1 inet from 10.2.0.0/16 to any -> (ipsec1)\npass in on ipsec1\n"
    for anchor in ([], ["-a", "routed_ipsec/tunnels"]):
        assert pfctl(host, *anchor, "-f", "-", stdin=text) == Result(0)
        nat = ["nat on ipsec1 inet from 10.2.0.0/16 to any -> (ipsec1) round-robin"]
        assert rows(pfctl(host, *anchor, "-sn")) == nat
        assert pfctl(host, *anchor, "-F", "rules") == Result(0, "", "rules cleared\n")
        assert rows(pfctl(host, *anchor, "-sr")) == []
        assert rows(pfctl(host, *anchor, "-s", "nat")) == nat  # flushing rules leaves it in force
        assert pfctl(host, *anchor, "-F", "nat") == Result(0, "", "nat cleared\n")
    gone = pfctl(host, "-a", "routed_ipsec/tunnels", "-sn")
    assert gone == Result(0, "", "pfctl: DIOCGETRULES: Invalid argument\n")


def test_flush_all(host: FreeBSD) -> None:
    load(host, 'set skip on lo0\nanchor "a/*"\npass\n')
    load(host, "table <t> persist { 10.0.0.1 }\nblock in from <t>\n", "a/b")
    everything = pfctl(host, "-F", "all").stderr.splitlines()
    assert everything[:2] == ["rules cleared", "nat cleared"]
    assert everything[-1] == "pf: interface flags reset"
    assert rows(pfctl(host, "-a", "a/b", "-sr")) == ["block drop in from <t> to any"]
    assert pfctl(host, "-a", "a/b", "-F", "all").stderr == "rules cleared\nnat cleared\n1 tables deleted.\n"
    assert host.pf.rulesets.keys() == {""}
    assert pfctl(host, "-q", "-F", "states") == Result(0)
    assert pfctl(host, "-F", "states").stderr == "0 states cleared\n"


@pytest.mark.parametrize(
    ("words", "rc", "told"),
    [
        ("-k label -k FAILOVER", 0, "killed 0 states\n"),
        ("-k gateway -k 10.6.106.1", 0, "killed 0 states\n"),
        ("-k 10.2.1.0/24", 0, "killed 0 states from 1 sources and 0 destinations\n"),
        ("-k 10.2.1.7 -k 10.1.0.1", 0, "killed 0 states from 1 sources and 1 destinations\n"),
        ("-k gateway -k VTI_HQ", 1, "pfctl: getaddrinfo: Name does not resolve\n"),
    ],
)
def test_killing_states(host: FreeBSD, words: str, rc: int, told: str) -> None:
    assert pfctl(host, *words.split()) == Result(rc, "", told)
    assert rows(pfctl(host, "-s", "states")) == []


def test_label_needs_its_name(host: FreeBSD) -> None:
    assert pfctl(host, "-k", "label").stderr.startswith("pfctl: no label specified\nusage: pfctl ")


def test_options_act_in_pfctls_order(host: FreeBSD) -> None:
    done(host, "pfctl -d")
    host.files[MAIN] = "block\n"
    assert pfctl(host, "-e", "-f", MAIN) == Result(0, "", "pf enabled\n")
    assert rows(pfctl(host, "-sr")) == ["block drop all"]
    assert pfctl(host, "-f", MAIN, "-F", "rules").stderr == "rules cleared\n"  # first this, then -f
    assert rows(pfctl(host, "-sr")) == ["block drop all"]


def test_a_word_too_many(host: FreeBSD) -> None:
    result = pfctl(host, "-sr", "nosuch")
    assert (result.rc, result.stderr.splitlines()[0]) == (1, "pfctl: unknown command line argument: nosuch ...")


@pytest.mark.parametrize(
    "text", ["pass in user root\n", 'anchor "x" {\npass\n}\n', "queue x\n", "set state-defaults sloppy\n"]
)
def test_what_is_not_simulated_says_so(host: FreeBSD, text: str) -> None:
    result = pfctl(host, "-nf", "-", stdin=text)
    assert result.rc == 1
    assert result.stderr.startswith("pfctl: not simulated: ")


def test_anchors_exist_while_something_needs_them(host: FreeBSD) -> None:
    load(host, 'nat-anchor "one/*"\nanchor "two"\n')
    load(host, "table <t> persist\n", "three/four")
    assert rows(pfctl(host, "-s", "Anchors")) == ["  one", "  three", "  two"]
    assert pfctl(host, "-vs", "Anchors").stdout.splitlines() == ["  one", "  three", "  three/four", "  two"]
    assert pfctl(host, "-a", "five", "-s", "Anchors").stderr == "Anchor 'five' not found.\n"
    load(host, "pass\n")
    load(host, "", "three/four")
    assert rows(pfctl(host, "-s", "Anchors")) == ["  three"]


def test_a_table_without_persist_goes_with_its_last_rule(host: FreeBSD) -> None:
    text = "table <kept> persist { 10.0.0.1 }\ntable <used> { 10.0.0.0/8, ! 10.2.0.1 }\ntable <idle> { 10.0.0.1 }\n"
    load(host, text + "block from <used>\n", "a")
    assert rows(pfctl(host, "-a", "a", "-sT")) == ["kept", "used"]
    assert rows(pfctl(host, "-a", "a", "-t", "used", "-T", "show")) == ["   10.0.0.0/8", "  !10.2.0.1"]
    assert pfctl(host, "-t", "used", "-T", "show").rc == 255
    done(host, "pfctl -a a -F rules")
    assert rows(pfctl(host, "-a", "a", "-sT")) == ["kept"]


def test_a_table_from_a_file(host: FreeBSD) -> None:
    host.files["/etc/nets"] = "10.0.0.0/8 # all\n!10.2.0.1\n"
    shown = pfctl(host, "-vnf", "-", stdin='table <t> const file "/etc/nets"\nblock from <t>\n')
    assert shown.stdout.splitlines() == ['table <t> const file "/etc/nets"', "block drop from <t> to any"]
    load(host, 'table <t> file "/etc/nets"\nblock from <t>\n')
    assert host.pf.decide("lan0", "10.3.0.1", "10.2.1.1") == ("block", None)
    assert host.pf.decide("lan0", "10.2.0.1", "10.2.1.1") == ("pass", None)


POLICIES = f"""table <lan1_to> const {{ 10.0.0.0/8, ! 10.2.0.1 }}
pass in quick on lan0 route-to {HOP} inet proto tcp from {{ 10.2.1.0/24 }} to <lan1_to> port {{ 80, 8000:8100 }} keep state label "A"
block return in quick on lan0 inet from 10.2.9.0/24 to ! (self)
pass in quick on lan0 route-to {{ {HOP}, (ipsec2 10.6.107.1) }} round-robin sticky-address inet from 10.2.8.0/24 to ! (self)
"""  # noqa: E501
CALLING = 'anchor "routed_ipsec/*"\npass\n'


@pytest.mark.parametrize(
    ("source", "destination", "more", "what"),
    [
        ("10.2.1.7", "10.1.0.1", {}, ("pass", HOP)),
        ("10.2.1.7", "10.1.0.1", {"destination_port": 8050}, ("pass", HOP)),
        ("10.2.1.7", "10.1.0.1", {"destination_port": 22}, ("pass", None)),
        ("10.2.1.7", "10.1.0.1", {"protocol": "udp"}, ("pass", None)),
        ("10.2.1.7", "10.2.0.1", {}, ("pass", None)),  # the exception of the table
        ("10.2.1.7", "172.16.0.1", {}, ("pass", None)),
        ("10.2.2.7", "10.1.0.1", {}, ("pass", None)),
        ("10.2.9.7", "203.0.113.1", {}, ("block", None)),
        ("10.2.9.7", "10.6.106.2", {}, ("pass", None)),  # one of the host's own addresses
        ("10.2.9.7", "192.0.2.2", {}, ("pass", None)),
        ("10.2.8.7", "203.0.113.1", {}, ("pass", f"{{ {HOP}, (ipsec2 10.6.107.1) }}")),
        ("2001:db8:2::7", "2001:db8:1::1", {}, ("pass", None)),
    ],
)
def test_policy_rules_send_block_and_follow(
    host: FreeBSD, source: str, destination: str, more: dict[str, object], what: tuple[str, str | None]
) -> None:
    load(host, CALLING)
    load(host, POLICIES, "routed_ipsec/policy")
    assert host.pf.decide("lan0", source, destination, **more) == what
    assert host.pf.decide("vtnet0", source, destination, **more) == ("pass", None)
    assert host.pf.decide("lan0", source, destination, direction="out", **more) == ("pass", None)


def test_self_follows_the_addresses(host: FreeBSD) -> None:
    load(host, "block in quick on lan0 inet from any to ! (self)\npass\n")
    assert host.pf.decide("lan0", "10.2.1.7", "10.2.1.9") == ("block", None)
    done(host, "ifconfig lan0 inet 10.2.1.9/24 alias")
    assert host.pf.decide("lan0", "10.2.1.7", "10.2.1.9") == ("pass", None)


def test_anchors_count_only_where_they_are_called(host: FreeBSD) -> None:
    load(host, "block in quick from 10.2.1.7\n", "routed_ipsec/tunnels")
    load(host, "pass in quick\n", "routed_ipsec/policy")
    load(host, "block in quick\n", "routed_ipsec/policy/deeper")
    load(host, "block in quick\n", "routed_ipsec")
    load(host, "pass\n")
    assert host.pf.effective() == [("", "pass all flags S/SA keep state")]
    load(host, "block\n" + CALLING)
    assert host.pf.effective() == [
        ("", "block drop all"),
        ("routed_ipsec/policy", "pass in quick all flags S/SA keep state"),
        ("routed_ipsec/tunnels", "block drop in quick inet from 10.2.1.7 to any"),
        ("", "pass all flags S/SA keep state"),
    ]
    assert host.pf.decide("lan0", "10.2.1.7", "10.1.0.1") == ("pass", None)
    load(host, "pass in from 10.2.1.0/24\n", "routed_ipsec/policy")  # not quick: what comes later decides
    assert host.pf.decide("lan0", "10.2.1.7", "10.1.0.1") == ("block", None)
    done(host, "pfctl -d")
    assert host.pf.effective() == []
    assert host.pf.decide("lan0", "10.2.1.7", "10.1.0.1") == ("pass", None)


def test_an_anchor_line_can_be_narrow_and_quick(host: FreeBSD) -> None:
    load(host, 'anchor "a" in quick on lan0\nblock\n')
    load(host, "pass from 10.2.1.0/24\n", "a")
    assert host.pf.decide("lan0", "10.2.1.7", "10.1.0.1") == ("pass", None)
    assert host.pf.decide("lan0", "10.2.2.7", "10.1.0.1") == ("block", None)
    assert host.pf.decide("vtnet0", "10.2.1.7", "10.1.0.1") == ("block", None)


def test_the_last_rule_decides_and_skipped_interfaces_have_none(host: FreeBSD) -> None:
    load(host, f"set skip on ipsec\npass in route-to {HOP} inet\npass in\nblock in from <nosuch>\n")
    assert host.pf.decide("lan0", "10.2.1.7", "10.1.0.1") == ("pass", None)
    assert host.pf.match("lan0", "10.2.1.7", "10.1.0.1") is not None
    assert host.pf.match("ipsec1", "10.2.1.7", "10.1.0.1") is None


def test_an_undefined_table_has_no_address(host: FreeBSD) -> None:
    load(host, "block from ! <nosuch>\n")
    assert host.pf.decide("lan0", "10.2.1.7", "10.1.0.1") == ("block", None)


def test_an_anchors_own_table_comes_before_the_main_one(host: FreeBSD) -> None:
    load(host, "table <t> persist { 10.2.1.0/24 }\nanchor a\n")
    load(host, "block from <t>\n", "a")
    assert host.pf.decide("lan0", "10.2.1.7", "10.1.0.1") == ("block", None)
    load(host, "table <t> { 10.2.2.0/24 }\nblock from <t>\n", "a")
    assert host.pf.decide("lan0", "10.2.1.7", "10.1.0.1") == ("pass", None)


def test_tags(host: FreeBSD) -> None:
    load(host, "pass in on lan0 tag LAN\npass in on vtnet0\nblock tagged LAN\n")
    assert host.pf.decide("lan0", "10.2.1.7", "10.1.0.1")[0] == "block"
    assert host.pf.decide("vtnet0", "10.2.1.7", "10.1.0.1")[0] == "pass"


def test_nat_needs_its_anchor_line(host: FreeBSD) -> None:
    load(host, "nat on ipsec1 inet from 10.2.0.0/16 to any -> (ipsec1)\n", "routed_ipsec/tunnels")
    load(host, CALLING)
    assert host.pf.translate("ipsec1", "10.2.1.7", "10.1.0.1") == "10.2.1.7"
    load(host, 'nat-anchor "routed_ipsec/*"\n' + CALLING)
    assert host.pf.effective("nat") == [
        ("routed_ipsec/tunnels", "nat on ipsec1 inet from 10.2.0.0/16 to any -> (ipsec1) round-robin")
    ]
    assert host.pf.translate("ipsec1", "10.2.1.7", "10.1.0.1") == "10.6.106.2"
    assert host.pf.translate("vtnet0", "10.2.1.7", "10.1.0.1") == "10.2.1.7"
    assert host.pf.translate("ipsec1", "10.3.1.7", "10.1.0.1") == "10.3.1.7"
    load(host, 'no nat on ipsec1 from 10.2.1.0/24\nnat-anchor "routed_ipsec/*"\n')
    assert host.pf.translate("ipsec1", "10.2.1.7", "10.1.0.1") == "10.2.1.7"


def test_scrub_counts_in_the_main_ruleset_only(host: FreeBSD) -> None:
    clamp = "scrub on ipsec1 inet all max-mss 1360\n"
    load(host, CALLING)
    load(host, clamp, "routed_ipsec/tunnels")  # pfctl takes and lists it, the kernel never looks at it
    assert rows(pfctl(host, "-a", "routed_ipsec/tunnels", "-sr")) == [clamp.strip() + " fragment reassemble"]
    assert host.pf.max_mss("ipsec1", "10.2.1.7", "10.1.0.1") is None
    load(host, clamp + CALLING)
    assert host.pf.max_mss("ipsec1", "10.2.1.7", "10.1.0.1") == 1360
    assert host.pf.max_mss("lan0", "10.2.1.7", "10.1.0.1") is None
    assert host.pf.max_mss("ipsec1", "2001:db8:2::7", "2001:db8:1::1") is None
    load(host, "scrub in all\n" + clamp + CALLING)
    assert host.pf.max_mss("ipsec1", "10.2.1.7", "10.1.0.1") is None  # the first that matches counts
    assert host.pf.max_mss("ipsec1", "10.2.1.7", "10.1.0.1", direction="out") == 1360


def test_rules_survive_json_and_the_service(host: FreeBSD) -> None:
    host.files[MAIN] = CALLING
    load(host, POLICIES, "routed_ipsec/policy")
    done(host, "service pf onerestart")  # the main ruleset is read again, what is in anchors stays
    copy = FreeBSD.from_json(host.to_json(), host.files)
    assert copy.state == host.state
    assert copy.pf.decide("lan0", "10.2.1.7", "10.1.0.1") == ("pass", HOP)


def test_reboot_leaves_what_the_files_load(host: FreeBSD) -> None:
    load(host, POLICIES, "routed_ipsec/policy")
    host.files[MAIN] = CALLING
    host.files["/etc/rc.conf"] += 'pf_enable="YES"\n'
    host.reboot()
    assert host.pf.effective() == [("", "pass all flags S/SA keep state")]
    host.files[POLICY] = POLICIES
    host.files[MAIN] += f'load anchor "routed_ipsec/policy" from "{POLICY}"\n'
    host.reboot()
    assert [anchor for anchor, _rule in host.pf.effective()] == ["routed_ipsec/policy"] * 4 + [""]
