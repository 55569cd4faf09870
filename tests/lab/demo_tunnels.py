#!/usr/bin/python3
# Copyright: Contributors to the routed_ipsec.vti project
# GNU General Public License v3.0+ (see COPYING or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""Do the tunnels of a running lab carry their packets, and hide them?

    demo_tunnels.py INVENTORY...

Captures on the wan while a client in every branch LAN pings its counterpart in the hub's LAN, and prints what became
of each tunnel. Ends with 1 unless all are ESTABLISHED and INSTALLED at both ends, their ESP was seen, no ping was lost,
and no packet from LAN to LAN was seen in clear. The capture proves itself: a packet sent around the tunnels must show.

The inventory names the groups vti_hubs, vti_branches (vti_wan_address, vti_lan_networks, vti_lan_address), lab_clients
(lab_gateway, lab_address, lab_address6) and lab_wan. Environment: VTI_LAB_STATE, as for `lab`.
"""

from __future__ import annotations

import dataclasses
import json
import os
import re
import subprocess
import sys
import time
import typing as t

if t.TYPE_CHECKING:
    from collections.abc import Callable

LAB = os.path.join(os.path.dirname(os.path.realpath(__file__)), "lab")
PINGS = ("-c", "20", "-i", "0.1", "-W", "2")
CAPTURE = "/tmp/demo.pcap"
# -Q in: a packet that is forwarded counts once.
START = f"""
tcpdump -i any -Q in -n -U --immediate-mode -s 128 -B 8192 -w {CAPTURE} 'ip or ip6' >/dev/null 2>{CAPTURE}.log &
pid=$!
until grep -q listening {CAPTURE}.log; do kill -0 $pid || {{ cat {CAPTURE}.log >&2; exit 1; }}; sleep 0.1; done
echo $pid
"""
STOP = f"kill {{pid}}; while kill -0 {{pid}} 2>/dev/null; do sleep 0.1; done; rm {CAPTURE}.log"
LOSS = re.compile(r"([\d.]+)% packet loss")
SA = re.compile(r" state=(\w+).*? local-host=(\S+).*? remote-host=(\S+)(.*)")


@dataclasses.dataclass
class Site:
    """A gateway and the client in its LAN."""

    name: str
    outer: str
    inner: str
    networks: list[str]
    client: str
    client_addresses: tuple[str, str]


@dataclasses.dataclass
class Tunnel:
    hub: Site
    branch: Site
    ike: str = "none"
    child: str = "none"
    esp: int = 0
    clear: int = 0
    loss: tuple[float, ...] = ()

    @property
    def good(self) -> bool:
        states = (self.ike, self.child) == ("ESTABLISHED", "INSTALLED")
        return states and self.esp > 0 and self.clear == 0 and self.loss == (0, 0)

    def row(self) -> list[str]:
        return [
            f"{self.hub.name} - {self.branch.name}",
            f"{self.hub.outer} - {self.branch.outer}",
            self.ike,
            self.child,
            str(self.esp),
            str(self.clear),
            f"{self.branch.client} > {self.hub.client}",
            *(f"{loss:g} %" for loss in self.loss),
        ]


HEAD = [
    "tunnel",
    "outer addresses",
    "IKE SA",
    "CHILD SA",
    "ESP on wan",
    "in clear",
    "LAN to LAN",
    "IPv4 loss",
    "IPv6 loss",
]


def run(host: str, *argv: str) -> str:
    command = [LAB, "exec", host, *argv]
    return subprocess.run(command, stdout=subprocess.PIPE, text=True, check=True, timeout=60).stdout


def ping(host: str, target: str, *options: str) -> subprocess.Popen[str]:
    command = [LAB, "exec", host, "ping", "-n", "-q", *options, target]
    return subprocess.Popen(command, stdout=subprocess.PIPE, text=True)


def sites(inventory: list[str]) -> tuple[list[Tunnel], str]:
    """The tunnels, one for each hub and branch, and the host between them."""
    argv = ["ansible-inventory", "--list", *(f"--inventory={path}" for path in inventory)]
    listed = json.loads(subprocess.run(argv, stdout=subprocess.PIPE, text=True, check=True).stdout)
    facts = listed["_meta"]["hostvars"]
    clients = {facts[name]["lab_gateway"]: name for name in listed["lab_clients"]["hosts"]}

    def site(name: str) -> Site:
        own, client = facts[name], clients[name]
        addresses = facts[client]["lab_address"], facts[client]["lab_address6"]
        return Site(name, own["vti_wan_address"], own["vti_lan_address"], own["vti_lan_networks"], client, addresses)

    hubs, branches = ([site(name) for name in listed[group]["hosts"]] for group in ("vti_hubs", "vti_branches"))
    return [Tunnel(hub, branch) for hub in hubs for branch in branches], listed["lab_wan"]["hosts"][0]


def carry(tunnels: list[Tunnel], wan: str) -> bool:
    """Ping through every tunnel at once, and count on the wan. Whether the capture shows what goes in clear."""
    control = tunnels[0].branch
    leak = f"src host {control.inner} and dst host {tunnels[0].hub.outer}"
    pid = run(wan, "sh", "-c", START).strip()
    try:
        pings = [
            [ping(tunnel.branch.client, target, *PINGS) for target in tunnel.hub.client_addresses] for tunnel in tunnels
        ]
        for tunnel, processes in zip(tunnels, pings, strict=True):
            found = [LOSS.search(process.communicate(timeout=60)[0]) for process in processes]
            tunnel.loss = tuple(float(loss[1]) if loss else 100.0 for loss in found)
        # From the LAN's address to the outer one of the hub no tunnel leads: what a leak would look like.
        ping(control.name, tunnels[0].hub.outer, "-I", control.inner, "-c", "1", "-W", "1").communicate(timeout=60)
        shown = soon(lambda: seen(wan, leak) > 0)  # the last packet: tcpdump has read all of them
    finally:
        run(wan, "sh", "-c", STOP.format(pid=pid))
    for tunnel in tunnels:
        inside = " or ".join(f"net {network}" for network in tunnel.branch.networks)
        tunnel.esp = seen(wan, f"esp and host {tunnel.hub.outer} and host {tunnel.branch.outer}")
        tunnel.clear = seen(wan, f"({inside}) and not ({leak})")
    run(wan, "rm", CAPTURE)
    return shown


def soon(condition: Callable[[], bool]) -> bool:
    """Whether a condition comes true while one waits a little."""
    deadline = time.monotonic() + 10
    while not condition():
        if time.monotonic() > deadline:
            return False
        time.sleep(0.2)
    return True


def seen(wan: str, what: str) -> int:
    return len(run(wan, "sh", "-c", 'tcpdump -n -r "$0" "$1" 2>/dev/null', CAPTURE, what).splitlines())


def inspect(tunnels: list[Tunnel]) -> None:
    """Ask both ends of each tunnel for its SAs."""
    hosts = {site.name: site for tunnel in tunnels for site in (tunnel.hub, tunnel.branch)}
    found = {}
    for name in hosts:
        lines = run(name, "sh", "-c", "swanctl --list-sas --raw 2>/dev/null || true").splitlines()
        for state, local, remote, rest in (match.groups() for match in map(SA.search, lines) if match):
            children = re.findall(r" state=(\w+)", rest)
            best = "INSTALLED" if "INSTALLED" in children else (children or ["none"])[0]
            if found.get((name, local, remote), ("",))[0] != "ESTABLISHED":
                found[name, local, remote] = (state, best)
    for tunnel in tunnels:
        hub, branch = tunnel.hub, tunnel.branch
        ends = [
            found.get((hub.name, hub.outer, branch.outer), ("none", "none")),
            found.get((branch.name, branch.outer, hub.outer), ("none", "none")),
        ]
        tunnel.ike, tunnel.child = (" / ".join(dict.fromkeys(states)) for states in zip(*ends, strict=True))


def table(rows: list[list[str]]) -> str:
    widths = [max(map(len, column)) for column in zip(*rows, strict=True)]
    lines = ["  ".join(cell.ljust(width) for cell, width in zip(row, widths, strict=True)).rstrip() for row in rows]
    lines.insert(1, "  ".join("-" * width for width in widths))
    return "\n".join(lines)


def main() -> None:
    tunnels, wan = sites(sys.argv[1:])
    proven = carry(tunnels, wan)
    inspect(tunnels)
    print(table([HEAD, *(tunnel.row() for tunnel in tunnels)]))
    if not proven:
        sys.exit("The capture is worth nothing: it does not even show a packet that was sent in clear.")
    bad = [tunnel.row()[0] for tunnel in tunnels if not tunnel.good]
    if bad:
        sys.exit(f"Not as it should be: {', '.join(bad)}")


if __name__ == "__main__":
    main()
