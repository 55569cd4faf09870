# Copyright: Contributors to the routed_ipsec.vti project
# GNU General Public License v3.0+ (see COPYING or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

"""A VTI kept in files under rc.conf.d: started, restarted and booted as recorded on a real host."""

from __future__ import annotations

import pathlib
import re

import pytest
from ansible_collections.routed_ipsec.vti.tests.sim.freebsd import FreeBSD

RECORD = pathlib.Path(__file__).resolve().parents[2] / "fixtures" / "freebsd" / "rc-conf-d.md"
NETIF, ROUTING = "/etc/rc.conf.d/netif/routed_ipsec", "/etc/rc.conf.d/routing/routed_ipsec"


def _record() -> tuple[dict[str, str], dict[str, str]]:
    """The recorded files by path, and the recorded output by section."""
    text = RECORD.read_text(encoding="utf-8")
    script, output = re.findall(r"```(?:sh)?\n(.*?)```", text, re.S)
    files = dict(re.findall(r"cat > (\S+) <<'E'\n(.*?)^E$", script, re.M | re.S))
    parts = re.split(r"^--- (.*)\n", output, flags=re.M)[1:]
    return files, dict(zip(parts[::2], parts[1::2], strict=True))


FILES, OUTPUT = _record()


@pytest.fixture
def host() -> FreeBSD:
    made = FreeBSD("c", {"vtnet0": ["10.0.2.15/24"], "vtnet1": ["192.0.2.3/24"]}, gateway="10.0.2.2")
    made.run(["kldload", "if_enc"])
    made.files.update(FILES)
    return made


def _normal(text: str) -> list[str]:
    """Rows with one link-local address for all, order kept."""
    text = re.sub(r"fe80::[0-9a-f:]{4,}%ipsec5( *)(?= )", "fe80::X%ipsec5", text)
    return [re.sub(r"(fe80::X%ipsec5) +", r"\1 ", row) for row in text.splitlines()]


def _shown(host: FreeBSD, pattern: str, with_interface: bool = True) -> str:
    """What the recorded script shows after each step."""
    interface = host.run(["ifconfig", "ipsec5"]).stdout if with_interface else ""
    routes = host.run(["netstat", "-rn"]).stdout.splitlines()
    return interface + "".join(row + "\n" for row in routes if re.search(pattern, row))


def _merged(host: FreeBSD, *argv: str) -> str:
    result = host.run(list(argv))
    return result.stdout + result.stderr


def test_start_as_recorded(host: FreeBSD) -> None:
    """The interface is made, configured and described, and its routes of both families are added."""
    said = _merged(host, "service", "netif", "start", "ipsec5") + "rc=0\n"
    assert _normal(said + _shown(host, "ipsec5|10.1.0|2001:db8:1")) == _normal(OUTPUT["netif start ipsec5"])


def test_restart_as_recorded(host: FreeBSD) -> None:
    """A sticky interface stays, loses and regains its addresses and routes; the terminal mixed stderr in elsewhere."""
    host.run(["service", "netif", "start", "ipsec5"])
    result = host.run(["service", "netif", "restart", "ipsec5"])
    assert result.stderr == "route: route has not been found\n"
    recorded = OUTPUT["netif restart ipsec5"].replace(result.stderr, "")
    assert _normal(result.stdout + "rc=0\n" + _shown(host, "ipsec5|10.1.0|2001:db8:1")) == _normal(recorded)


def test_routing_restart_as_recorded(host: FreeBSD) -> None:
    """All static routes go and come back."""
    host.run(["service", "netif", "start", "ipsec5"])
    said = _merged(host, "service", "routing", "restart")
    shown = _shown(host, "ipsec5|10.1.0|default|2001:db8:1", with_interface=False)
    assert _normal(said + shown) == _normal(OUTPUT["routing restart"])


def test_boot_gives_the_started_state(host: FreeBSD) -> None:
    """After a reboot the files alone bring interface and routes back."""
    host.run(["service", "netif", "start", "ipsec5"])
    before = _shown(host, "ipsec5")
    host.files["/boot/loader.conf.d/routed_ipsec.conf"] = 'if_enc_load="YES"\nipsec_load="YES"\n'
    host.reboot()
    assert sorted(_normal(_shown(host, "ipsec5"))) == sorted(_normal(before))


