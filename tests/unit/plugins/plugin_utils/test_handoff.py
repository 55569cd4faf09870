# Copyright: Contributors to the routed_ipsec.vti project
# GNU General Public License v3.0+ (see COPYING or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

"""The hand-off sheet: what each text says, and what must never be in one."""

from __future__ import annotations

import copy
import re
import typing as t

import pytest
from ansible_collections.routed_ipsec.vti.plugins.module_utils._core.errors import InvalidOption
from ansible_collections.routed_ipsec.vti.plugins.module_utils._formats import proposals
from ansible_collections.routed_ipsec.vti.plugins.module_utils._formats import settings as settings_format
from ansible_collections.routed_ipsec.vti.plugins.plugin_utils import handoff, suites, topology
from hypothesis import given, settings
from hypothesis import strategies as st

Options = dict[str, t.Any]

TUNNELS: Options = {
    "phase1": [
        {
            "name": "partner",
            "local_addrs": ["198.51.100.1"],
            "remote_addrs": ["192.0.2.90"],
            "remote_id": "vpn.partner.example",
            "psk": "top secret",
            "proposals": ["aes256-sha256-modp2048"],
        },
        {"name": "other", "local_addrs": ["198.51.100.1"], "remote_addrs": ["192.0.2.91"], "psk": "other secret"},
    ],
    "phase2": [
        {
            "name": "partner",
            "phase1": "partner",
            "local_address": "10.6.120.1/30",
            "remote_address": "10.6.120.2",
            "reqid": 5900,
            "unit": 900,
            "start_action": "trap|start",
            "esp_proposals": ["aes256gcm16-ecp384"],
        }
    ],
    "assignments": [{"phase2": "partner", "name": "VTI_PARTNER", "mtu": 1380}],
    "static_routes": [
        {"name": "a", "network": "172.20.0.0/24", "gateway": "VTI_PARTNER_VTIV4"},
        {"name": "b", "network": "172.21.0.0/24", "gateway": "VTI_OTHER_VTIV4"},
    ],
}
SECOND = {
    "name": "partner-v6",
    "phase1": "partner",
    "local_address": "2001:db8:120::1/64",
    "remote_address": "2001:db8:120::2",
}
NETWORKS = ["10.1.0.0/24"]


def tunnels(*, second: bool = False, phase2: Options | None = None, **phase1: t.Any) -> Options:
    changed = copy.deepcopy(TUNNELS)
    changed["phase1"][0].update(phase1)
    changed["phase2"][0].update(phase2 or {})
    if second:
        changed["phase2"].append(dict(SECOND))
    return changed


def described(options: Options | None = None, **more: t.Any) -> handoff.Handoff:
    given_ = {"networks": NETWORKS, "name": "hq", "title": "hq--partner", **more}
    return handoff.describe(tunnels() if options is None else options, "partner", **given_)


# --- what is described ------------------------------------------------------------------------------------------------


def test_everything_is_seen_from_the_other_side() -> None:
    found = described()
    assert (found.phase1.local_addrs, found.phase1.remote_addrs) == (("192.0.2.90",), ("198.51.100.1",))
    assert (found.phase1.local_identity, found.phase1.remote_identity) == ("vpn.partner.example", "198.51.100.1")
    assert [(str(one.local), one.remote) for one in found.tunnels[0].phase2] == [("10.6.120.2/30", "10.6.120.1")]
    assert (found.tunnels[0].mtu, found.tunnels[0].mss) == (1380, {4: 1340})
    assert list(map(str, found.networks)) == ["10.1.0.0/24"]
    assert list(map(str, found.offered)) == ["172.20.0.0/24"]
    assert not found.starts


def test_an_mss_of_the_assignment_counts() -> None:
    options = tunnels(second=True)
    options["assignments"] = [{"interface": "ipsec900", "name": "VTI_PARTNER", "mss": 1300}]
    assert described(options).tunnels[0].mss == {4: 1260, 6: 1240}
    assert list(map(str, described(options).offered)) == ["172.20.0.0/24"]


def test_both_families_share_an_interface_with_one_child_and_have_their_own_with_two() -> None:
    assert [one.families for one in described(tunnels(second=True)).tunnels] == [(4, 6)]
    split = tunnels(second=True, split_connections=True)
    split["phase2"][1].update(reqid=5901, unit=901)
    assert [(one.families, one.number) for one in described(split).tunnels] == [((4,), 900), ((6,), 901)]


