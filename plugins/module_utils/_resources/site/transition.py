# Copyright: Contributors to the routed_ipsec.vti project
# GNU General Public License v3.0+ (see COPYING or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

"""The steps from one state of a gateway to another. Pure.

Boot configuration is written before the running system is changed, and the store first of all: after a crash anywhere
the next boot or the next run finishes the work. What is removed leaves the store last, so that nothing is forgotten.
"""

from __future__ import annotations

import dataclasses
import ipaddress
import json
import typing as t

from ..._core.errors import ParseError
from ..._core.steps import RemoveFile, Step, WriteFile
from ..._formats import settings
from ..firewall import freebsd as firewall
from ..monitor.state import LIBRARY, SERVICE
from ..phase2.state import child_name
from ..swanctl import state as swanctl
from .observe import connection_path, is_swanctl, journal_path
from .state import KINDS, PARTS

if t.TYPE_CHECKING:
    from collections.abc import Iterator

    from ..._core.system import File
    from ..policy_route.linux import Policy
    from ..static_route.state import NextHop
    from .platform import Platform
    from .state import Host, Part, Realized


def transition(before: Host, after: Host) -> Iterator[Step]:
    owned = before.owned | after.owned
    before = dataclasses.replace(before, realized=before.realized.only(owned))
    after = dataclasses.replace(after, realized=after.realized.only(owned))
    old, new, platform = before.realized, after.realized, after.platform
    differing = _differing(old, new)
    changed = sorted(name for part, name in differing if part == "files")
    load = _must_load(before, after, dirty=any(is_swanctl(platform, path) for path in changed))
    journal = old.journal | differing
    yield from _checks(old, new)
    yield from _modules(before, after)
    if journal != old.journal:
        yield WriteFile(journal_path(platform), f"{json.dumps(sorted(journal))}\n", 0o600)
    yield from _writes(changed, new, before)
    yield from platform.monitor_stops(old.monitor, new.monitor)
    if old.boot_unit and not new.boot_unit:
        yield from platform.boot_unit_changes(old.boot_unit, new.boot_unit)
    yield from _removals(changed, before, after, stored=False)
    if new.boot_unit and not old.boot_unit:
        yield from platform.boot_unit_changes(old.boot_unit, new.boot_unit)
    yield from platform.policy_removals(old.policy, new.policy)
    yield from platform.route_removals(old.routes, new.routes)
    yield from platform.kernel_changes(old.kernel, new.kernel)
    yield from platform.interface_changes(_common(old, new), new.interfaces)
    yield from _firewall(before, after)
    yield from platform.route_changes(_surviving(old, new, platform), new.routes)
    yield from platform.policy_changes(_surviving_policy(old, new), new.policy)
    if load:
        yield from swanctl.load_and_settle(frozenset(after.declared.phase1), *_replaced(before, after))
    yield from _insist(before, after)
    yield from platform.interface_removals(old.interfaces, new.interfaces)
    yield from platform.monitor_starts(old.monitor, new.monitor, renewed=_renewed(changed))
    yield from _removals(changed, before, after, stored=True)
    if journal:
        yield RemoveFile(journal_path(platform), (platform.store,))


def _renewed(changed: list[str]) -> bool:
    """Whether the monitor's program or what starts it is another one; its configuration it reads by itself."""
    return any(
        path.startswith(f"{LIBRARY}/") or path.endswith((f"{SERVICE}.service", f"rc.d/{SERVICE}")) for path in changed
    )


def _differing(old: Realized, new: Realized) -> frozenset[Part]:
    return frozenset(
        (part, name)
        for part in PARTS
        for mine, theirs in [(getattr(old, part), getattr(new, part))]
        for name in {*mine, *theirs}
        if mine.get(name) != theirs.get(name)
    )


def _writes(changed: list[str], new: Realized, before: Host) -> Iterator[Step]:
    paths = [path for path in changed if path in new.files]
    for path in sorted(paths, key=lambda path: _rank(before, path)):
        file = new.files[path]
        if path == firewall.PF_CONF and new.firewall and new.firewall.running:
            yield firewall.check_pf_conf(file.content)
        yield WriteFile(path, file.content, None if path in before.platform.persons else file.mode)


