# Copyright: Contributors to the routed_ipsec.vti project
# GNU General Public License v3.0+ (see COPYING or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

"""What the peer of a tunnel has to configure when its end is not ours. Pure; runs on the controller.

Everything here is the peer's view: local is the peer's end, remote is ours. A pre-shared key is never read, and is in
no text.
"""

from __future__ import annotations

import dataclasses
import ipaddress
import re
import typing as t

from ansible_collections.routed_ipsec.vti.plugins.module_utils._core.errors import InvalidOption
from ansible_collections.routed_ipsec.vti.plugins.module_utils._formats import overhead, settings
from ansible_collections.routed_ipsec.vti.plugins.module_utils._resources import declared
from ansible_collections.routed_ipsec.vti.plugins.module_utils._resources.phase1 import state as phase1_state
from ansible_collections.routed_ipsec.vti.plugins.module_utils._resources.phase2 import state as phase2_state

from . import links, reading, suites

if t.TYPE_CHECKING:
    from collections.abc import Collection, Iterable, Iterator, Mapping

    from .links import Address, Network

    Phase1 = phase1_state.Phase1
    Phase2 = phase2_state.Phase2

KEY = "<pre-shared key, told separately>"
"""What stands where the key belongs."""

ROUTING = ("static", "bgp", "ospf")
_CERTIFICATE = "<your certificate>"
_AUTHORITY = "<certificate of the authority that vouches for us>"
_ANY = ("0.0.0.0/0", "::/0")
_HEADERS = {4: 40, 6: 60}
_TRUE = {"true": True, "yes": True, "on": True, "1": True, "false": False, "no": False, "off": False, "0": False}


@dataclasses.dataclass(frozen=True)
class Tunnel:
    """An interface of the peer's. mtu: in bytes. mss: of TCP, in bytes, by the inner family."""

    child: str
    phase2: tuple[Phase2, ...]
    mtu: int
    mss: Mapping[int, int]

    @property
    def number(self) -> int:
        return self.phase2[0].unit

    @property
    def interface(self) -> str:
        return self.phase2[0].interface

    @property
    def families(self) -> tuple[int, ...]:
        return tuple(dict.fromkeys(one.family for one in self.phase2))


@dataclasses.dataclass(frozen=True)
class Handoff:
    """One link from the peer's point of view.

    title: what both call the link. name: of the peer's objects. networks: behind us, for the peer to route into the
    tunnel. offered: behind the peer, what we route to it. starts: whether the peer starts the tunnel.
    """

    title: str
    name: str
    phase1: Phase1
    tunnels: tuple[Tunnel, ...]
    networks: tuple[Network, ...] = ()
    offered: tuple[Network, ...] = ()
    starts: bool = True
    routing: str = "static"

    @property
    def family(self) -> int:
        """Of the outer addresses; 4 where names leave it open."""
        known = self.phase1.remote or self.phase1.local
        return ipaddress.ip_address(known).version if known else 4

    @property
    def natt(self) -> bool:
        """Whether ESP may be in UDP: it is always, or a NAT can be on the way, which IPv4 cannot exclude."""
        return self.phase1.encap or self.family == 4

    def ways(self) -> Iterator[tuple[Network, Tunnel, str]]:
        """The networks behind us with the tunnel that leads there, and our address on it."""
        for network in self.networks:
            for tunnel in self.tunnels:
                for phase2 in tunnel.phase2:
                    if phase2.family == network.version:
                        yield network, tunnel, phase2.remote
                        break


# --- from our end's variables -----------------------------------------------------------------------------------------


def describe(
    tunnels: Mapping[str, t.Any],
    phase1: str,
    *,
    networks: Iterable[t.Any] | None = None,
    name: str | None = None,
    title: str | None = None,
    routing: str = "static",
) -> Handoff:
    """Turn our end round. ``tunnels`` are the lists for vti_site, ``phase1`` a name; for the rest see Handoff."""
    declared.check_text("title", title)
    declared.check_name("name", name or phase1)
    ours = _phase1(tunnels, phase1)
    phase2s = _phase2s(tunnels, ours)
    assignments = {one.name: _assigned(tunnels, one) for one in phase2s}
    groups: dict[str, list[Phase2]] = {}
    for one in phase2s:
        groups.setdefault(phase2_state.child_name(ours, one), []).append(one)
    handoff = Handoff(
        title=title or phase1,
        name=name or phase1,
        phase1=_turned_phase1(ours),
        tunnels=tuple(_tunnel(child, members, assignments) for child, members in groups.items()),
        networks=tuple(reading.network("networks", item) for item in reading.items("networks", networks)),
        offered=tuple(_offered(tunnels, phase2s, assignments)),
        starts=_waits(phase2s[0]),
        routing=reading.choice("routing", routing, ROUTING),
    )
    missing = sorted({one.version for one in handoff.networks} - {one.family for one in phase2s})
    if missing:
        raise InvalidOption(
            f"networks: the tunnel has no addresses of IPv{missing[0]}; give phase 1 {phase1} a phase 2"
        )
    return handoff


