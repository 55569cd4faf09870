# Copyright: Contributors to the routed_ipsec.vti project
# GNU General Public License v3.0+ (see COPYING or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

"""The ipsecX interface: what phase 1, phase 2 and assignment together make of it."""

from __future__ import annotations

import dataclasses
import typing as t


@dataclasses.dataclass(frozen=True, order=True)
class Address:
    """An address on the interface; ``peer`` is the far end where the platform keeps one.

    ``dynamic``: seen to have come from DHCP or a router advertisement, where the platform can tell.
    """

    address: str
    prefixlen: int
    peer: str = ""
    dynamic: bool = dataclasses.field(default=False, compare=False)

    def __str__(self) -> str:
        return f"{self.address}/{self.prefixlen}" + (f" -> {self.peer}" if self.peer else "")


@dataclasses.dataclass(frozen=True)
class Interface:
    """An interface of the kernel. ``tunnel``: outer addresses, None where there are none yet, and on Linux always.

    ``running``: seen to carry packets; FreeBSD's does so only while its outer source is an address of the host.
    ``dynamic``: whatever the outer addresses are is right, strongSwan's updown script sets them.
    """

    reqid: int
    tunnel: tuple[str, str] | None
    addresses: tuple[Address, ...]
    mtu: int
    description: str
    up: bool
    dynamic: bool = dataclasses.field(default=False, compare=False)
    running: bool | None = dataclasses.field(default=None, compare=False)

    def describe(self) -> dict[str, t.Any]:
        return {
            "reqid": self.reqid,
            "tunnel": " -> ".join(self.tunnel) if self.tunnel else None,
            "addresses": [str(address) for address in self.addresses],
            "mtu": self.mtu,
            "description": self.description,
            "up": self.up,
        }