@pytest.mark.parametrize(
    ("options", "more", "message"),
    [
        ({"phase1": []}, {}, "phase1: there is no phase 1 'partner'"),
        ({**TUNNELS, "phase2": []}, {}, "phase2: phase 1 partner has none"),
        (tunnels(local_addrs=["%any"]), {}, "local_addrs: %any of phase 1 partner tells the peer nothing"),
        (tunnels(proposals=["aes256"]), {}, "proposals: aes256: no integrity algorithm"),
        (tunnels(frobnicate=1), {}, "phase1: frobnicate is no option here"),
        (tunnels(version=3), {}, "phase1: version: 3 is none of"),
        (tunnels(dpd_delay="soon"), {}, "phase1: dpd_delay: 'soon' is no number"),
        (tunnels(), {"networks": ["2001:db8::/48"]}, "networks: the tunnel has no addresses of IPv6"),
        (tunnels(), {"networks": "10.0.0.0/8"}, "networks: must be a list"),
        (tunnels(), {"name": "no name"}, "name: 'no name' is no name"),
        (tunnels(), {"title": "two\nlines"}, "title: must be one line"),
        (tunnels(), {"routing": "rip"}, "routing: 'rip' is none of"),
    ],
)
def test_refusals(options: Options, more: Options, message: str) -> None:
    with pytest.raises(InvalidOption, match="^" + re.escape(message)):
        described(options, **more)


def test_an_external_site_of_a_topology_is_told_our_networks_and_those_of_other_spokes() -> None:
    sites = {
        "hq": {"id": 1, "wan": {"address": "198.51.100.1"}, "lans": ["10.1.0.0/24"]},
        "b11": {"id": 11, "wan": {"address": "203.0.113.11"}, "lans": ["10.11.0.0/24"]},
        "far": {"id": 12, "wan": {"address": "192.0.2.12"}, "lans": ["10.12.0.0/24"], "external": True},
    }
    built = topology.build({"sites": sites, "hubs": ["hq"], "spokes": ["b11", "far"]})
    link = next(one for one in built.neighbors["hq"] if one["external"])
    assert link["networks"] == ["10.1.0.0/24", "10.11.0.0/24"]
    found = handoff.describe(built.tunnels["hq"], link["phase1"], networks=link["networks"], name=link["far_phase1"])
    assert (found.name, list(map(str, found.offered)), found.starts) == ("hq", ["10.12.0.0/24"], True)


# --- identities -------------------------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("text", "kind", "value"),
    [
        ("192.0.2.1", "address", "192.0.2.1"),
        ("2001:db8:0::1", "address", "2001:db8::1"),
        ("vpn.example", "fqdn", "vpn.example"),
        ("@vpn.example", "fqdn", "vpn.example"),
        ("fqdn:vpn.example", "fqdn", "vpn.example"),
        ("admin@vpn.example", "email", "admin@vpn.example"),
        ("@@admin@vpn.example", "email", "admin@vpn.example"),
        ("keyid:abc", "key-id", "abc"),
        ("@#616263", "key-id", "#616263"),
        ("C=DE, CN=vpn", "dn", "C=DE, CN=vpn"),
        ("%any", "any", "%any"),
    ],
)
def test_identities(text: str, kind: str, value: str) -> None:
    assert handoff.identity(text) == (kind, value)


# --- the texts --------------------------------------------------------------------------------------------------------