def _phase1(tunnels: Mapping[str, t.Any], name: str) -> Phase1:
    item = next((one for one in tunnels.get("phase1") or () if one["name"] == name), None)
    if item is None:
        raise InvalidOption(f"phase1: there is no phase 1 {name!r} among those of this gateway")
    # The key is not looked at, so that nobody needs a vault's password to write a sheet.
    options = _typed("phase1", phase1_state.ARGUMENTS, {key: item[key] for key in item if key != "psk"})
    ours = phase1_state.from_options({**options, "psk": KEY}, None)
    if ours.local_addrs[0] in phase1_state.ANY:
        raise InvalidOption(
            f"local_addrs: {ours.local_addrs[0]} of phase 1 {name} tells the peer nothing; give an address"
        )
    return dataclasses.replace(ours, psk=None)


def _phase2s(tunnels: Mapping[str, t.Any], phase1: Phase1) -> list[Phase2]:
    numbers = phase2_state.Numbers((), ())
    found: list[Phase2] = []
    for item in tunnels.get("phase2") or ():
        if item["phase1"] == phase1.name:
            options = _typed("phase2", phase2_state.ARGUMENTS, item)
            one = phase2_state.from_options(options, phase1s={phase1.name: phase1}, known=None, numbers=numbers)
            numbers.settle(one)
            found.append(one)
    if not found:
        raise InvalidOption(f"phase2: phase 1 {phase1.name} has none, so there is no tunnel to describe")
    return found


def _typed(where: str, arguments: Mapping[str, t.Any], item: Mapping[str, t.Any]) -> dict[str, t.Any]:
    """The options of an item, of the types that Ansible would make of them."""
    options: dict[str, t.Any] = {}
    for key, value in reading.known(where, item, arguments).items():
        kind = arguments[key]["type"]
        if value is None:
            continue
        if kind == "int":
            options[key] = reading.number(f"{where}: {key}", value, 0, 2**63 - 1)
        elif kind == "bool":
            options[key] = _TRUE[reading.choice(f"{where}: {key}", str(value).lower(), _TRUE)]
        elif kind == "list":
            options[key] = list(map(str, reading.items(f"{where}: {key}", value)))
        else:
            options[key] = str(value)
        if "choices" in arguments[key]:
            reading.choice(f"{where}: {key}", options[key], [str(one) for one in arguments[key]["choices"]])
    return options


def _assigned(tunnels: Mapping[str, t.Any], phase2: Phase2) -> Mapping[str, t.Any]:
    """The assignment of a phase 2's interface, empty if there is none."""
    items = tunnels.get("assignments") or ()
    return next(
        (one for one in items if one.get("phase2") == phase2.name or one.get("interface") == phase2.interface), {}
    )


def _tunnel(child: str, members: list[Phase2], assignments: Mapping[str, Mapping[str, t.Any]]) -> Tunnel:
    assignment = next((assignments[one.name] for one in members if assignments[one.name]), {})
    mtu = reading.number("assignments: mtu", assignment.get("mtu") or members[0].mtu, *phase2_state.MTU)
    mss = reading.number("assignments: mss", assignment.get("mss") or mtu, 576, 65535)
    return Tunnel(
        child=child,
        phase2=tuple(map(_turned_phase2, members)),
        mtu=mtu,
        mss={one.family: min(mss, mtu) - _HEADERS[one.family] for one in members},
    )


def _offered(
    tunnels: Mapping[str, t.Any], phase2s: Iterable[Phase2], assignments: Mapping[str, Mapping[str, t.Any]]
) -> Iterator[Network]:
    phase2s = list(phase2s)
    names = {one.get("name") for one in assignments.values() if one}
    ways = {f"{str(name).upper()}_VTIV{version}" for name in names for version in (4, 6)}
    ways |= {one.interface for one in phase2s}
    for route in tunnels.get("static_routes") or ():
        if route.get("gateway") in ways or route.get("interface") in ways:
            yield reading.network("static_routes: network", route["network"])


def _turned_phase1(ours: Phase1) -> Phase1:
    is_certified = ours.auth == "pubkey"
    return dataclasses.replace(
        ours,
        local_addrs=ours.remote_addrs,
        remote_addrs=ours.local_addrs,
        local_port=ours.remote_port,
        remote_port=ours.local_port,
        local_id=ours.remote_id,
        remote_id=ours.local_id,
        local_certs=(_CERTIFICATE,) if is_certified else (),
        remote_certs=(),
        remote_cacerts=(_AUTHORITY,) if is_certified else (),
    )


def _waits(ours: Phase2) -> bool:
    """Whether our end leaves it to the peer to start."""
    return not any(word in ours.start_action for word in ("start", "trap"))


def _turned_phase2(ours: Phase2) -> Phase2:
    return dataclasses.replace(
        ours,
        local_address=f"{ours.remote}/{ours.local.network.prefixlen}",
        remote_address=str(ours.local.ip),
        local_ts=ours.remote_ts,
        remote_ts=ours.local_ts,
        **(links.STARTS if _waits(ours) else links.WAITS),  # type: ignore[arg-type]
    )


