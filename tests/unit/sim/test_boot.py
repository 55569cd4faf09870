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