def test_boot_applies_modules_sysctls_and_enc0(host: FreeBSD) -> None:
    """loader.conf.d, sysctl.conf, gateway_enable and ifconfig_enc0 take effect in their order."""
    host.files["/boot/loader.conf.d/routed_ipsec.conf"] = 'if_enc_load="YES"\nipsec_load="YES"\n'
    host.files["/etc/sysctl.conf"] = "# comment\nnet.enc.in.ipsec_filter_mask=2  # why\nnet.key.preferred_oldsa=0\n"
    host.files["/etc/rc.conf"] += 'gateway_enable="YES"\nifconfig_enc0="up"\n'
    host.reboot()
    assert host.run(["sysctl", "-n", "net.enc.in.ipsec_filter_mask", "net.inet.ip.forwarding"]).stdout == "2\n1\n"
    assert "<UP,RUNNING>" in host.run(["ifconfig", "enc0"]).stdout
    assert host.run(["route", "-n", "get", "default"]).rc == 0


def _defaults(host: FreeBSD, family: str = "inet") -> list[list[str]]:
    """Gateway, flags and interface of the default routes."""
    rows = [row.split() for row in host.run(["netstat", "-rn", "-f", family]).stdout.splitlines()]
    return [row[1:] for row in rows if row[:1] == ["default"]]


@pytest.mark.parametrize(
    ("files", "expected"),
    [
        ({}, [["10.0.2.2", "UGS", "vtnet0"]]),
        ({"routing/routed_ipsec_defaultrouter": 'defaultrouter="192.0.2.9"\n'}, [["192.0.2.9", "UGS", "vtnet1"]]),
        ({"routing/routed_ipsec_defaultrouter": 'defaultrouter="NO"\n'}, []),
        ({"routing/routed_ipsec_defaultrouter": 'defaultrouter="no"\n'}, []),
        (
            {"routing/a": 'defaultrouter="NO"\n', "routing/b": 'defaultrouter="192.0.2.9"\n'},
            [["192.0.2.9", "UGS", "vtnet1"]],
        ),
        # netif's files are not routing's
        ({"netif/a": 'defaultrouter="192.0.2.9"\n'}, [["10.0.2.2", "UGS", "vtnet0"]]),
    ],
)
@pytest.mark.parametrize("folder", ["/etc/rc.conf.d", "/usr/local/etc/rc.conf.d"])
def test_the_default_router_is_read_from_routings_files(
    host: FreeBSD, folder: str, files: dict[str, str], expected: list[list[str]]
) -> None:
    """rc.d/routing sources rc.conf.d/routing after /etc/rc.conf; sysrc shows /etc/rc.conf alone."""
    for path in FILES:
        del host.files[path]
    host.files.update({f"{folder}/{name}": text for name, text in files.items()})
    host.reboot()
    assert _defaults(host) == expected
    host.run(["service", "routing", "restart"])
    assert _defaults(host) == expected
    assert host.run(["sysrc", "-i", "defaultrouter", "ipv6_defaultrouter"]).stdout == (
        "defaultrouter: 10.0.2.2\nipv6_defaultrouter: NO\n"
    )


def test_the_ipv6_default_router_too(host: FreeBSD) -> None:
    """Each family has its own variable; rc.conf.local comes after rc.conf."""
    host.files["/etc/rc.conf"] += 'ifconfig_vtnet1_ipv6="inet6 2001:db8::3/64"\nipv6_defaultrouter="2001:db8::1"\n'
    host.reboot()
    assert _defaults(host, "inet6") == [["2001:db8::1", "UGS", "vtnet1"]]
    host.files["/etc/rc.conf.local"] = 'ipv6_defaultrouter="2001:db8::2"\n'
    host.reboot()
    assert _defaults(host, "inet6") == [["2001:db8::2", "UGS", "vtnet1"]]
    assert host.run(["sysrc", "-in", "ipv6_defaultrouter"]).stdout == "2001:db8::2\n"
    host.files["/etc/rc.conf.d/routing/x"] = 'ipv6_defaultrouter="NO"\n'
    host.reboot()
    assert _defaults(host, "inet6") == []