def test_the_sheet() -> None:
    assert (
        handoff.sheet(described(tunnels(proposals=["aes256-sha256-ecp256"])))
        == """\
# Tunnel hq--partner

You are the peer; we are the other end. Values must be the same at both ends unless something else is said.

## Ends

- Your outer address: `192.0.2.90`
- Our outer address: `198.51.100.1`
- Your identity: `vpn.partner.example` (FQDN)
- Our identity: `198.51.100.1` (address)
- Authentication: pre-shared key, `<pre-shared key, told separately>`
- Who starts: we do; be ready to answer

## IKE (phase 1)

- Version: IKEv2
- Proposal `aes256-sha256-ecp256`: encryption aes256; integrity sha256; PRF prfsha256; key exchange ecp256 (group 19)
- Lifetime: 28800 s, rekeying after 25920 s, no new authentication
- Dead peer detection: every 10 s
- MOBIKE: off; fragmentation of IKE: yes

## ESP (phase 2)

- Route-based, tunnel mode: what enters the tunnel is decided by routes, not by the traffic selectors
- Proposal `aes256gcm16-ecp384`: encryption aes256gcm16; key exchange ecp384 (group 20)
- Lifetime: 3600 s
- Your traffic selectors: `0.0.0.0/0`, `::/0`
- Our traffic selectors: `0.0.0.0/0`, `::/0`

## Tunnel interface

- Your address: `10.6.120.2/30`, ours: `10.6.120.1`
- MTU: 1380 bytes; such a packet is up to 1444 bytes long outside, with NAT traversal
- Clamp the MSS of TCP to 1340 bytes (IPv4)

## Routes

- Behind us, for you to route into the tunnel: `10.1.0.0/24` by `10.6.120.1`
- Behind you, what we route to you: `172.20.0.0/24`

## Let in from our outer address

- UDP port 500 (IKE) and UDP port 4500 (NAT traversal)
- IP protocol 50 (ESP), unless a NAT is on the way
"""
    )


def test_strongswan_has_the_settings_turned_round() -> None:
    text = handoff.strongswan(described(tunnels(second=True), networks=[*NETWORKS, "2001:db8:a1::/64"]))
    configuration, _gap, commands = text.partition("\n\n")
    found: t.Any = settings_format.parse(configuration)
    connection, secret = found["connections"]["hq"], found["secrets"]["ike-hq"]
    assert (connection["local_addrs"], connection["remote_addrs"]) == ("192.0.2.90", "198.51.100.1")
    assert (connection["local"]["id"], connection["remote"]["id"]) == ("vpn.partner.example", "198.51.100.1")
    assert connection["proposals"] == "aes256-sha256-modp2048"
    child = connection["children"]["hq"]
    assert child["esp_proposals"] == "aes256gcm16-ecp384"
    assert (child["if_id_in"], child["if_id_out"]) == ("5900", "5900")
    assert child["start_action"] == "none"
    assert secret == {"secret": handoff.KEY, "id-local": "vpn.partner.example", "id-remote": "198.51.100.1"}
    rule = "oifname ipsec900 meta nfproto ipv6 tcp flags syn tcp option maxseg size set 1320"
    assert f"nft add rule inet vti_hq mss {rule}\n" in commands
    assert [line for line in commands.splitlines() if line.startswith("ip ")] == [
        "ip link add name ipsec900 type xfrm if_id 5900",
        "ip address add 10.6.120.2/30 dev ipsec900",
        "ip address add 2001:db8:120::2/64 dev ipsec900",
        "ip link set dev ipsec900 mtu 1380 up",
        "ip -4 route add 10.1.0.0/24 dev ipsec900",
        "ip -6 route add 2001:db8:a1::/64 dev ipsec900",
    ]


def test_cisco() -> None:
    assert (
        handoff.cisco_ios(described())
        == """\
! IKEv2; names and numbers may be changed
crypto ikev2 proposal VTI-hq-1
 encryption aes-cbc-256
 integrity sha256
 prf sha256
 group 14
crypto ikev2 policy VTI-hq
 match address local 192.0.2.90
 proposal VTI-hq-1
crypto ikev2 keyring VTI-hq
 peer VTI-hq
  address 198.51.100.1
  pre-shared-key <pre-shared key, told separately>
crypto ikev2 profile VTI-hq
 match identity remote address 198.51.100.1 255.255.255.255
 identity local fqdn vpn.partner.example
 authentication remote pre-share
 authentication local pre-share
 keyring local VTI-hq
 lifetime 28800
 dpd 10 5 periodic
crypto ipsec transform-set VTI-hq-1 esp-gcm 256
 mode tunnel
crypto ipsec profile VTI-hq
 set transform-set VTI-hq-1
 set ikev2-profile VTI-hq
 set pfs group20
 set security-association lifetime seconds 3600
interface Tunnel900
 ip address 10.6.120.2 255.255.255.252
 ip mtu 1380
 ip tcp adjust-mss 1340
 tunnel source 192.0.2.90
 tunnel destination 198.51.100.1
 tunnel mode ipsec ipv4
 tunnel protection ipsec profile VTI-hq
ip route 10.1.0.0 255.255.255.0 Tunnel900 10.6.120.1
"""
    )