def identity(text: str) -> tuple[str, str]:
    """Kind and value: ``address``, ``email``, ``fqdn``, ``key-id``, ``dn`` or ``any``, by strongSwan's rules.

    https://docs.strongswan.org/docs/latest/config/identityParsing.html
    """
    prefixes = {"ipv4": "address", "ipv6": "address", "fqdn": "fqdn", "dns": "fqdn", "keyid": "key-id"}
    prefixes.update({"rfc822": "email", "email": "email", "userfqdn": "email", "asn1dn": "dn"})
    prefix, colon, rest = text.partition(":")
    if colon and prefix in prefixes:
        return prefixes[prefix], rest
    if text in phase1_state.ANY:
        return "any", text
    if declared.literal(text):
        return "address", str(declared.literal(text))
    if text.startswith("@#"):
        return "key-id", text[1:]
    if text.startswith("@@"):
        return "email", text[2:]
    if text.startswith("@"):
        return "fqdn", text[1:]
    if "=" in text or text.startswith("/"):
        return "dn", text
    return ("email" if "@" in text else "fqdn"), text


# --- the sheet --------------------------------------------------------------------------------------------------------


def _code(text: t.Any) -> str:
    """A code span of Markdown that nothing in the text can end."""
    fence = "`" * (1 + max(map(len, re.findall(r"`+", str(text))), default=0))
    pad = " " if len(fence) > 1 else ""
    return f"{fence}{pad}{text}{pad}{fence}"


def _plain(text: str) -> str:
    """Text in which Markdown sees no markup."""
    return re.sub(r"([\\`*_\[\]<>|#])", r"\\\1", text)


def _codes(items: Iterable[t.Any]) -> str:
    return ", ".join(map(_code, items)) or "none"


def sheet(handoff: Handoff) -> str:
    """All that the peer's administrator needs, in Markdown."""
    lines = [
        f"# Tunnel {_plain(handoff.title)}",
        "",
        "You are the peer; we are the other end. Values must be the same at both ends unless something else is said.",
    ]
    for title, items in (
        ("Ends", _ends(handoff)),
        ("IKE (phase 1)", _ike_lines(handoff)),
        ("ESP (phase 2)", list(_esp_lines(handoff))),
        ("Tunnel interface", list(_interface_lines(handoff))),
        ("Routes", _route_lines(handoff)),
        ("Let in from our outer address", _door_lines(handoff)),
    ):
        lines += ["", f"## {title}", "", *(f"- {item}" for item in items)]
    return "\n".join(lines) + "\n"


def _ends(handoff: Handoff) -> list[str]:
    phase1 = handoff.phase1
    kinds = {"any": "whatever it is", "address": "address", "email": "e-mail address", "dn": "distinguished name"}
    yours, ours = (identity(text) for text in (phase1.local_identity, phase1.remote_identity))
    is_key = phase1.auth == "psk"
    return [
        f"Your outer address: {_codes(phase1.local_addrs) if phase1.local_addrs[0] not in phase1_state.ANY else 'any'}",
        f"Our outer address: {_codes(phase1.remote_addrs)}",
        f"Your identity: {_code(yours[1])} ({kinds.get(yours[0], yours[0].upper())})",
        f"Our identity: {_code(ours[1])} ({kinds.get(ours[0], ours[0].upper())})",
        "Authentication: "
        + (f"pre-shared key, {_code(KEY)}" if is_key else "certificates; we exchange authorities separately"),
        f"Who starts: {'you do' if handoff.starts else 'we do; be ready to answer'}",
    ]


def _ike_lines(handoff: Handoff) -> list[str]:
    phase1 = handoff.phase1
    times = phase1_state.timers(phase1)
    lines = [
        f"Version: IKEv{phase1.version or 2}" + ("" if phase1.version else ", IKEv1 is accepted too"),
        *(f"Proposal {_suite_line(one)}" for one in suites.read(phase1.proposals, ike=True)),
        f"Lifetime: {phase1.lifetime} s"
        + (f", rekeying after {times['rekey_time']} s" if times.get("rekey_time") else "")
        + (
            f", new authentication after {times['reauth_time']} s"
            if times["reauth_time"]
            else ", no new authentication"
        ),
        f"Dead peer detection: {f'every {phase1.dpd_delay} s' if phase1.dpd_delay else 'off'}",
        f"MOBIKE: {'on' if phase1.mobike else 'off'}; fragmentation of IKE: {phase1.fragmentation}",
    ]
    if phase1.version == 1:
        lines.append(f"Mode: {'aggressive' if phase1.aggressive else 'main'}")
    return lines


def _suite_line(suite: suites.Suite) -> str:
    if not suite.encryption:
        return f"{_code(suite.text)}: strongSwan's own list"
    parts = [f"encryption {', '.join(suite.encryption)}"]
    if suite.integrity:
        parts.append(f"integrity {', '.join(suite.integrity)}")
    if suite.prf:
        parts.append(f"PRF {', '.join(suite.prf)}")
    if suite.groups:
        parts.append(f"key exchange {', '.join(map(suites.group, suite.groups))}")
    if suite.additional:
        parts.append(f"additional key exchange {', '.join(suite.additional)}")
    if suite.esn:
        parts.append(f"extended sequence numbers {', '.join(sorted(suite.esn))}")
    return f"{_code(suite.text)}: {'; '.join(parts)}"


