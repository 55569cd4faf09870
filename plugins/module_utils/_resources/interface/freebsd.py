# Copyright: Contributors to the routed_ipsec.vti project
# GNU General Public License v3.0+ (see COPYING or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

"""ipsecX on FreeBSD: if_ipsec(4), ifconfig(8), and the rc.conf(5) variables read by rc.d/netif."""

from __future__ import annotations

import ipaddress
import typing as t

from ..._core.steps import Step, command, silent
from ..._formats import ifconfig, sh
from .state import Address, Interface

if t.TYPE_CHECKING:
    from collections.abc import Iterator, Mapping


def from_output(seen: Mapping[str, ifconfig.Interface]) -> dict[str, Interface]:
    """The VTIs among the interfaces that ifconfig shows, those of others included."""
    return {
        name: Interface(
            reqid=interface.reqid or 0,
            tunnel=interface.tunnel,
            addresses=_addresses(interface),
            mtu=interface.mtu,
            description=interface.description or "",
            up="UP" in interface.flags,
            running="RUNNING" in interface.flags,
        )
        for name, interface in seen.items()
        if "ipsec" in interface.groups
    }


def _addresses(interface: ifconfig.Interface) -> tuple[Address, ...]:
    """Sorted, since ifconfig's order changes when an interface is restarted; the kernel's own link-local "
    "is left out."""
    return tuple(
        sorted(
            Address(address.address, address.prefixlen, address.peer or "")
            for address in interface.addresses
            if not ipaddress.ip_address(address.address).is_link_local
        )
    )


def boot(name: str, interface: Interface) -> str:
    """The lines for rc.conf.d/netif. Without ifconfig_IF rc leaves an interface down (network.subr: ifconfig_up)."""
    lines = [
        sh.assignment("cloned_interfaces", f"{name}:sticky", append=True),
        sh.assignment(
            f"create_args_{name}", f"reqid {interface.reqid}" + ("" if interface.up else f" mtu {interface.mtu}")
        ),
    ]
    if interface.up:
        lines.extend(_configuration(name, interface))
    if interface.description:
        lines.append(sh.assignment(f"ifconfig_{name}_descr", interface.description))
    return "".join(lines)


def _configuration(name: str, interface: Interface) -> Iterator[str]:
    four = [address for address in interface.addresses if ":" not in address.address]
    six = [address for address in interface.addresses if ":" in address.address]
    outer6 = interface.tunnel is not None and ":" in interface.tunnel[0]
    words = [_words(four[0])] if four and not outer6 else ["inet6" if outer6 else "inet"]
    if interface.tunnel:
        words.append("tunnel " + " ".join(interface.tunnel))
    words.extend((f"mtu {interface.mtu}", "up"))
    yield sh.assignment(f"ifconfig_{name}", " ".join(words))
    if six:
        yield sh.assignment(f"ifconfig_{name}_ipv6", _words(six[0]))
    for number, address in enumerate([*(four if outer6 else four[1:]), *six[1:]]):
        yield sh.assignment(f"ifconfig_{name}_alias{number}", _words(address))


def changes(before: Mapping[str, Interface], after: Mapping[str, Interface]) -> Iterator[Step]:
    """Create what is missing and change the rest in place: addresses, routes and sockets stay."""
    for name, wanted in after.items():
        live = before.get(name)
        if live is None:
            # Exits with 0 when the reqid is taken, leaving an interface without one.
            yield command("ifconfig", name, "create", "reqid", str(wanted.reqid), failure=silent)
            live = Interface(wanted.reqid, None, (), 1400, "", False)
        if live != wanted:
            yield from _changes(name, live, wanted)


def _changes(name: str, live: Interface, wanted: Interface) -> Iterator[Step]:
    if live.reqid != wanted.reqid:
        yield command("ifconfig", name, "reqid", str(wanted.reqid), failure=silent)
    if not wanted.dynamic and live.tunnel != wanted.tunnel:
        yield command("ifconfig", name, *_tunnel(wanted.tunnel))
    if live.mtu != wanted.mtu:
        yield command("ifconfig", name, "mtu", str(wanted.mtu))
    for address in live.addresses:
        if address not in wanted.addresses:
            yield command("ifconfig", name, *_gone(address), "-alias")
    for address in wanted.addresses:
        if address not in live.addresses:
            # Without "alias" ifconfig would first remove the address that is there.
            yield command("ifconfig", name, *_words(address).split(), "alias")
    if live.description != wanted.description:
        yield command(
            "ifconfig", name, *(("description", wanted.description) if wanted.description else ("-description",))
        )
    if live.up != wanted.up:
        yield command("ifconfig", name, "up" if wanted.up else "down")


def _tunnel(ends: tuple[str, str] | None) -> tuple[str, ...]:
    if ends is None:
        return ("-tunnel",)
    return ("inet6" if ":" in ends[0] else "inet", "tunnel", *ends)


def removals(before: Mapping[str, Interface], after: Mapping[str, Interface]) -> Iterator[Step]:
    for name in before:
        if name not in after:
            yield command("ifconfig", name, "destroy")


def _family(address: Address) -> str:
    return "inet6" if ":" in address.address else "inet"


def _gone(address: Address) -> tuple[str, str]:
    """How ifconfig(8) is told to take an address away."""
    if ":" in address.address:
        return "inet6", f"{address.address}/{address.prefixlen}"
    return "inet", address.address


def _words(address: Address) -> str:
    return f"{_family(address)} {address.address}/{address.prefixlen}" + (f" {address.peer}" if address.peer else "")