def test_cisco_with_ikev1() -> None:
    found = described(tunnels(version=1, aggressive=True, phase2={"esp_proposals": ["aes256-sha1"]}))
    assert (
        handoff.cisco_ios(found).partition("interface Tunnel900")[0]
        == """\
! IKEv1; names and numbers may be changed
crypto isakmp policy 10
 encryption aes 256
 hash sha256
 authentication pre-share
 group 14
 lifetime 28800
crypto keyring VTI-hq
 local-address 192.0.2.90
 pre-shared-key address 198.51.100.1 key <pre-shared key, told separately>
crypto isakmp profile VTI-hq
 keyring VTI-hq
 self-identity fqdn
 ! it sends the router's own host name and domain, which must be vpn.partner.example
 match identity address 198.51.100.1 255.255.255.255
 keepalive 10 retry 5
 initiate mode aggressive
crypto ipsec transform-set VTI-hq-1 esp-aes 256 esp-sha-hmac
 mode tunnel
crypto ipsec profile VTI-hq
 set transform-set VTI-hq-1
 set isakmp-profile VTI-hq
 set security-association lifetime seconds 3600
"""
    )


def test_identities_of_cisco_with_ikev1() -> None:
    options = tunnels(version=1, remote_id="10.9.9.9", local_id="10.8.8.8")
    text = handoff.cisco_ios(described(options))
    assert "! it sends the address of the tunnel's source, but we expect 10.9.9.9\n" in text
    assert " match identity address 10.8.8.8 255.255.255.255\n" in text
    with pytest.raises(InvalidOption, match=r"^remote_id: 'a': Cisco IOS has no key ID with IKEv1"):
        handoff.cisco_ios(described(tunnels(version=1, remote_id="keyid:a")))


OUTER6 = {"local_addrs": ["2001:db8::1"], "remote_addrs": ["2001:db8::90"]}


@pytest.mark.parametrize(
    ("options", "mode"),
    [
        (tunnels(), "ipv4"),
        (tunnels(second=True), "dual-overlay"),
        (tunnels(**OUTER6), "ipv6 v4-overlay"),
        (tunnels(phase2={key: SECOND[key] for key in ("local_address", "remote_address")}), "ipv4 v6-overlay"),
    ],
)
def test_cisco_tunnel_mode(options: Options, mode: str) -> None:
    text = handoff.cisco_ios(described(options, networks=[]))
    assert f" tunnel mode ipsec {mode}\n" in text


def test_fortigate() -> None:
    assert (
        handoff.fortigate(described())
        == """\
config vpn ipsec phase1-interface
    edit "hq"
        set interface <outer interface>
        set ike-version 2
        set local-gw 192.0.2.90
        set remote-gw 198.51.100.1
        set psksecret "<pre-shared key, told separately>"
        set localid-type fqdn
        set localid "vpn.partner.example"
        set peertype any
        set proposal aes256-sha256
        set dhgrp 14
        set keylife 28800
        set net-device disable
        set nattraversal enable
        set dpd on-idle
        set dpd-retryinterval 10
    next
end
config vpn ipsec phase2-interface
    edit "hq"
        set phase1name "hq"
        set proposal aes256gcm
        set pfs enable
        set dhgrp 20
        set src-subnet 0.0.0.0 0.0.0.0
        set dst-subnet 0.0.0.0 0.0.0.0
        set keylifeseconds 3600
        set auto-negotiate disable
    next
end
config system interface
    edit "hq"
        set ip 10.6.120.2 255.255.255.255
        set remote-ip 10.6.120.1 255.255.255.252
        set mtu-override enable
        set mtu 1380
        set tcp-mss 1340
    next
end
config router static
    edit 0
        set dst 10.1.0.0 255.255.255.0
        set device "hq"
    next
end
# Firewall policies must accept traffic from and to the interface "hq", without NAT.
"""
    )