def _esp_lines(handoff: Handoff) -> Iterator[str]:
    yield "Route-based, tunnel mode: what enters the tunnel is decided by routes, not by the traffic selectors"
    for tunnel in handoff.tunnels:
        first = tunnel.phase2[0]
        where = f"{tunnel.interface}: " if len(handoff.tunnels) > 1 else ""
        for suite in suites.read(first.esp_proposals, ike=False):
            pfs = "" if any(name != "none" for name in suite.groups) or not suite.encryption else "; no PFS"
            yield f"{where}Proposal {_suite_line(suite)}{pfs}"
        yield f"{where}Lifetime: {first.life_time} s" + (f", {first.life_bytes} bytes" if first.life_bytes else "")
        yield f"{where}Your traffic selectors: {_codes(phase2_state.selectors(handoff.phase1, first, 'local_ts'))}"
        yield f"{where}Our traffic selectors: {_codes(phase2_state.selectors(handoff.phase1, first, 'remote_ts'))}"
        if len(tunnel.families) > 1:
            yield f"{where}One CHILD SA carries IPv4 and IPv6"


def _interface_lines(handoff: Handoff) -> Iterator[str]:
    for tunnel in handoff.tunnels:
        where = f"{tunnel.interface}: " if len(handoff.tunnels) > 1 else ""
        for one in tunnel.phase2:
            yield f"{where}Your address: {_code(one.local)}, ours: {_code(one.remote)}"
        yield f"{where}MTU: {tunnel.mtu} bytes{_on_the_wire(handoff, tunnel)}"
        clamped = ", ".join(f"{mss} bytes (IPv{family})" for family, mss in tunnel.mss.items())
        yield f"{where}Clamp the MSS of TCP to {clamped}"


def _on_the_wire(handoff: Handoff, tunnel: Tunnel) -> str:
    texts = tunnel.phase2[0].esp_proposals
    try:
        size = max(overhead.outer_size(tunnel.mtu, text, natt=handoff.natt, family=handoff.family) for text in texts)
    except ValueError:
        return ""
    return f"; such a packet is up to {size} bytes long outside{', with NAT traversal' if handoff.natt else ''}"


def _route_lines(handoff: Handoff) -> list[str]:
    if handoff.routing != "static":
        return [f"{handoff.routing.upper()} over the tunnel's addresses; its settings are told separately"]
    ways = [f"{_code(network)} by {_code(address)}" for network, _tunnel_, address in handoff.ways()]
    return [
        f"Behind us, for you to route into the tunnel: {', '.join(ways) or 'none'}",
        f"Behind you, what we route to you: {_codes(handoff.offered)}",
    ]


def _door_lines(handoff: Handoff) -> list[str]:
    port = handoff.phase1.local_port or 500
    return [
        f"UDP port {port} (IKE)" + ("" if port == 4500 else " and UDP port 4500 (NAT traversal)"),
        "IP protocol 50 (ESP)"
        + (", although ESP is in UDP here" if handoff.phase1.encap else ", unless a NAT is on the way"),
    ]


# --- strongSwan -------------------------------------------------------------------------------------------------------


def connection(handoff: Handoff) -> dict[str, t.Any]:
    """The settings for swanctl.conf(5)."""
    phase1 = handoff.phase1
    children = {
        _child(handoff, tunnel): phase2_state.child(
            phase1, tunnel.phase2[0], {key: str(_id(tunnel)) for key in ("if_id_in", "if_id_out")}
        )
        for tunnel in handoff.tunnels
    }
    found: dict[str, t.Any] = {"connections": {handoff.name: phase1_state.connection(phase1, children)}}
    if phase1.auth == "psk":
        found["secrets"] = {
            f"ike-{handoff.name}": {
                "secret": KEY,
                "id-local": phase1.local_identity,
                "id-remote": phase1.remote_identity,
            }
        }
    return found


def _child(handoff: Handoff, tunnel: Tunnel) -> str:
    """Named as the connection where ours is."""
    ours = handoff.phase1.name
    return handoff.name + tunnel.child[len(ours) :] if tunnel.child.startswith(ours) else tunnel.child


def _id(tunnel: Tunnel) -> int:
    return tunnel.phase2[0].reqid


def strongswan(handoff: Handoff) -> str:
    """A file for conf.d of swanctl and the commands of a Linux host, whose tunnel is an XFRM interface.

    https://docs.strongswan.org/docs/latest/features/routeBasedVpn.html
    """
    lines = [
        f"# /etc/swanctl/conf.d/{handoff.name}.conf, mode 0600; then: swanctl --load-all",
        *settings.render(connection(handoff)).splitlines(),
        "",
        "# The interface, as root; have your network configuration do the same at boot.",
        "# A strongSwan before 5.8.0 also needs charon.install_routes = no.",
    ]
    for tunnel in handoff.tunnels:
        name = tunnel.interface
        lines.append(f"ip link add name {name} type xfrm if_id {_id(tunnel)}")
        lines += [f"ip address add {one.local} dev {name}" for one in tunnel.phase2]
        lines.append(f"ip link set dev {name} mtu {tunnel.mtu} up")
    table = f"vti_{handoff.name.replace('-', '_')}"
    lines += [
        f"nft add table inet {table}",
        f"nft add chain inet {table} mss '{{ type filter hook forward priority -150; }}'",
    ]
    lines += [
        f"nft add rule inet {table} mss {side} {tunnel.interface} meta nfproto ipv{family} tcp flags syn "
        f"tcp option maxseg size set {mss}"
        for tunnel in handoff.tunnels
        for family, mss in tunnel.mss.items()
        for side in ("iifname", "oifname")
    ]
    if handoff.routing == "static":
        lines += [
            f"ip -{network.version} route add {network} dev {tunnel.interface}"
            for network, tunnel, _address in handoff.ways()
        ]
    return "\n".join(lines) + "\n"


