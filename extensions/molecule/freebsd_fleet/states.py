# Copyright: Contributors to the routed_ipsec.vti project
# GNU General Public License v3.0+ (see COPYING or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""Insist that the simulated hosts are in the state that the fleet's plan asks for.

    states.py [--gone NAME] [--keep FILE | --same-as FILE]

The plan is worked out here from the numbers of fleet.sim, without the collection. --gone: a branch that has been taken
out. --keep writes down all SAs with their numbers; --same-as insists that those of the sites that remain are still the
same ones. Prints what is wrong, and ends with 1 when something is.
"""

from __future__ import annotations

import argparse
import ipaddress
import json
import pathlib
import subprocess
import sys

HOSTS = str(pathlib.Path(__file__).resolve().parents[3] / "tests" / "sim" / "hosts")
HUBS = {"hq": (101, "198.51.100.2", "100.64.0.0/24", 0), "dc": (102, "198.51.100.6", "100.64.1.0/24", 2845)}
"""By name: id, outer address, pool, and what is added to a branch's id for the unit."""
BRANCHES = {f"branch{number:02}": number for number in range(1, 49)}


def main():
    parser = argparse.ArgumentParser()
    parser.add_argument("--gone")
    parser.add_argument("--keep", type=pathlib.Path)
    parser.add_argument("--same-as", type=pathlib.Path)
    given = parser.parse_args()
    states = read()
    branches = {name: number for name, number in BRANCHES.items() if name != given.gone}
    complaints = [line for name in (*HUBS, *BRANCHES) if name not in states for line in [f"{name}: is no host"]]
    if not complaints:
        complaints += [line for hub in HUBS for branch in branches for line in link(states, hub, branch)]
        for name in (*HUBS, *branches):
            complaints += alone(states[name], len(branches) if name in HUBS else len(HUBS))
        complaints += nothing(states[given.gone]) if given.gone else []
    found = {name: associations(states[name]) for name in (*HUBS, *branches)}
    if given.keep:
        given.keep.write_text(json.dumps(found))
    if given.same_as:
        earlier = json.loads(given.same_as.read_text())
        complaints += [f"{name}: SAs are not those of before" for name in found if not lasted(found, earlier, name)]
    print("\n".join(complaints))
    sys.exit(1 if complaints else 0)


def read():
    """What each host is like, as the simulation keeps it."""
    command = "cd /var/db/freebsd-sim/hosts && for file in *.json; do cat $file; echo; done"
    done = subprocess.run([HOSTS, "exec", "hq", "sh", "-c", command], stdout=subprocess.PIPE, text=True, check=True)
    return {state["hostname"]: state for state in map(json.loads, done.stdout.splitlines())}


def link(states, hub, branch):
    """Both ends of a tunnel, each against the plan and against the other."""
    number = BRANCHES[branch]
    site, outer, pool, more = HUBS[hub]
    network = list(ipaddress.ip_network(pool).subnets(new_prefix=30))[number]
    inner = [str(address) for address in network.hosts()]
    ends = (
        (hub, branch, outer, f"203.0.113.{number}", *inner),
        (branch, hub, f"203.0.113.{number}", outer, *inner[::-1]),
    )
    networks = [f"10.{number}.0.0/24"], [f"10.{site}.0.0/24"] + (["10.0.0.0/10"] if hub == "hq" else [])
    for (name, far, *addresses), behind in zip(ends, networks, strict=True):
        yield from end(states[name], far, number + more, addresses, behind)
    keys = [secret(states[name], far) for name, far in ((hub, branch), (branch, hub))]
    if keys[0] is None or keys[0] != keys[1]:
        yield f"{hub}--{branch}: the ends have not the same key"
    spis = [spi(states[name], far) for name, far in ((hub, branch), (branch, hub))]
    if None in spis or spis[0] != spis[1][::-1]:
        yield f"{hub}--{branch}: the ends have not the same SA"


def end(state, far, unit, addresses, networks):
    """One end: interface, addresses, reqid, connection, SA, routes."""
    where = f"{state['hostname']}, tunnel to {far}"
    local, remote, ours, theirs = addresses
    interface = state["interfaces"].get(f"ipsec{unit}", {})
    wanted = {"reqid": 5000 + unit, "up": True, "tunnel": [local, remote]}
    for key, value in wanted.items():
        if interface.get(key) != value:
            yield f"{where}: {key} of ipsec{unit} is {interface.get(key)}, not {value}"
    if not any(entry["address"] == ours and entry["peer"] == theirs for entry in interface.get("addresses", ())):
        yield f"{where}: ipsec{unit} has {interface.get('addresses')}, not {ours} to {theirs}"
    connection = state["charon"]["conns"].get(far, {})
    child = connection.get("children", {}).get(far, {})
    if [connection.get("local_addrs"), connection.get("remote_addrs")] != [local, remote]:
        yield f"{where}: connection between {connection.get('local_addrs')} and {connection.get('remote_addrs')}"
    if child.get("reqid") != str(5000 + unit):
        yield f"{where}: reqid of the child is {child.get('reqid')}"
    routes = {route["destination"]: route["interface"] for route in state["routes"]}
    for network in networks:
        if routes.get(network) != f"ipsec{unit}":
            yield f"{where}: {network} leads through {routes.get(network)}, not ipsec{unit}"


def alone(state, count):
    """Nothing but the tunnels that are wanted."""
    name = state["hostname"]
    for what, found in (
        ("interfaces", [name for name in state["interfaces"] if name.startswith("ipsec")]),
        ("connections", state["charon"]["conns"]),
        ("keys", state["charon"]["secrets"]),
        ("SAs", state["charon"]["sas"]),
    ):
        if len(found) != count:
            yield f"{name}: {len(found)} {what}, not {count}"
    keys = [entry["secret"] for entry in state["charon"]["secrets"].values()]
    if len(set(keys)) != len(keys):
        yield f"{name}: tunnels share a key"


def nothing(state):
    """A site that has gone knows of no tunnel."""
    tunnels = [name for name in state["interfaces"] if name.startswith("ipsec")]
    routes = [route for route in state["routes"] if route["interface"].startswith("ipsec")]
    for what, found in (("interfaces", tunnels), ("routes", routes), ("connections", state["charon"]["conns"])):
        if found:
            yield f"{state['hostname']}: still has {what}: {found}"


def secret(state, far):
    """The key that a host has for its connection to a site."""
    remote = state["charon"]["conns"].get(far, {}).get("remote_addrs")
    found = [entry["secret"] for entry in state["charon"]["secrets"].values() if remote in entry["owners"]]
    return found[0] if len(found) == 1 else None


def spi(state, far):
    """Both SPIs of the one CHILD_SA with a site, inbound first."""
    children = [child for sa in state["charon"]["sas"] if sa["name"] == far for child in sa["children"]]
    return (children[0]["spi-in"], children[0]["spi-out"]) if len(children) == 1 else None


def associations(state):
    return {sa["name"]: [sa["uniqueid"], spi(state, sa["name"])] for sa in state["charon"]["sas"]}


def lasted(found, earlier, name):
    """Whether a host has all SAs of before, but for those with sites that have gone."""
    return json.loads(json.dumps(found[name])) == {
        far: numbers for far, numbers in earlier[name].items() if far in found
    }


if __name__ == "__main__":
    main()