def test_split_connections() -> None:
    split = tunnels(second=True, split_connections=True, phase2={"esp_proposals": ["aes128-sha256-esn"]})
    split["phase2"][1].update(reqid=5901, unit=901, esp_proposals=["aes256gcm16-esn-noesn"])
    found = described(split)
    configuration: t.Any = settings_format.parse(handoff.strongswan(found).partition("\n\n")[0])
    children = configuration["connections"]["hq"]["children"]
    assert {name: (child["if_id_in"], child["local_ts"]) for name, child in children.items()} == {
        "hq": ("5900", "0.0.0.0/0"),
        "hq-v6": ("5901", "::/0"),
    }
    assert re.findall(r"set (?:proposal|esn|pfs) .*", handoff.fortigate(found)) == [
        *("set proposal aes256-sha256", "set esn allow"),
        *("set proposal aes128-sha256", "set pfs disable"),
        *("set proposal aes256gcm", "set pfs disable"),
    ]
    assert re.findall(r"interface Tunnel.*|tunnel protection .*", handoff.cisco_ios(found)) == [
        *("interface Tunnel900", "tunnel protection ipsec profile VTI-hq"),
        *("interface Tunnel901", "tunnel protection ipsec profile VTI-hq-901"),
    ]


def test_two_addresses_of_a_family() -> None:
    options = tunnels(second=True)
    options["phase2"][1].update(local_address="10.6.121.1/30", remote_address="10.6.121.2")
    assert "ip address add 10.6.121.2/30 dev ipsec900\n" in handoff.strongswan(described(options))
    for target in ("cisco_ios", "fortigate"):
        with pytest.raises(InvalidOption, match=r"^phase2: with .* a tunnel has one address of a family"):
            handoff.text(described(options), target)


def test_fortigate_has_a_phase_2_for_each_family() -> None:
    text = handoff.fortigate(described(tunnels(second=True), networks=["2001:db8:a1::/64"]))
    assert text.startswith("# FortiOS makes a CHILD SA for each family: ask us to set split_connections")
    assert '    edit "hq-v6"\n' in text
    assert "set src-addr-type subnet6" in text
    assert "config router static6\n    edit 0\n        set dst 2001:db8:a1::/64\n" in text


def test_with_certificates_there_is_no_key_anywhere() -> None:
    options = tunnels(auth="pubkey", local_id="hq.example", remote_cacerts=["ours.pem"])
    text = handoff.document(described(options))
    assert handoff.KEY not in text
    assert "ours.pem" not in text
    for part in ("authentication local rsa-sig", "set authmethod signature", 'auth = "pubkey"', "certificates; we"):
        assert part in text


def test_dynamic_routing_has_no_static_routes() -> None:
    found = described(routing="bgp")
    assert "BGP over the tunnel's addresses" in handoff.sheet(found)
    texts = [handoff.strongswan(found), handoff.cisco_ios(found), handoff.fortigate(found)]
    assert not any(word in text for text in texts for word in ("route add", "ip route", "router static"))


# --- quoting ----------------------------------------------------------------------------------------------------------


def test_quotes_in_an_identity() -> None:
    found = described(tunnels(remote_id='keyid:a "b\\c` d'))
    assert '`` keyid:a "b\\c` d ``'.replace("keyid:", "") in handoff.sheet(found)
    assert 'set localid "a \\"b\\\\c` d"\n' in handoff.fortigate(found)
    configuration: t.Any = settings_format.parse(handoff.strongswan(found).partition("\n\n")[0])
    assert configuration["connections"]["hq"]["local"]["id"] == 'keyid:a "b\\c` d'