# --- what Cisco IOS and FortiOS have in common ------------------------------------------------------------------------


def _only_any(handoff: Handoff, words: suites.Words) -> None:
    for tunnel in handoff.tunnels:
        for option in ("local_ts", "remote_ts"):
            given = getattr(tunnel.phase2[0], option)
            if given and not set(given) <= set(_ANY):
                ours = "remote_ts" if option == "local_ts" else "local_ts"
                raise InvalidOption(f"{ours}: with {words.maker} a tunnel is from anything to anything; leave it out")


def _one_each(phase2s: Iterable[Phase2], words: suites.Words) -> None:
    families = [one.family for one in phase2s]
    if len(set(families)) < len(families):
        raise InvalidOption(f"phase2: with {words.maker} a tunnel has one address of a family; give a second a phase 1")


def _outer(handoff: Handoff, words: suites.Words) -> tuple[Address | None, Address]:
    """The peer's outer address as far as it is known, and ours."""
    theirs, ours = handoff.phase1.local, handoff.phase1.remote
    if ours is None:
        raise InvalidOption(
            f"local_addrs: {handoff.phase1.remote_addrs[0]} is a name; {words.maker} needs an address here"
        )
    return (ipaddress.ip_address(theirs) if theirs else None), ipaddress.ip_address(ours)


def _identities(handoff: Handoff, words: suites.Words, pattern: str) -> Iterator[tuple[str, str]]:
    """The peer's and ours; InvalidOption for what the maker's command line cannot hold."""
    for option, text in (("remote_id", handoff.phase1.local_identity), ("local_id", handoff.phase1.remote_identity)):
        kind, value = identity(text)
        if kind == "key-id" and value.startswith("#"):
            raise InvalidOption(
                f"{option}: {text!r} cannot be told to {words.maker}; use a key ID of letters and digits"
            )
        if kind == "dn" and words is not suites.FORTINET:
            raise InvalidOption(f"{option}: a distinguished name needs a certificate map in {words.maker}; use an FQDN")
        if kind == "address" and declared.literal(value) is None:
            raise InvalidOption(f"{option}: {text!r} is no address")
        if kind != "any" and not re.fullmatch(pattern, value):
            raise InvalidOption(f"{option}: {text!r} cannot be typed in {words.maker}; use letters, digits and dots")
        yield kind, value


def _within(value: int, low: int, high: int) -> int:
    return max(low, min(high, value))


# --- Cisco ------------------------------------------------------------------------------------------------------------


def cisco_ios(handoff: Handoff) -> str:
    """The configuration of a Cisco router with IOS or IOS XE, a static virtual tunnel interface.

    Commands: "Configuring Internet Key Exchange Version 2" and "IPsec Virtual Tunnel Interfaces" of
    https://www.cisco.com/c/en/us/td/docs/ios-xml/ios/sec_conn_vpnips/configuration/xe-16-12/; limits are those of
    Cisco-IOS-XE-crypto.yang. ``tunnel mode ipsec dual-overlay`` is for IPv4 and IPv6 in one tunnel, ``v6-overlay`` and
    ``v4-overlay`` for one that is not of the outer family.
    """
    words = suites.CISCO_V1 if handoff.phase1.version == 1 else suites.CISCO
    _only_any(handoff, words)
    outer = _outer(handoff, words)
    identities = tuple(_identities(handoff, words, r'[^\s?"!]+'))
    fitted = suites.ike(handoff.phase1.proposals, words)
    name = f"VTI-{handoff.name}"
    speak = _cisco_v1 if words is suites.CISCO_V1 else _cisco_v2
    lines = [
        f"! IKEv{handoff.phase1.version or 2}; names and numbers may be changed",
        *(f"! {note}" for note in fitted.notes),
        *speak(handoff, name, fitted, outer, identities),
    ]
    profiles: dict[tuple[str, ...], str] = {}
    for tunnel in handoff.tunnels:
        proposals = tunnel.phase2[0].esp_proposals
        if proposals not in profiles:
            profiles[proposals] = name + (f"-{tunnel.number}" if profiles else "")
            lines += _cisco_esp(handoff, tunnel, profiles[proposals], name)
    if len(handoff.tunnels) > 1:
        lines.append("! see that your release lets two tunnels have the same source and destination")
    for tunnel in handoff.tunnels:
        _one_each(tunnel.phase2, words)
        lines += _cisco_interface(handoff, tunnel, profiles[tunnel.phase2[0].esp_proposals], outer)
    if handoff.routing == "static":
        lines += [_cisco_route(network, tunnel, address) for network, tunnel, address in handoff.ways()]
    return "\n".join(lines) + "\n"


def _host(address: Address) -> str:
    return f"{address} 255.255.255.255" if address.version == 4 else f"{address}/128"


