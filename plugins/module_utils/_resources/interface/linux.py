# Copyright: Contributors to the routed_ipsec.vti project
# GNU General Public License v3.0+ (see COPYING or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

"""ipsecX on Linux: an XFRM interface whose if_id is the reqid (ip-link(8), type xfrm), replayed at boot "
"from a batch."""

from __future__ import annotations

import ipaddress
import typing as t

from ..._core.steps import Batch, Step
from ..._core.system import output
from ..._formats import iproute
from .state import Address, Interface

if t.TYPE_CHECKING:
    from collections.abc import Iterator, Mapping

    from ..._core.system import System


def observe(system: System) -> tuple[dict[str, Interface], dict[str, tuple[Address, ...]]]:
    """The XFRM interfaces, those of others included, and the addresses of every interface."""
    links = iproute.links(output(system, "ip", "-j", "-details", "link", "show"))
    addresses = {
        name: tuple(sorted(Address(item.address, item.prefixlen, dynamic=item.dynamic) for item in items))
        for name, items in iproute.addresses(output(system, "ip", "-j", "address", "show")).items()
    }
    interfaces = {
        name: Interface(
            reqid=link.if_id or 0,
            tunnel=None,
            addresses=tuple(
                address
                for address in addresses.get(name, ())
                if not ipaddress.ip_address(address.address).is_link_local
            ),
            mtu=link.mtu,
            description=link.alias or "",
            up=link.up,
        )
        for name, link in links.items()
        if link.kind == "xfrm"
    }
    return interfaces, addresses


def boot(name: str, interface: Interface) -> str:
    """The lines for the boot batch, read by ``ip -force -batch``: what is there already does no harm."""
    return "".join(f"{line}\n" for line in (_create(name, interface), *_changes(name, _fresh(interface), interface)))


def changes(before: Mapping[str, Interface], after: Mapping[str, Interface]) -> Iterator[Step]:
    """Create what is missing, change the rest in place; only another if_id needs the interface made anew."""
    lines: list[str] = []
    for name, wanted in after.items():
        live = before.get(name)
        if live is not None and live.reqid != wanted.reqid:
            lines.append(f"link del dev {name}")
            live = None
        if live is None:
            lines.append(_create(name, wanted))
            live = _fresh(wanted)
        lines.extend(_changes(name, live, wanted))
    if lines:
        yield Batch(("ip", "-batch", "-"), tuple(lines))


def removals(before: Mapping[str, Interface], after: Mapping[str, Interface]) -> Iterator[Step]:
    lines = tuple(f"link del dev {name}" for name in before if name not in after)
    if lines:
        yield Batch(("ip", "-batch", "-"), lines)


def _create(name: str, interface: Interface) -> str:
    return f"link add name {name} type xfrm if_id {interface.reqid}"


def _fresh(interface: Interface) -> Interface:
    return Interface(interface.reqid, None, (), 1500, "", False)


def _changes(name: str, live: Interface, wanted: Interface) -> Iterator[str]:
    if live.mtu != wanted.mtu:
        yield f"link set dev {name} mtu {wanted.mtu}"
    if live.description != wanted.description:
        yield f'link set dev {name} alias "{wanted.description}"'
    for address in live.addresses:
        if address not in wanted.addresses:
            yield f"address del {address} dev {name}"
    if live.up != wanted.up:
        yield f"link set dev {name} {'up' if wanted.up else 'down'}"
    for address in wanted.addresses:
        if address not in live.addresses:
            yield f"address replace {address} dev {name}" + (" nodad" if ":" in address.address else "")