def test_a_default_route_from_dhcp() -> None:
    """dhclient adds it like a person would; rc.conf knows nothing of it, and it is there again after a reboot."""
    host = FreeBSD("d", {"vtnet0": [], "lan0": ["10.1.0.1/24"]}, dhcp={"vtnet0": ("198.51.100.7/24", "198.51.100.1")})
    assert 'ifconfig_vtnet0="DHCP"\n' in host.files["/etc/rc.conf"]
    for _boot in range(2):
        assert _defaults(host) == [["198.51.100.1", "UGS", "vtnet0"]]
        assert "inet 198.51.100.7 netmask 0xffffff00" in host.run(["ifconfig", "vtnet0"]).stdout
        assert host.run(["sysrc", "-in", "defaultrouter"]).stdout == "NO\n"
        host.reboot()


@pytest.mark.parametrize(
    ("word", "router", "expected"),
    [
        ("DHCP", "10.1.0.9", [["10.1.0.9", "UGS", "lan0"]]),  # there first: dhclient-script leaves it alone
        ("SYNCDHCP", "10.1.0.9", [["198.51.100.1", "UGS", "vtnet0"], ["10.1.0.9", "UGS", "lan0"]]),
        ("SYNCDHCP", "198.51.100.1", [["198.51.100.1", "UGS", "vtnet0"]]),
        ("DHCP", "198.51.100.2", [["198.51.100.1", "UGS", "vtnet0"]]),  # not within reach yet when routing is set up
    ],
)
def test_dhcp_beside_a_default_router(word: str, router: str, expected: list[list[str]]) -> None:
    host = FreeBSD("d", {"vtnet0": [], "lan0": ["10.1.0.1/24"]}, dhcp={"vtnet0": ("198.51.100.7/24", "198.51.100.1")})
    host.files["/etc/rc.conf"] = host.files["/etc/rc.conf"].replace("DHCP", word)
    host.files["/etc/rc.conf.d/routing/x"] = f'defaultrouter="{router}"\n'
    host.reboot()
    assert _defaults(host) == expected


def test_a_default_route_from_a_router_advertisement() -> None:
    """The kernel made it, so it is not static; with forwarding it makes none, unless rfc6204w3 is set."""
    host = FreeBSD("r", {"vtnet0": ["198.51.100.7/24"]}, rtadv={"vtnet0": ("2001:db8:5::/64", "fe80::1")})
    assert 'ifconfig_vtnet0_ipv6="inet6 accept_rtadv"\n' in host.files["/etc/rc.conf"]
    for _boot in range(2):
        assert _defaults(host, "inet6") == [["fe80::1%vtnet0", "UG", "vtnet0"]]
        shown = host.run(["ifconfig", "vtnet0"]).stdout
        assert "inet6 2001:db8:5:0:5054:ff:fe00:12 prefixlen 64 autoconf\n" in shown
        assert "nd6 options=23<PERFORMNUD,ACCEPT_RTADV,AUTO_LINKLOCAL>" in shown
        flags = host.run(["route", "-n", "get", "-inet6", "default"]).stdout
        assert "flags: <UP,GATEWAY,DONE>" in flags
        host.reboot()
    host.files["/etc/rc.conf"] += 'ipv6_gateway_enable="YES"\n'
    host.reboot()
    assert _defaults(host, "inet6") == []
    host.files["/etc/rc.conf"] += 'ipv6_defaultrouter="fe80::2%vtnet0"\n'
    host.reboot()
    assert _defaults(host, "inet6") == [["fe80::2%vtnet0", "UGS", "vtnet0"]]


def test_aliases_stop_at_a_gap(host: FreeBSD) -> None:
    """ifconfig_IF_aliasN counts from 0 and ends at the first number that is missing."""
    host.files["/etc/rc.conf"] += (
        'ifconfig_vtnet1_alias0="inet 192.0.2.33/32"\nifconfig_vtnet1_alias2="inet 192.0.2.34/32"\n'
    )
    host.run(["service", "netif", "start", "vtnet1"])
    shown = host.run(["ifconfig", "vtnet1"]).stdout
    assert "192.0.2.33" in shown
    assert "192.0.2.34" not in shown


def test_values_are_read_by_a_shell(host: FreeBSD) -> None:
    """A value that escapes its quotes is seen as sh sees it."""
    host.files["/etc/rc.conf"] += "ifconfig_ipsec5_descr='it'\\''s $HOME'\nbroken=\"a\"b\" c\"\n"
    assert host.run(["sysrc", "-n", "ifconfig_ipsec5_descr"]).stdout == "it's $HOME\n"
    assert host.run(["sysrc", "-n", "broken"]).stdout == "ab c\n"
