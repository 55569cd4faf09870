# Copyright: Contributors to the routed_ipsec.vti project
# GNU General Public License v3.0+ (see COPYING or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

"""Where a platform keeps things, and how its interfaces, routes and boot configuration are made."""

from __future__ import annotations

import dataclasses
import ipaddress
import typing as t

from ..._core.errors import InvalidOption
from ..._core.steps import Step, command
from ..._core.system import File, output
from ..._formats import ifconfig
from ..._formats.addresses import DEFAULTS
from ..filter_mode import freebsd as filter_mode_freebsd
from ..firewall import freebsd as firewall_freebsd
from ..interface import freebsd as interface_freebsd
from ..interface import linux as interface_linux
from ..interface.state import Address
from ..monitor import freebsd as monitor_freebsd
from ..monitor import linux as monitor_linux
from ..monitor.state import LIBRARY, SERVICE, Service, sources
from ..policy_route import linux as policy_linux
from ..policy_route.linux import Policy
from ..static_route import freebsd as route_freebsd
from ..static_route import linux as route_linux

if t.TYPE_CHECKING:
    from collections.abc import Iterator, Mapping

    from ..._core.system import System
    from ..filter_mode.state import Kernel
    from ..firewall.freebsd import Firewall
    from ..interface.state import Interface
    from ..phase2.state import Phase2
    from ..static_route.state import NextHop, StaticRoute
    from .state import Network

    Routes = Mapping[str, "tuple[NextHop, ...]"]
    Interfaces = Mapping[str, Interface]

HEADER = "# Managed by the Ansible collection routed_ipsec.vti: changes made here are overwritten.\n"
"""First line of every file of ours that can hold a comment; a file without it is a person's."""


@dataclasses.dataclass(frozen=True)
class Live:
    """The running state of a host's network."""

    interfaces: dict[str, Interface]
    routes: dict[str, tuple[NextHop, ...]]
    networks: dict[str, tuple[Network, ...]]
    kernel: Kernel | None
    modules_loaded: bool
    boot_unit: bool
    firewall: Firewall | None
    addresses: dict[str, tuple[str, ...]]
    automatic: dict[int, str]
    learned: dict[int, str]
    policy: Policy
    monitor: Service


class Platform(t.Protocol):
    """One operating system. Paths are of files on the host."""

    @property
    def name(self) -> str:
        """As platform.system() says it."""

    @property
    def swanctl(self) -> str:
        """swanctl's configuration directory."""

    @property
    def store(self) -> str:
        """Where declared objects are kept."""

    @property
    def persons(self) -> tuple[str, ...]:
        """Files of a person that may hold a block of ours."""

    @property
    def reqid_in_place(self) -> bool:
        """Whether an interface can change its reqid, routes staying."""

    def live(self, system: System) -> Live:
        """Observe the network: a constant number of programs, however many interfaces and routes there are."""

    def boot_files(self, system: System) -> dict[str, File]:
        """The boot configuration that is ours, and the files of a person that hold a block of ours."""

    def made_directories(self) -> tuple[str, ...]:
        """Directories that only our files need, innermost first."""

    def child_keys(self, phase2: Phase2) -> dict[str, str]:
        """What ties a child of swanctl.conf to its interface."""

    def common_files(self, phase2s: list[Phase2]) -> dict[str, File]:
        """Files that any interface or route needs."""

    def interface_file(self, name: str, interface: Interface) -> tuple[str, File]:
        """The boot configuration of an interface."""

    def route_file(self, route: StaticRoute, hop: NextHop, tied_to: str | None) -> tuple[str, File]:
        """The boot configuration of a route that may be tied to an interface."""

    def default_file(self, hops: Mapping[int, NextHop | None]) -> tuple[str, File]:
        """The boot configuration of default routes, by family; None for there being none."""

    def moving_route(self, network: str, hops: Mapping[str, NextHop]) -> dict[str, t.Any]:
        """How the monitor leads a route through the gateway of its choice (_monitor/plan.py)."""

    def monitor_files(self) -> dict[str, File]:
        """The monitor, and what has it run."""

    def address(self, phase2: Phase2) -> Address:
        """A phase 2's address as the kernel keeps it."""

    def tunnel(self, local: str, remote: str) -> tuple[str, str] | None:
        """The outer addresses, where the interface knows them."""

    def interface_changes(self, before: Interfaces, after: Interfaces) -> Iterator[Step]:
        """Steps that create and change interfaces."""

    def interface_removals(self, before: Interfaces, after: Interfaces) -> Iterator[Step]:
        """Steps that destroy interfaces."""

    def route_changes(self, before: Routes, after: Routes) -> Iterator[Step]:
        """Steps that add and change routes."""

    def route_removals(self, before: Routes, after: Routes) -> Iterator[Step]:
        """Steps that delete routes."""

    def boot_unit_changes(self, before: bool, after: bool) -> Iterator[Step]:
        """Steps that have the boot configuration used at boot."""

    def monitor_starts(self, before: Service, after: Service, *, renewed: bool) -> Iterator[Step]:
        """Steps that have the monitor run; ``renewed``: its program is another one now."""

    def monitor_stops(self, before: Service, after: Service) -> Iterator[Step]:
        """Steps that end it, while its files are there."""

    def policy_changes(self, before: Policy, after: Policy) -> Iterator[Step]:
        """Steps towards policy routes, MSS clamps and NAT, where they are not pf's."""

    def policy_removals(self, before: Policy, after: Policy) -> Iterator[Step]:
        """Steps that take away what is left of them."""

    def kernel_modules(self, *, filter_mode: bool) -> Iterator[Step]:
        """Steps that have the kernel support interfaces, and a filter mode."""

    def kernel_changes(self, before: Kernel | None, after: Kernel | None) -> Iterator[Step]:
        """Steps towards a filter mode."""