def _cisco_v2(
    handoff: Handoff,
    name: str,
    fitted: suites.Fitted,
    outer: tuple[Address | None, Address],
    identities: tuple[tuple[str, str], ...],
) -> Iterator[str]:
    phase1, words = handoff.phase1, suites.CISCO
    theirs, ours = outer
    for index, suite in enumerate(fitted.suites, 1):
        yield f"crypto ikev2 proposal {name}-{index}"
        yield f" encryption {' '.join(words.cipher[one] for one in suite.encryption)}"
        if suite.integrity:
            yield f" integrity {' '.join(words.hash[one] for one in suite.integrity)}"
        yield f" prf {' '.join(words.prf[one] for one in suite.prf)}"
        yield f" group {' '.join(suites.numbers([suite]))}"
    yield f"crypto ikev2 policy {name}"
    if theirs:
        yield f" match address local {theirs}"
    yield from (f" proposal {name}-{index}" for index in range(1, len(fitted.suites) + 1))
    if phase1.auth == "psk":
        yield f"crypto ikev2 keyring {name}"
        yield f" peer {name}"
        yield f"  address {ours}{'' if ours.version == 4 else '/128'}"
        yield f"  pre-shared-key {KEY}"
    yield f"crypto ikev2 profile {name}"
    (local_kind, local), (remote_kind, remote) = identities
    if remote_kind == "address":
        remote = _host(ipaddress.ip_address(remote))
    yield f" match identity remote {remote_kind} {remote}"
    if local_kind != "any":
        yield f" identity local {local_kind} {local}"
    method = "pre-share" if phase1.auth == "psk" else "rsa-sig"
    yield from (f" authentication {end} {method}" for end in ("remote", "local"))
    yield f" keyring local {name}" if phase1.auth == "psk" else " pki trustpoint <your trustpoint>"
    yield f" lifetime {_within(phase1.lifetime, 120, 86400)}"
    if phase1.dpd_delay:
        yield f" dpd {_within(phase1.dpd_delay, 10, 3600)} 5 periodic"


def _cisco_v1(
    handoff: Handoff,
    name: str,
    fitted: suites.Fitted,
    outer: tuple[Address | None, Address],
    identities: tuple[tuple[str, str], ...],
) -> Iterator[str]:
    phase1, words = handoff.phase1, suites.CISCO_V1
    theirs, ours = outer
    choices = [
        (cipher, integrity, number)
        for suite in fitted.suites
        for cipher, integrity in suites.pairs(suite)
        for number in suites.numbers([suite])
    ]
    for index, (cipher, integrity, number) in enumerate(choices, 1):
        yield f"crypto isakmp policy {index * 10}"
        yield f" encryption {words.cipher[cipher]}"
        yield f" hash {words.hash[str(integrity)]}"
        yield f" authentication {'pre-share' if phase1.auth == 'psk' else 'rsa-sig'}"
        yield f" group {number}"
        yield f" lifetime {_within(phase1.lifetime, 60, 86400)}"
    if phase1.auth == "psk":
        yield f"crypto keyring {name}"
        if theirs:
            yield f" local-address {theirs}"
        yield f" pre-shared-key address {ours if ours.version == 4 else f'ipv6 {ours}/128'} key {KEY}"
    yield f"crypto isakmp profile {name}"
    if phase1.auth == "psk":
        yield f" keyring {name}"
    (local_kind, local), (remote_kind, remote) = identities
    if local_kind == "email":
        yield f" self-identity user-fqdn {local}"
    elif local_kind == "fqdn":
        yield " self-identity fqdn"
        yield f" ! it sends the router's own host name and domain, which must be {local}"
    elif local_kind == "key-id":
        raise InvalidOption(
            f"remote_id: {local!r}: Cisco IOS has no key ID with IKEv1; use an address, FQDN or user@host"
        )
    elif local_kind == "address" and local != str(theirs):
        yield f" ! it sends the address of the tunnel's source, but we expect {local}"
    if remote_kind == "address":
        remote = f"{'ipv6 ' if ':' in remote else ''}{_host(ipaddress.ip_address(remote))}"
    yield " match identity " + {
        "address": f"address {remote}",
        "email": f"user {remote}",
        "key-id": f"group {remote}",
    }.get(remote_kind, f"host {remote}")
    if phase1.dpd_delay:
        yield f" keepalive {_within(phase1.dpd_delay, 10, 3600)} retry 5"
    if phase1.aggressive:
        yield " initiate mode aggressive"


def _cisco_esp(handoff: Handoff, tunnel: Tunnel, profile: str, name: str) -> Iterator[str]:
    words, first = suites.CISCO, tunnel.phase2[0]
    fitted = suites.esp(first.esp_proposals, words, one_group=True)
    yield from (f"! {note}" for note in fitted.notes)
    sets = [(suite, pair) for suite in fitted.suites for pair in suites.pairs(suite)]
    for index, (suite, (cipher, integrity)) in enumerate(sets, 1):
        mac = f" {words.mac[integrity]}" if integrity else ""
        yield f"crypto ipsec transform-set {profile}-{index} {words.esp[cipher]}{mac}"
        yield " mode tunnel"
        if suite.esn == {"esn"}:
            yield " esn"
    yield f"crypto ipsec profile {profile}"
    yield f" set transform-set {' '.join(f'{profile}-{index}' for index in range(1, len(sets) + 1))}"
    yield f" set {'isakmp-profile' if handoff.phase1.version == 1 else 'ikev2-profile'} {name}"
    if fitted.suites[0].groups:
        yield f" set pfs group{suites.numbers(fitted.suites)[0]}"
    yield f" set security-association lifetime seconds {_within(first.life_time, 120, 2592000)}"
    if first.life_bytes:
        yield f" set security-association lifetime kilobytes {_within(first.life_bytes // 1024, 2560, 2**32 - 1)}"


