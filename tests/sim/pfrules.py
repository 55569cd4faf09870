# Copyright: Contributors to the routed_ipsec.vti project
# GNU General Public License v3.0+ (see COPYING or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

"""Rules of pf(4) as plain data, and how pfctl of FreeBSD 13.2 lists them (sbin/pfctl/pfctl_parser.c).

A ruleset is a dict: scrub, nat, rdr, binat, filter (lists of rules in order) and tables (name to {persist, entries};
an entry is {network, not}). A rule has no lists of addresses or ports: those of pf.conf make several rules.
"""

from __future__ import annotations

import ipaddress
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from .freebsd import FreeBSD

Rule = dict[str, Any]
Place = dict[str, Any]
Ruleset = dict[str, Any]
Port = tuple[str, int, int]  # operator, number, second number

KINDS = ("scrub", "nat", "rdr", "binat", "filter")
# /etc/protocols and /etc/services of FreeBSD, as far as anything here needs them
PROTOCOLS = {
    1: "icmp", 2: "igmp", 4: "ipencap", 6: "tcp", 17: "udp", 41: "ipv6", 47: "gre", 50: "esp", 51: "ah",
    58: "ipv6-icmp", 89: "ospf", 103: "pim", 112: "carp", 132: "sctp",
}  # fmt: skip
PROTOCOL_NUMBERS = {name: number for number, name in PROTOCOLS.items()} | {"icmp6": 58, "vrrp": 112}
SERVICES = {
    21: "ftp", 22: "ssh", 23: "telnet", 25: "smtp", 53: "domain", 80: "http", 110: "pop3", 113: "auth", 123: "ntp",
    143: "imap", 161: "snmp", 179: "bgp", 443: "https", 500: "isakmp", 993: "imaps", 995: "pop3s", 4500: "sae-urn",
}  # fmt: skip
SERVICE_NUMBERS = {name: number for number, name in SERVICES.items()}
ICMP = {
    "icmp-type": {"echorep": 0, "unreach": 3, "squench": 4, "redir": 5, "echoreq": 8, "timex": 11, "paramprob": 12},
    "icmp6-type": {
        "unreach": 1, "toobig": 2, "timex": 3, "paramprob": 4, "echoreq": 128, "echorep": 129, "routersol": 133,
        "routeradv": 134, "neighbrsol": 135, "neighbradv": 136, "redir": 137,
    },
}  # fmt: skip
UNREACH = ("net-unr", "host-unr", "proto-unr", "port-unr", "needfrag")
_ANCHOR_WORDS = {"pass": "anchor", "nat": "nat-anchor", "rdr": "rdr-anchor", "binat": "binat-anchor"}


def new_rule(action: str, **more: Any) -> Rule:
    """A rule that matches everything.

    action is pass, block, match, scrub, nat, rdr or binat; an anchor has the action of its kind and its name in
    `anchor`. hops are (interface, place or null); icmp is (keyword, type, code or -1); state is keep, modulate,
    synproxy or empty; redirect holds places, redirect_ports what stands behind `port`.
    """
    made: Rule = {
        "action": action, "no": False, "anchor": "", "answer": "", "answer_codes": ["port-unr", "port-unr"],
        "direction": "", "log": "", "quick": False, "interface": "", "not_interface": False, "route": "", "hops": [],
        "pool": [], "family": "", "protocol": "", "source": new_place(), "source_port": None,
        "destination": new_place(), "destination_port": None, "flags": "", "icmp": None, "state": "",
        "state_options": [], "fragment": False, "allow_opts": False, "scrub": [], "labels": [], "tag": "", "tagged": "",
        "not_tagged": False, "rtable": None, "nat_pass": False, "redirect": [], "redirect_ports": "",
    }  # fmt: skip
    made.update(more)
    return made


def new_place(kind: str = "any", value: str = "", **more: Any) -> Place:
    """Where packets come from or go to.

    kind: any; network (value in CIDR form); range (first-last); table; interface (its addresses whenever they are asked
    for; `modifiers` as written behind the name); no-route; urpf-failed. zone is the interface of a link-local address.
    """
    made: Place = {
        "kind": kind,
        "value": value,
        "modifiers": "",
        "prefix": None,
        "family": "",
        "not": False,
        "zone": "",
    }
    made.update(more)
    return made


def new_ruleset() -> Ruleset:
    """No rules, no tables."""
    return {**{kind: [] for kind in KINDS}, "tables": {}}


def interface_networks(host: FreeBSD, name: str, modifiers: str = "") -> list[tuple[str, str]]:
    """(network in CIDR form, zone) for the addresses of an interface, of a group's interfaces, or of `self`."""
    found: list[tuple[str, str]] = []
    for own, interface in host.interfaces.table.items():
        if name not in ("self", own, *interface["groups"]):
            continue
        seen: set[str] = set()
        for entry in interface["addresses"]:
            local = entry["address"].startswith("fe80")
            if (":0" in modifiers and (local or entry["family"] in seen)) or ("network" in modifiers and local):
                continue
            seen.add(entry["family"])
            network = ipaddress.ip_network(f"{entry['address']}/{entry['prefix']}", strict=False)
            full = network.max_prefixlen
            if "network" in modifiers:
                found.append((str(network), ""))
            elif "broadcast" in modifiers:
                if isinstance(network, ipaddress.IPv4Network) and interface["kind"] == "vtnet":
                    found.append((f"{network.broadcast_address}/32", ""))
            elif "peer" in modifiers:
                if entry["peer"]:
                    found.append((f"{entry['peer']}/{full}", ""))
            else:
                found.append((f"{entry['address']}/{full}", own if local else ""))
    return found