@pytest.mark.parametrize(
    ("phase1", "target", "message"),
    [
        ({"remote_id": "keyid:a b"}, "cisco_ios", "remote_id: 'keyid:a b' cannot be typed in Cisco IOS"),
        ({"local_id": "why?"}, "cisco_ios", "local_id: 'why?' cannot be typed in Cisco IOS"),
        ({"local_id": "why?"}, "fortigate", "local_id: 'why?' cannot be typed in FortiOS"),
        ({"local_id": "@#6162"}, "fortigate", "local_id: '@#6162' cannot be told to FortiOS"),
        ({"local_id": "C=DE, CN=a"}, "cisco_ios", "local_id: a distinguished name needs a certificate map"),
        ({"local_id": "ipv4:vpn"}, "cisco_ios", "local_id: 'ipv4:vpn' is no address"),
        ({"local_addrs": ["vpn.example"]}, "fortigate", "local_addrs: vpn.example is a name; FortiOS needs an address"),
    ],
)
def test_what_a_maker_cannot_hold_is_refused(phase1: Options, target: str, message: str) -> None:
    options = tunnels(phase2={"dynamic_endpoints": True}, **phase1)
    with pytest.raises(InvalidOption, match="^" + re.escape(message)):
        handoff.text(described(options), target)
    assert "This tunnel cannot be expressed." in handoff.document(described(options))


def test_selectors_of_ones_own() -> None:
    found = described(tunnels(phase2={"local_ts": ["10.1.0.0/16"]}))
    assert 'remote_ts = "10.1.0.0/16"' in handoff.strongswan(found)
    for target in ("cisco_ios", "fortigate"):
        with pytest.raises(InvalidOption, match=r"^local_ts: with .* from anything to anything"):
            handoff.text(found, target)


# --- proposals --------------------------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("target", "proposal", "esp", "note"),
    [
        ("cisco_ios", "chacha20poly1305-prfsha256-ecp256", "aes256gcm16", "chacha20poly1305; choose one of aes128, "),
        ("cisco_ios", "aes256-sha256-curve25519", "aes256gcm16", "curve25519 (group 31); choose one of modp768, "),
        ("cisco_ios", "aes256-sha256-ecp256-ke1_mlkem768", "aes256gcm16", "cannot be expressed (ke1_mlkem768)"),
        ("fortigate", "aes256-sha256-prfsha384-ecp256", "aes256gcm16", "prfsha384; choose one of the integrity"),
        ("fortigate", "default", "aes256gcm16", "default: cannot be expressed (it is strongSwan's own list)"),
        ("fortigate", "aes256-sha256-ecp256", "aes256gcm8", "aes256gcm8; choose one of null, "),
    ],
)
def test_a_proposal_that_cannot_be_expressed_is_named(target: str, proposal: str, esp: str, note: str) -> None:
    options = {"esp_proposals": [esp, "aes128-sha256"]}
    text = handoff.text(described(tunnels(proposals=[proposal, "aes128-sha256-modp2048"], phase2=options)), target)
    assert note in text
    bad = {"proposals": [proposal], "phase2": {"esp_proposals": [esp]}}
    with pytest.raises(InvalidOption, match=r"^(esp_)?proposals: .* has none of these; add one such as aes256"):
        handoff.text(described(tunnels(**bad)), target)


def test_one_group_for_pfs() -> None:
    mixed = ["aes128-sha256-modp2048-ecp256", "aes256-sha256-ecp256", "aes192-sha256"]
    found = described(tunnels(phase2={"esp_proposals": mixed}))
    cisco, fortigate = handoff.cisco_ios(found), handoff.fortigate(found)
    assert "of its groups only modp2048 (group 14), Cisco IOS takes one" in cisco
    assert "aes256-sha256-ecp256: left out, PFS is modp2048 (group 14)" in cisco
    assert "esp-aes 256" not in cisco
    assert "set proposal aes128-sha256 aes256-sha256\n        set pfs enable\n        set dhgrp 14 19\n" in fortigate
    assert "# aes192-sha256: left out, PFS is modp2048 (group 14)" in fortigate


IKE_WORDS = {"cisco_ios": suites.CISCO, "fortigate": suites.FORTINET}
ciphers = st.lists(st.sampled_from(sorted(proposals.ENCRYPTION)), min_size=1, max_size=2, unique=True)
aeads = st.lists(st.sampled_from(sorted(proposals.AEAD)), min_size=1, max_size=2, unique=True)
integrities = st.lists(st.sampled_from(sorted(proposals.INTEGRITY)), min_size=1, max_size=2, unique=True)
prfs = st.lists(st.sampled_from(sorted(proposals.PRF)), min_size=1, max_size=2, unique=True)
groups = st.lists(st.sampled_from(sorted(proposals.GROUPS)), min_size=1, max_size=2, unique=True)


