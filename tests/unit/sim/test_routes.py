# Copyright: Contributors to the routed_ipsec.vti project
# GNU General Public License v3.0+ (see COPYING or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

"""Default routes and single addresses written as networks, and what packages bring."""

from __future__ import annotations

import pytest
from ansible_collections.routed_ipsec.vti.tests.sim.files import Result
from ansible_collections.routed_ipsec.vti.tests.sim.freebsd import FreeBSD

NOT_THERE = "route: route has not been found\n"


@pytest.fixture
def host() -> FreeBSD:
    return FreeBSD("a", {"vtnet0": ["192.0.2.2/24", "2001:db8::2/64"]}, gateway="192.0.2.254")


def run(host: FreeBSD, command: str) -> Result:
    return host.run(command.split())


@pytest.mark.parametrize(
    ("family", "network", "first", "second", "shown"),
    [
        ("", "0.0.0.0/0", "192.0.2.1", "192.0.2.3", "0.0.0.0"),
        ("-inet6 ", "::/0", "2001:db8::1", "fe80::1%vtnet0", "::/0"),
        ("", "10.6.106.1/32", "192.0.2.254", "192.0.2.3", "10.6.106.1"),
        ("-inet6 ", "2001:db8:6::1/128", "2001:db8::1", "2001:db8::3", "2001:db8:6::1/128"),
    ],
)
def test_add_change_delete(host: FreeBSD, family: str, network: str, first: str, second: str, shown: str) -> None:
    """Each says what it did, in the words that FreeBSD has for networks (net/206, 246, 252)."""
    run(host, "route -n delete default")
    prefix = f"-n {{}} {family}-net {network}"
    words = {verb: f"route {prefix.format(verb)}" for verb in ("add", "change", "delete")}
    assert (
        run(host, f"{words['change']} {first}").stdout == f"change net {shown}: gateway {first} fib 0: not in table\n"
    )
    assert run(host, f"{words['add']} {first}") == Result(0, f"add net {shown}: gateway {first}\n")
    again = Result(1, f"add net {shown}: gateway {first} fib 0: route already in table\n")
    assert run(host, f"{words['add']} {first}") == again
    assert run(host, f"{words['change']} {second}") == Result(0, f"change net {shown}: gateway {second}\n")
    assert f"gateway: {second}\n" in run(host, f"route -n get {family}-net {network}").stdout
    missing = f"delete net {shown}: gateway {first} fib 0: not in table\n"
    assert run(host, f"{words['delete']} {first}") == Result(1, missing, NOT_THERE)
    assert run(host, f"{words['delete']} {second}") == Result(0, f"delete net {shown}: gateway {second}\n")
    assert run(host, f"route -n get {family}-net {network}") == Result(255, "", NOT_THERE)


def test_default_and_its_network_are_the_same_route(host: FreeBSD) -> None:
    assert run(host, "route -n change -net 0.0.0.0/0 192.0.2.3").rc == 0
    assert "default            192.0.2.3          UGS      vtnet0\n" in run(host, "netstat -rn -f inet").stdout
    assert run(host, "route -n delete default 192.0.2.3") == Result(0, "delete net default: gateway 192.0.2.3\n")


def test_a_second_default_route_is_a_second_path(host: FreeBSD) -> None:
    """So it is never replaced by adding, and then the two are not changed together either (net/214, 245)."""
    assert run(host, "route -n add -net 0.0.0.0/0 192.0.2.3").rc == 0
    assert run(host, "route -n change -net 0.0.0.0/0 192.0.2.9").rc == 0
    rows = [row.split()[1] for row in run(host, "netstat -rn -f inet").stdout.splitlines() if row.startswith("default")]
    assert rows == ["192.0.2.254", "192.0.2.3"]


def test_a_network_of_one_address_is_a_host(host: FreeBSD) -> None:
    run(host, "route -n add -net 10.6.106.1/32 192.0.2.3")
    assert "10.6.106.1         192.0.2.3          UGHS     vtnet0\n" in run(host, "netstat -rn -f inet").stdout
    assert "flags: <UP,GATEWAY,HOST,DONE,STATIC>" in run(host, "route -n get 10.6.106.1").stdout
    assert run(host, "route -n delete -host 10.6.106.1") == Result(0, "delete host 10.6.106.1\n")
    # Without it the question is answered by whatever route there is for that address.
    assert "gateway: 192.0.2.254\n" in run(host, "route -n get -net 10.6.106.1/32").stdout


def test_no_second_path_beside_an_interfaces_own_network(host: FreeBSD) -> None:
    assert run(host, "route -n add -net 192.0.2.0/24 192.0.2.3").stdout.endswith("route already in table\n")


def test_packages_bring_their_programs(host: FreeBSD) -> None:
    assert run(host, "pkg info -e dpinger") == Result(1)
    assert run(host, "pkg install -y dpinger fping").rc == 0
    assert run(host, "pkg info -e dpinger") == Result(0)
    for path in ("/usr/local/bin/dpinger", "/usr/local/sbin/fping"):
        assert host.files.executable(path)
    assert run(host, "pkg delete -y dpinger").rc == 0
    assert "/usr/local/bin/dpinger" not in host.files