def _cisco_interface(
    handoff: Handoff, tunnel: Tunnel, profile: str, outer: tuple[Address | None, Address]
) -> Iterator[str]:
    yield f"interface Tunnel{tunnel.number}"
    for one in tunnel.phase2:
        mss = tunnel.mss[one.family]
        if one.family == 4:
            yield f" ip address {one.local.ip} {one.local.netmask}"
            yield f" ip mtu {tunnel.mtu}"
            yield f" ip tcp adjust-mss {_within(mss, 500, 1460)}"
        else:
            yield f" ipv6 address {one.local}"
            yield f" ipv6 mtu {tunnel.mtu}"
            yield f" ipv6 tcp adjust-mss {_within(mss, 40, 1940)}"
    yield f" tunnel source {outer[0] or '<outer interface>'}"
    yield f" tunnel destination {outer[1]}"
    families, transport = tunnel.families, outer[1].version
    if len(families) > 1:
        yield " tunnel mode ipsec dual-overlay"
    else:
        yield f" tunnel mode ipsec ipv{transport}" + ("" if families[0] == transport else f" v{families[0]}-overlay")
    yield f" tunnel protection ipsec profile {profile}"


def _cisco_route(network: Network, tunnel: Tunnel, address: str) -> str:
    if network.version == 6:
        return f"ipv6 route {network} Tunnel{tunnel.number} {address}"
    return f"ip route {network.network_address} {network.netmask} Tunnel{tunnel.number} {address}"


# --- Fortinet ---------------------------------------------------------------------------------------------------------


def _forti(text: str) -> str:
    """A string of FortiOS's command line, which ends at a quote; a question mark would ask for help."""
    return '"' + text.replace("\\", "\\\\").replace('"', '\\"') + '"'


def _config(path: str, *entries: tuple[str, Iterable[str]]) -> Iterator[str]:
    """A section of FortiOS with its entries, each by the name that ``edit`` takes."""
    yield f"config {path}"
    for name, lines in entries:
        yield f"    edit {name}"
        yield from (f"        {line}" for line in lines)
        yield "    next"
    yield "end"


def fortigate(handoff: Handoff) -> str:
    """The configuration of a FortiGate in its command line.

    ``config vpn ipsec phase1-interface`` and the others of the CLI reference, https://docs.fortinet.com/product/fortigate;
    names of tunnels have at most 15 characters there ("Phase 1 configuration" of the administration guide).
    """
    words = suites.FORTINET
    _only_any(handoff, words)
    outer = _outer(handoff, words)
    identities = tuple(_identities(handoff, words, r"[^?\r\n]+"))
    fitted = suites.ike(handoff.phase1.proposals, words)
    tunnels = [
        (one, suites.esp(one.esp_proposals, words, one_group=False))
        for tunnel in handoff.tunnels
        for one in tunnel.phase2
    ]
    _one_each((one for one, _fitted in tunnels), words)
    name = handoff.name[:15]
    notes = dict.fromkeys(note for found in (fitted, *(esp for _one, esp in tunnels)) for note in found.notes)
    lines = [f"# {note}" for note in notes]
    if len(tunnels) > len(handoff.tunnels):
        lines.append("# FortiOS makes a CHILD SA for each family: ask us to set split_connections for this tunnel.")
    wanted = {word for _one, esp in tunnels for suite in esp.suites for word in suite.esn or ("noesn",)}
    lines += _config(
        "vpn ipsec phase1-interface", (_forti(name), _forti_phase1(handoff, fitted, wanted, outer, identities))
    )
    lines += _config(
        "vpn ipsec phase2-interface",
        *(
            (_forti(name + ("" if one.family == 4 else "-v6")), _forti_phase2(handoff, one, name, esp))
            for one, esp in tunnels
        ),
    )
    lines += _config("system interface", (_forti(name), _forti_interface(handoff)))
    for version in (4, 6) if handoff.routing == "static" else ():
        networks = [network for network in handoff.networks if network.version == version]
        if networks:
            lines += _config(
                f"router static{'' if version == 4 else '6'}", *(("0", _forti_route(one, name)) for one in networks)
            )
    lines.append(f"# Firewall policies must accept traffic from and to the interface {_forti(name)}, without NAT.")
    return "\n".join(lines) + "\n"