@st.composite
def ike_proposals(draw: st.DrawFn) -> str:
    parts = [draw(aeads), draw(prfs)] if draw(st.booleans()) else [draw(ciphers), draw(integrities), draw(prfs)]
    return "-".join(word for part in (*parts, draw(groups)) for word in part)


@st.composite
def esp_proposals(draw: st.DrawFn) -> str:
    parts = [draw(aeads)] if draw(st.booleans()) else [draw(ciphers), draw(integrities)]
    return "-".join(word for part in (*parts, draw(st.one_of(st.just([]), groups))) for word in part)


printable = st.text(st.characters(exclude_categories=["C", "Z"]) | st.just(" "), min_size=1)

outer = st.ip_addresses(network="192.0.2.0/24")


@given(printable, printable, outer, outer, ike_proposals())
def test_strongswan_round_trips(mine: str, theirs: str, here: t.Any, there: t.Any, proposal: str) -> None:
    options = tunnels(
        local_addrs=[str(here)], remote_addrs=[str(there)], local_id=mine, remote_id=theirs, proposals=[proposal]
    )
    configuration: t.Any = settings_format.parse(handoff.strongswan(described(options)).partition("\n\n")[0])
    connection = configuration["connections"]["hq"]
    assert (connection["local_addrs"], connection["remote_addrs"]) == (str(there), str(here))
    assert (connection["local"]["id"], connection["remote"]["id"]) == (theirs, mine)
    assert connection["proposals"] == proposal
    assert configuration["secrets"]["ike-hq"]["id-remote"] == mine


def algorithms(suite: suites.Suite) -> set[str]:
    return {*suite.encryption, *suite.integrity, *suite.prf, *suite.groups}


@given(st.lists(ike_proposals(), min_size=1, max_size=3, unique=True), st.sampled_from(sorted(IKE_WORDS)))
@settings(max_examples=200)
def test_ike_proposals_are_expressed_or_named(texts: list[str], target: str) -> None:
    fallback = "aes256-sha384-modp3072"
    fitted = suites.ike([*texts, fallback], IKE_WORDS[target])
    _everything_is_accounted_for(suites.read([*texts, fallback], ike=True), fitted)
    text = handoff.text(described(tunnels(proposals=[*texts, fallback])), target)
    assert all(note in text for note in fitted.notes)


@given(
    st.lists(esp_proposals(), min_size=1, max_size=3, unique=True),
    st.sampled_from([suites.CISCO, suites.FORTINET]),
    st.booleans(),
)
@settings(max_examples=200)
def test_esp_proposals_are_expressed_or_named(texts: list[str], words: suites.Words, one_group: bool) -> None:
    fallback = "aes256-sha384-modp3072"
    fitted = suites.esp([fallback, *texts], words, one_group=one_group)
    _everything_is_accounted_for(suites.read([fallback, *texts], ike=False), fitted)
    if one_group:
        assert {suite.groups for suite in fitted.suites} == {("modp3072",)}


def _everything_is_accounted_for(wanted: list[suites.Suite], fitted: suites.Fitted) -> None:
    kept = {suite.text: suite for suite in fitted.suites}
    for suite in wanted:
        notes = [note for note in fitted.notes if note.startswith(suite.text + ":")]
        if suite.text in kept:
            assert algorithms(kept[suite.text]) <= algorithms(suite)
        lost = algorithms(suite) - algorithms(kept.get(suite.text, suites.Suite(suite.text)))
        assert bool(lost) == bool(notes)


# --- the key ----------------------------------------------------------------------------------------------------------


class Guarded(dict[str, t.Any]):
    """A phase 1 whose key must not be looked at, as one that only another host can decrypt."""

    def __getitem__(self, key: str) -> t.Any:
        if key == "psk":
            raise AssertionError("the key was looked at")
        return super().__getitem__(key)


@given(st.text(min_size=1))
def test_no_text_depends_on_the_key(psk: str) -> None:
    assert handoff.document(described(tunnels(psk=psk))) == handoff.document(described())


def test_the_key_is_not_looked_at() -> None:
    options = tunnels()
    options["phase1"] = [Guarded(one) for one in options["phase1"]]
    assert "secret" not in handoff.document(described(options)).replace("secret = ", "").replace(
        "secrets {", ""
    ).replace("psksecret", "")