_UPDOWN = """#!/bin/sh
{header}# Called by strongSwan's updown plugin when the tunnel of interface $1 comes up: only now its ends are known.
# In place: addresses and routes of the interface stay.
case "$PLUTO_VERB" in
up-*-v6|up-*)
    case "$PLUTO_PEER" in
    *:*) exec /sbin/ifconfig "$1" inet6 tunnel "$PLUTO_ME" "$PLUTO_PEER" ;;
    *) exec /sbin/ifconfig "$1" inet tunnel "$PLUTO_ME" "$PLUTO_PEER" ;;
    esac
    ;;
esac
"""


@dataclasses.dataclass(frozen=True)
class FreeBSD:
    """FreeBSD: if_ipsec(4), rc.conf(5). ``rc_conf_d`` is where files of ours can be."""

    rc_conf_d: str = "/etc/rc.conf.d"
    python: str = "/usr/local/bin/python3"
    name: str = "FreeBSD"
    swanctl: str = "/usr/local/etc/swanctl"
    store: str = "/usr/local/etc/routed_ipsec"
    loader: str = "/boot/loader.conf.d/routed_ipsec.conf"
    sysctl_conf: str = "/etc/sysctl.conf"
    reqid_in_place: bool = True

    @property
    def persons(self) -> tuple[str, ...]:
        return (self.sysctl_conf, firewall_freebsd.PF_CONF)

    @property
    def updown(self) -> str:
        return f"{self.store}/updown"

    def live(self, system: System) -> Live:
        seen = ifconfig.parse(output(system, "ifconfig", "-a"))
        kernel, modules_loaded = filter_mode_freebsd.observe(system, seen)
        networks = {
            name: tuple(
                ipaddress.ip_network(f"{address.address}/{address.prefixlen}", strict=False)
                for address in interface.addresses
            )
            for name, interface in seen.items()
        }
        return Live(
            interface_freebsd.from_output(seen),
            route_freebsd.observe(system),
            networks,
            kernel,
            modules_loaded,
            False,
            firewall_freebsd.observe(system),
            {name: tuple(item.address for item in interface.addresses) for name, interface in seen.items()},
            route_freebsd.automatic(route_freebsd.configuration(system)),
            {},
            Policy(),
            monitor_freebsd.observe(system, enabled=system.exists(self._monitor_rc)),
        )

    def boot_files(self, system: System) -> dict[str, File]:
        paths = [self.updown, self.loader, *self.persons, firewall_freebsd.RULES, firewall_freebsd.POLICY_RULES]
        paths.extend((firewall_freebsd.SCRUB, monitor_freebsd.SCRIPT, self._monitor_rc, *_monitor(system, self.store)))
        for service in ("netif", "routing"):
            directory = f"{self.rc_conf_d}/{service}"
            paths.extend(f"{directory}/{name}" for name in system.names(directory) if name.startswith(_PREFIXES))
        return _read(system, paths)

    @property
    def _monitor_rc(self) -> str:
        return f"{self.rc_conf_d}/{SERVICE}"

    def made_directories(self) -> tuple[str, ...]:
        return (f"{self.rc_conf_d}/netif", f"{self.rc_conf_d}/routing", *_LIBRARIES)

    def child_keys(self, phase2: Phase2) -> dict[str, str]:
        # Without policies=no charon would install any-to-any policies and capture all traffic of the host.
        keys = {"policies": "no", "reqid": str(phase2.reqid)}
        return {**keys, "updown": f"{self.updown} {phase2.interface}"} if phase2.dynamic_endpoints else keys

    def common_files(self, phase2s: list[Phase2]) -> dict[str, File]:
        if any(phase2.dynamic_endpoints for phase2 in phase2s):
            return {self.updown: File(_UPDOWN.format(header=HEADER), 0o755)}
        return {}

    def interface_file(self, name: str, interface: Interface) -> tuple[str, File]:
        return f"{self.rc_conf_d}/netif/routed_ipsec_if_{name}", File(HEADER + interface_freebsd.boot(name, interface))

    def route_file(self, route: StaticRoute, hop: NextHop, tied_to: str | None) -> tuple[str, File]:
        path = f"{self.rc_conf_d}/routing/routed_ipsec_route_{route.name}"
        return path, File(HEADER + route_freebsd.boot(route.name, route.network, hop, tied_to))

    def default_file(self, hops: Mapping[int, NextHop | None]) -> tuple[str, File]:
        lines = "".join(route_freebsd.boot_default(version, hop) for version, hop in sorted(hops.items()))
        return f"{self.rc_conf_d}/routing/{route_freebsd.DEFAULT_FILE}", File(HEADER + lines)

    def moving_route(self, network: str, hops: Mapping[str, NextHop]) -> dict[str, t.Any]:
        return {"commands": {name: route_freebsd.moves(network, hop) for name, hop in hops.items()}}

    def monitor_files(self) -> dict[str, File]:
        return {
            **_monitor_sources(),
            monitor_freebsd.SCRIPT: File(monitor_freebsd.script(HEADER, self.python, self.store), 0o755),
            self._monitor_rc: File(HEADER + monitor_freebsd.boot()),
        }

    def address(self, phase2: Phase2) -> Address:
        # An IPv6 destination would cost consumers such as FRR the prefix.
        peer = phase2.remote if phase2.family == 4 else ""
        return Address(str(phase2.local.ip), phase2.local.network.prefixlen, peer)

    def tunnel(self, local: str, remote: str) -> tuple[str, str] | None:
        return local, remote

    def interface_changes(self, before: Interfaces, after: Interfaces) -> Iterator[Step]:
        return interface_freebsd.changes(before, after)

    def interface_removals(self, before: Interfaces, after: Interfaces) -> Iterator[Step]:
        return interface_freebsd.removals(before, after)

    def route_changes(self, before: Routes, after: Routes) -> Iterator[Step]:
        return route_freebsd.additions(before, after)

    def route_removals(self, before: Routes, after: Routes) -> Iterator[Step]:
        return route_freebsd.removals(before, after)

    def boot_unit_changes(self, before: bool, after: bool) -> Iterator[Step]:
        return iter(())

    def monitor_starts(self, before: Service, after: Service, *, renewed: bool) -> Iterator[Step]:
        return monitor_freebsd.starts(before, after, renewed=renewed)

    def monitor_stops(self, before: Service, after: Service) -> Iterator[Step]:
        return monitor_freebsd.stops(before, after)

    def policy_changes(self, before: Policy, after: Policy) -> Iterator[Step]:
        return iter(())

    def policy_removals(self, before: Policy, after: Policy) -> Iterator[Step]:
        return iter(())

    def kernel_modules(self, *, filter_mode: bool) -> Iterator[Step]:
        return filter_mode_freebsd.modules("ipsec", *(("if_enc",) if filter_mode else ()))

    def kernel_changes(self, before: Kernel | None, after: Kernel | None) -> Iterator[Step]:
        if before is None or after is None:
            return iter(())
        return filter_mode_freebsd.changes(before, after)