def _modules(before: Host, after: Host) -> Iterator[Step]:
    """Have the kernel load what the rest needs, before anything else: one that cannot has lost nothing yet."""
    filter_mode = after.declared.filter_mode is not None
    more = any(name not in before.realized.interfaces for name in after.realized.interfaces)
    if not before.facts.modules_loaded and (filter_mode or more):
        yield from after.platform.kernel_modules(filter_mode=filter_mode)


def _checks(old: Realized, new: Realized) -> Iterator[Step]:
    """Have pf read new rules before anything is touched."""
    rules = new.files.get(firewall.RULES)
    if not new.firewall or not new.firewall.running:
        return
    if rules is not None and rules != old.files.get(firewall.RULES):
        yield firewall.check_rules(rules.content)
    if new.firewall.policy_lines and _policy_stale(old, new):
        yield firewall.check_policy(new.firewall.policy_lines)


def _stale(old: Realized, new: Realized, path: str) -> bool:
    """Whether pf may have read another text of a file than the one that it will have."""
    return ("files", path) in old.journal or old.files.get(path) != new.files.get(path)


def _policy_stale(old: Realized, new: Realized) -> bool:
    before, after = old.firewall, new.firewall
    differs = before is None or after is None or before.policy != after.policy
    return differs or _stale(old, new, firewall.POLICY_RULES)


def _firewall(before: Host, after: Host) -> Iterator[Step]:
    """Rules count from here on; where pf is off they wait in their files."""
    old, new = before.realized, after.realized
    if not new.firewall or not new.firewall.running or not old.firewall:
        return
    if new.firewall.loaded and (_stale(old, new, firewall.RULES) or not old.firewall.loaded):
        yield firewall.load_rules()
    elif old.firewall.loaded and not new.firewall.loaded:
        rules = old.files.get(firewall.RULES)
        yield from firewall.clear_rules(nat=rules is None or firewall.has_nat(rules.content))
    conf = new.files.get(firewall.PF_CONF)
    includes = conf is not None and bool(firewall.INCLUDE.pattern.search(conf.content))
    paths = [firewall.PF_CONF, *([firewall.SCRUB] if includes else [])]
    read = conf is not None and any(_stale(old, new, path) for path in paths)
    if read:
        yield firewall.load_pf_conf(ours=any(old.files.get(path) != new.files.get(path) for path in paths))
    # Last: pf.conf has the policy's anchor loaded as it is with all gateways up.
    if new.firewall.policy and (read or _policy_stale(old, new)):
        yield firewall.load_policy(new.firewall.policy_lines)
    elif old.firewall.policy and not new.firewall.policy:
        yield firewall.clear_policy()


def _rank(before: Host, path: str) -> int:
    """The store comes first, and in it what others refer to: whatever part of it is written makes sense by itself."""
    if path in before.platform.persons:
        return len(KINDS) + 2
    prefix = f"{before.platform.store}/"
    if not path.startswith(prefix) or not path.endswith(".json"):
        return len(KINDS) + 1
    kind = path[len(prefix) :].partition("/")[0]
    return list(KINDS).index(kind) if kind in KINDS else len(KINDS)


def _removals(changed: list[str], before: Host, after: Host, *, stored: bool) -> Iterator[Step]:
    """Files that are there no more; with the last file of a kind goes its directory."""
    platform = before.platform
    for path in sorted(changed, key=lambda path: -_rank(before, path)):
        if path not in after.realized.files and path.endswith(".json") == stored:
            directory = path.rpartition("/")[0]
            made = (*platform.made_directories(), *(() if not stored else (directory, platform.store)))
            yield RemoveFile(path, tuple(dict.fromkeys(item for item in made if f"{path}/".startswith(f"{item}/"))))


def _common(old: Realized, new: Realized) -> dict[str, t.Any]:
    return {name: interface for name, interface in old.interfaces.items() if name in new.interfaces}