def place_text(place: Place) -> str:
    """A place as pfctl lists it."""
    negated = "! " if place["not"] else ""
    if place["kind"] == "table":
        return f"{negated}<{place['value']}>"
    if place["kind"] == "interface":
        length = f"/{place['prefix']}" if place["prefix"] is not None else ""
        return f"{negated}({place['value']}{place['modifiers']}){length}"
    if place["kind"] == "range":
        return f"{negated}{place['value'].replace('-', ' - ')}"
    if place["kind"] != "network":
        return f"{negated}{place['kind']}"
    network = ipaddress.ip_network(place["value"])
    if network.prefixlen == 0:
        return f"{negated}any"
    return negated + (str(network.network_address) if network.prefixlen == network.max_prefixlen else str(network))


def port_text(port: Port | None, protocol: str) -> str:
    """A port behind its place, with a space before; nothing for any port."""
    if port is None:
        return ""
    operator, first, last = port
    if operator == ":":
        return f" port {first}:{last}"
    if operator in ("<>", "><"):
        return f" port {first} {operator} {last}"
    named = operator in ("=", "!=") and protocol in ("tcp", "udp")
    return f" port {operator} {SERVICES.get(first, str(first)) if named else first}"


def hops_text(rule: Rule) -> str:
    """Where a rule sends packets, as pfctl lists it: `(if address)`, several in braces; without the way of choosing."""
    hops = [name if place["kind"] == "any" else f"({name} {place_text(place)})" for name, place in rule["hops"]]
    return hops[0] if len(hops) == 1 else f"{{ {', '.join(hops)} }}"


def _from_to_text(rule: Rule) -> str:
    sides = []
    for side in ("source", "destination"):
        sides.append(place_text(rule[side]) + port_text(rule[f"{side}_port"], rule["protocol"]))
    return "all" if sides == ["any", "any"] else f"from {sides[0]} to {sides[1]}"


def _answer_text(rule: Rule) -> str:
    if not rule["answer"].startswith("return-icmp"):
        return str(rule["answer"])
    four, six = rule["answer_codes"]
    shown = {"inet": f"return-icmp({four})", "inet6": f"return-icmp6({six})"}
    return shown.get(rule["family"], f"return-icmp({four}, {six})")


def _icmp_text(icmp: tuple[str, int, int]) -> str:
    keyword, number, code = icmp
    names = {value: name for name, value in ICMP[keyword].items()}
    shown = f"{keyword} {names.get(number, number)}"
    if code < 0:
        return shown
    named = (keyword, number) == ("icmp-type", 3) and code < len(UNREACH)
    return f"{shown} code {UNREACH[code] if named else code}"


def rule_text(rule: Rule) -> str:
    """A rule as `pfctl -sr` and `pfctl -sn` list it: the order of words is pfctl's, not the file's."""
    filters = rule["action"] == "pass" and not rule["anchor"]
    if rule["anchor"]:
        out = [f'{_ANCHOR_WORDS[rule["action"]]} "{rule["anchor"]}"']
    else:
        out = ["no " * rule["no"] + rule["action"] + " pass" * rule["nat_pass"]]
    out += [_answer_text(rule), rule["direction"], rule["log"], "quick" * rule["quick"]]
    if rule["interface"]:
        out.append(f"on {'! ' * rule['not_interface']}{rule['interface']}")
    if rule["route"]:
        out += [rule["route"], hops_text(rule), *_pool_words(rule)]
    out += [rule["family"], f"proto {rule['protocol']}" if rule["protocol"] else "", _from_to_text(rule)]
    if rule["flags"] not in ("", "any"):
        out.append(f"flags {rule['flags']}")
    elif filters and rule["protocol"] in ("", "tcp") and not rule["fragment"] and rule["state"]:
        out.append("flags any")
    out.append(_icmp_text(rule["icmp"]) if rule["icmp"] else "")
    if rule["state"]:
        shown = [word for word in ("no-sync", "if-bound", "sloppy") if word in rule["state_options"]]
        out += [f"{rule['state']} state", f"({', '.join(shown)})" if shown else ""]
    elif filters:
        out.append("no state")
    out += ["fragment" * rule["fragment"], *(word for word in rule["scrub"] if word != "reassemble tcp")]
    out.append("allow-opts" * rule["allow_opts"])
    if rule["action"] == "scrub":
        out += [*(word for word in rule["scrub"] if word == "reassemble tcp"), "fragment reassemble" * (not rule["no"])]
    out += [f'label "{label}"' for label in rule["labels"] if label]
    out += [f"tag {rule['tag']}" if rule["tag"] else ""]
    out += [f"{'! ' * rule['not_tagged']}tagged {rule['tagged']}" if rule["tagged"] else ""]
    out += [f"rtable {rule['rtable']}" if rule["rtable"] is not None else ""]
    if rule["redirect"]:
        places = [place_text(place) for place in rule["redirect"]]
        out += ["->", places[0] if len(places) == 1 else f"{{ {', '.join(places)} }}"]
        out += [f"port {rule['redirect_ports']}" if rule["redirect_ports"] else "", *_pool_words(rule)]
    return " ".join(word for word in out if word)


def _pool_words(rule: Rule) -> list[str]:
    order = ("bitmask", "random", "round-robin", "sticky-address", "static-port")
    return [word for word in order if word in rule["pool"]]