_PREFIXES = ("routed_ipsec_if_", "routed_ipsec_route_", "routed_ipsec_enc0", route_freebsd.DEFAULT_FILE)
_LIBRARIES = (f"{LIBRARY}/{SERVICE}", LIBRARY)

_UNIT = """{header}[Unit]
Description=VTI interfaces and their routes
Documentation=https://github.com/routed-ipsec/ansible-collection-vti
After=network.target nftables.service
Before=strongswan.service strongswan-starter.service

[Service]
Type=oneshot
RemainAfterExit=yes
ExecStart=-/bin/sh -c 'for file in {boot}/*; do ip -force -batch "$file"; done'
ExecStart=-/bin/sh -c 'for file in {boot6}/*; do [ ! -e "$file" ] || ip -6 -force -batch "$file"; done'
ExecStart=/bin/sh -c '[ ! -e {nft} ] || exec nft -f {nft}'

[Install]
WantedBy=multi-user.target
"""


@dataclasses.dataclass(frozen=True)
class Linux:
    """Linux: XFRM interfaces, systemd."""

    python: str = "/usr/bin/python3"
    name: str = "Linux"
    swanctl: str = "/etc/swanctl"
    store: str = "/etc/routed_ipsec"
    unit: str = "/etc/systemd/system/routed_ipsec.service"
    reqid_in_place: bool = False
    persons: tuple[str, ...] = ()

    @property
    def boot(self) -> str:
        return f"{self.store}/boot.d"

    @property
    def boot6(self) -> str:
        """Batches for ``ip -6``: what no address tells the family of."""
        return f"{self.store}/boot6.d"

    @property
    def nft(self) -> str:
        return f"{self.store}/nftables.conf"

    def live(self, system: System) -> Live:
        interfaces, addresses = interface_linux.observe(system)
        networks = {
            name: tuple(
                ipaddress.ip_network(f"{address.address}/{address.prefixlen}", strict=False) for address in items
            )
            for name, items in addresses.items()
        }
        enabled = system.exists("/etc/systemd/system/multi-user.target.wants/routed_ipsec.service")
        leased = {
            (6 if ":" in address.address else 4, name)
            for name, items in addresses.items()
            for address in items
            if address.dynamic
        }
        routes = route_linux.observe(system, leased)
        # A run that was interrupted may have removed the file and left the rest.
        made = system.exists(self.nft) or system.exists(f"{self.store}/journal")
        return Live(
            interfaces,
            routes.table,
            networks,
            None,
            True,
            enabled,
            None,
            {name: tuple(item.address for item in items) for name, items in addresses.items()},
            routes.automatic,
            routes.learned,
            policy_linux.observe(system) if made else Policy(),
            monitor_linux.observe(system),
        )

    def boot_files(self, system: System) -> dict[str, File]:
        paths = [self.unit, self.nft, monitor_linux.UNIT, *_monitor(system, self.store)]
        for directory in (self.boot, self.boot6):
            paths.extend(f"{directory}/{name}" for name in system.names(directory))
        return _read(system, paths)

    def made_directories(self) -> tuple[str, ...]:
        return (self.boot, self.boot6, *_LIBRARIES)

    def child_keys(self, phase2: Phase2) -> dict[str, str]:
        # The interface's id confines the policies to it: nothing but what is routed into it matches.
        number = str(phase2.reqid)
        return {"reqid": number, "if_id_in": number, "if_id_out": number}

    def common_files(self, phase2s: list[Phase2]) -> dict[str, File]:
        return {self.unit: File(_UNIT.format(header=HEADER, boot=self.boot, boot6=self.boot6, nft=self.nft))}

    def interface_file(self, name: str, interface: Interface) -> tuple[str, File]:
        return f"{self.boot}/10-{name}", File(HEADER + interface_linux.boot(name, interface))

    def route_file(self, route: StaticRoute, hop: NextHop, tied_to: str | None) -> tuple[str, File]:
        return f"{self.boot}/50-route-{route.name}", File(HEADER + route_linux.boot(route.network, hop))

    def default_file(self, hops: Mapping[int, NextHop | None]) -> tuple[str, File]:
        lines = "".join(route_linux.boot_default(DEFAULTS[version], hop) for version, hop in sorted(hops.items()))
        return f"{self.boot}/40-default", File(HEADER + lines)

    def moving_route(self, network: str, hops: Mapping[str, NextHop]) -> dict[str, t.Any]:
        return {"lines": {name: route_linux.boot(network, hop).rstrip("\n") for name, hop in hops.items()}}

    def policy_files(self, policy: Policy, ruleset: str) -> dict[str, File]:
        """The boot configuration of policy routes, MSS clamps and NAT."""
        four, six = policy_linux.boot(policy)
        batches = {f"{self.boot}/60-policy": four, f"{self.boot6}/60-policy": six}
        files = {path: File(HEADER + text) for path, text in batches.items() if text}
        return {**files, self.nft: File(HEADER + ruleset)}

    def monitor_files(self) -> dict[str, File]:
        return {**_monitor_sources(), monitor_linux.UNIT: File(monitor_linux.unit(HEADER, self.python, self.store))}

    def address(self, phase2: Phase2) -> Address:
        return Address(str(phase2.local.ip), phase2.local.network.prefixlen)

    def tunnel(self, local: str, remote: str) -> tuple[str, str] | None:
        return None

    def interface_changes(self, before: Interfaces, after: Interfaces) -> Iterator[Step]:
        return interface_linux.changes(before, after)

    def interface_removals(self, before: Interfaces, after: Interfaces) -> Iterator[Step]:
        return interface_linux.removals(before, after)

    def route_changes(self, before: Routes, after: Routes) -> Iterator[Step]:
        return route_linux.additions(before, after)

    def route_removals(self, before: Routes, after: Routes) -> Iterator[Step]:
        return route_linux.removals(before, after)

    def boot_unit_changes(self, before: bool, after: bool) -> Iterator[Step]:
        if before != after:
            # Enabled for the next boot only, so systemd need not read all its units again now; disabled together with
            # what a boot has started, or the unit would stay active without a file.
            words = ("enable",) if after else ("disable", "--now")
            yield command("systemctl", "--no-reload", *words, "routed_ipsec.service")

    def monitor_starts(self, before: Service, after: Service, *, renewed: bool) -> Iterator[Step]:
        return monitor_linux.starts(before, after, renewed=renewed)

    def monitor_stops(self, before: Service, after: Service) -> Iterator[Step]:
        return monitor_linux.stops(before, after)

    def policy_changes(self, before: Policy, after: Policy) -> Iterator[Step]:
        return policy_linux.changes(before, after, self.nft)

    def policy_removals(self, before: Policy, after: Policy) -> Iterator[Step]:
        return policy_linux.removals(before, after)

    def kernel_modules(self, *, filter_mode: bool) -> Iterator[Step]:
        return iter(())

    def kernel_changes(self, before: Kernel | None, after: Kernel | None) -> Iterator[Step]:
        return iter(())


def _monitor(system: System, store: str) -> list[str]:
    """The monitor's program and its configuration."""
    directory = f"{LIBRARY}/{SERVICE}"
    names = (name for name in system.names(directory) if name.endswith(".py"))
    return [f"{store}/monitor.conf", *(f"{directory}/{name}" for name in names)]


def _monitor_sources() -> dict[str, File]:
    return {path: File(HEADER + text) for path, text in sources().items()}


def _read(system: System, paths: list[str]) -> dict[str, File]:
    return {path: file for path in paths for file in [system.read(path)] if file is not None}


def detect(system: System) -> Platform:
    """The host's platform; on FreeBSD our boot files go where no file of a person is in the way."""
    if system.platform == "Linux":
        return Linux(python=system.python)
    if system.platform != "FreeBSD":
        raise InvalidOption(
            f"platform: {system.platform} is not supported; the collection manages FreeBSD and Linux gateways"
        )
    in_the_way = any(system.read(f"/etc/rc.conf.d/{service}") for service in ("netif", "routing"))
    return FreeBSD("/usr/local/etc/rc.conf.d" if in_the_way else "/etc/rc.conf.d", python=system.python)