def _forti_phase1(
    handoff: Handoff,
    fitted: suites.Fitted,
    esn: Collection[str],
    outer: tuple[Address | None, Address],
    identities: tuple[tuple[str, str], ...],
) -> Iterator[str]:
    phase1 = handoff.phase1
    theirs, ours = outer
    six = "" if ours.version == 4 else "6"
    yield "set interface <outer interface>"
    yield f"set ike-version {phase1.version or 2}"
    if phase1.version == 1:
        yield f"set mode {'aggressive' if phase1.aggressive else 'main'}"
    if six:
        yield "set ip-version 6"
    if theirs:
        yield f"set local-gw{six} {theirs}"
    yield f"set remote-gw{six} {ours}"
    if phase1.auth == "psk":
        yield f"set psksecret {_forti(KEY)}"
    else:
        yield "set authmethod signature"
        yield f"set certificate {_forti(_CERTIFICATE)}"
    (local_kind, local), (remote_kind, remote) = identities
    if local_kind not in ("any", "address"):
        kinds = {"email": "user-fqdn", "key-id": "keyid", "dn": "asn1dn"}
        yield f"set localid-type {kinds.get(local_kind, local_kind)}"
    if local_kind != "any" and local != str(theirs):
        yield f"set localid {_forti(local)}"
    if remote_kind == "any" or remote == str(ours):
        yield "set peertype any"
    else:
        yield "set peertype one"
        yield f"set peerid {_forti(remote)}"
    yield f"set proposal {' '.join(dict.fromkeys(_forti_ike(fitted.suites)))}"
    yield f"set dhgrp {' '.join(suites.numbers(fitted.suites))}"
    yield f"set keylife {_within(phase1.lifetime, 120, 172800)}"
    yield "set net-device disable"
    yield f"set nattraversal {'forced' if phase1.encap else 'enable'}"
    if phase1.dpd_delay:
        yield "set dpd on-idle"
        yield f"set dpd-retryinterval {_within(phase1.dpd_delay, 1, 3600)}"
    else:
        yield "set dpd disable"
    if "esn" in esn:
        yield f"set esn {'allow' if 'noesn' in esn else 'require'}"


def _forti_ike(fitted: Iterable[suites.Suite]) -> Iterator[str]:
    words = suites.FORTINET
    for suite in fitted:
        for cipher, integrity in suites.pairs(suite):
            if integrity:
                yield f"{words.cipher[cipher]}-{words.hash[integrity]}"
            else:
                yield from (f"{words.cipher[cipher]}-{words.prf[prf]}" for prf in suite.prf)


def _forti_phase2(handoff: Handoff, phase2: Phase2, name: str, esp: suites.Fitted) -> Iterator[str]:
    words = suites.FORTINET
    proposals = [
        f"{words.esp[cipher]}-{words.mac[integrity]}" if integrity else words.esp[cipher]
        for suite in esp.suites
        for cipher, integrity in suites.pairs(suite)
    ]
    yield f"set phase1name {_forti(name)}"
    yield f"set proposal {' '.join(dict.fromkeys(proposals))}"
    yield f"set pfs {'enable' if suites.numbers(esp.suites) else 'disable'}"
    if suites.numbers(esp.suites):
        yield f"set dhgrp {' '.join(suites.numbers(esp.suites))}"
    if phase2.family == 6:
        yield from (f"set {side}-addr-type subnet6" for side in ("src", "dst"))
    anything = "src-subnet 0.0.0.0 0.0.0.0" if phase2.family == 4 else "src-subnet6 ::/0"
    yield f"set {anything}"
    yield f"set {anything.replace('src', 'dst', 1)}"
    yield f"set keylifeseconds {_within(phase2.life_time, 120, 172800)}"
    if phase2.life_bytes:
        yield "set keylife-type both"
        yield f"set keylifekbs {_within(phase2.life_bytes // 1024, 5120, 2**32 - 1)}"
    yield f"set auto-negotiate {'enable' if handoff.starts else 'disable'}"


def _forti_interface(handoff: Handoff) -> Iterator[str]:
    tunnels = handoff.tunnels
    for one in (one for tunnel in tunnels for one in tunnel.phase2):
        if one.family == 4:
            yield f"set ip {one.local.ip} 255.255.255.255"
            yield f"set remote-ip {one.remote} {one.local.netmask}"
        else:
            yield from ("config ipv6", f"    set ip6-address {one.local}", "end")
    yield "set mtu-override enable"
    yield f"set mtu {min(tunnel.mtu for tunnel in tunnels)}"
    yield f"set tcp-mss {min(mss for tunnel in tunnels for mss in tunnel.mss.values())}"


def _forti_route(network: Network, name: str) -> Iterator[str]:
    text = f"{network.network_address} {network.netmask}" if network.version == 4 else str(network)
    yield f"set dst {text}"
    yield f"set device {_forti(name)}"


# --- all of it --------------------------------------------------------------------------------------------------------

FORMATS: dict[str, t.Callable[[Handoff], str]] = {
    "sheet": sheet,
    "strongswan": strongswan,
    "cisco_ios": cisco_ios,
    "fortigate": fortigate,
}
_TITLES = {"strongswan": "strongSwan on Linux", "cisco_ios": "Cisco IOS and IOS XE", "fortigate": "FortiGate"}


def document(handoff: Handoff) -> str:
    """The sheet with a configuration for each maker; where there can be none, with the reason."""
    parts = [sheet(handoff)]
    for name, title in _TITLES.items():
        try:
            found = FORMATS[name](handoff)
        except InvalidOption as error:
            parts.append(f"## {title}\n\nThis tunnel cannot be expressed. {_plain(str(error))}\n")
            continue
        fence = "`" * max(3, 1 + max(map(len, re.findall(r"`+", found)), default=0))
        parts.append(f"## {title}\n\n{fence}text\n{found}{fence}\n")
    return "\n".join(parts)


def text(handoff: Handoff, name: str) -> str:
    """The document, or one part of it by name."""
    return {"document": document, **FORMATS}[reading.choice("format", name, ("document", *FORMATS))](handoff)