def _surviving(old: Realized, new: Realized, platform: Platform) -> dict[str, tuple[NextHop, ...]]:
    """The routes that are left once interfaces have changed: those through a vanished address went with it."""
    lost = []
    for name, live in old.interfaces.items():
        wanted = new.interfaces.get(name)
        moved = wanted is not None and wanted.reqid != live.reqid and not platform.reqid_in_place
        remade = moved or (wanted is not None and wanted.up != live.up)
        for address in live.addresses:
            if wanted is None or remade or address not in wanted.addresses:
                lost.append(ipaddress.ip_network(f"{address.address}/{address.prefixlen}", strict=False))
        if wanted is None or remade:
            old = dataclasses.replace(
                old,
                routes={
                    network: tuple(hop for hop in hops if hop.interface != name) for network, hops in old.routes.items()
                },
            )
    return {
        network: tuple(
            hop for hop in hops if not hop.gateway or not any(_address(hop.gateway) in item for item in lost)
        )
        for network, hops in old.routes.items()
    }


def _address(hop: str) -> ipaddress.IPv4Address | ipaddress.IPv6Address:
    return ipaddress.ip_address(hop.partition("%")[0])


def _surviving_policy(old: Realized, new: Realized) -> Policy:
    """The tables' routes that are left once interfaces have changed: those through one that was remade went with it."""
    remade = {
        name
        for name, live in old.interfaces.items()
        for wanted in [new.interfaces.get(name)]
        if wanted is None or wanted.reqid != live.reqid or wanted.up != live.up or wanted.addresses != live.addresses
    }
    routes = {
        key: line
        for key, line in old.policy.routes.items()
        if not any(f" dev {name} " in f"{line} " for name in remade)
    }
    return dataclasses.replace(old.policy, routes=routes)


def _must_load(before: Host, after: Host, *, dirty: bool) -> bool:
    old, new = before.realized, after.realized
    if before.facts.charon_down and not any(name in new.connections for name in after.declared.phase1):
        return False  # nothing of ours is left for charon, which reads its files when it starts
    interrupted = any(part == "connections" or is_swanctl(after.platform, name) for part, name in old.journal)
    return dirty or interrupted or old.connections != new.connections


def _replaced(before: Host, after: Host) -> tuple[tuple[t.Mapping[str, t.Any], ...], tuple[tuple[str, str], ...]]:
    """The SAs made from configurations that change now, and the children to start again.

    Those are the ones that this end starts, unless they keep their SAs, and when going back also those that were up and
    are not any more. One that is down may be so because the other end has been changed before this one.
    """
    platform = before.platform
    changed = {
        name
        for name in before.declared.phase1
        for path in [connection_path(platform, name)]
        if _meaning(before.realized.files.get(path)) != _meaning(after.realized.files.get(path))
    }
    kept = {name for name in changed if name in after.declared.phase1 and not after.declared.phase1[name].reestablish}
    stale = tuple(sa for sa in before.facts.sas if sa["connection"] in changed - kept)
    keeping = {sa["connection"] for sa in before.facts.sas if sa["connection"] in kept}
    return stale, tuple(
        (connection, child)
        for connection, child, action in _children(after)
        if (connection in changed - keeping and "start" in action)
        or (
            swanctl.is_up(after.facts.sas, connection, child) and not swanctl.is_up(before.facts.sas, connection, child)
        )
    )


def _meaning(file: File | None) -> t.Any:
    """What strongSwan makes of a file: a comment or a permission is no reason to interrupt a tunnel."""
    try:
        return settings.parse(file.content) if file else None
    except ParseError as error:
        return str(error)


def _children(host: Host) -> list[tuple[str, str, str]]:
    """Connection, child and start action of every tunnel that is loaded."""
    found = {
        (phase2.phase1, child_name(host.declared.phase1[phase2.phase1], phase2)): phase2.start_action
        for phase2 in host.declared.phase2.values()
        if phase2.enabled and host.declared.phase1[phase2.phase1].enabled
    }
    return [(connection, child, action) for (connection, child), action in found.items()]


def _insist(before: Host, after: Host) -> Iterator[Step]:
    """Have the tunnels in focus come up, when asked to."""
    if not after.establish_timeout:
        return
    stale = {sa["connection"] for sa in _replaced(before, after)[0]}
    for connection, child, _action in _children(after):
        owners = {
            ("phase1", connection),
            *(("phase2", name) for name, item in after.declared.phase2.items() if item.phase1 == connection),
        }
        if after.focus is not None and not owners & after.focus:
            continue
        if connection in stale or not swanctl.is_up(before.facts.sas, connection, child):
            peer = after.declared.phase1[connection].remote_addrs[0]
            yield swanctl.establish(connection, child, peer, after.establish_timeout)
