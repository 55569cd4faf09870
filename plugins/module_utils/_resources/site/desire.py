# Copyright: Contributors to the routed_ipsec.vti project
# GNU General Public License v3.0+ (see COPYING or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

"""What each module asks of a gateway. Pure: options and the observed host in, the desired host out."""

from __future__ import annotations

import contextlib
import dataclasses
import typing as t

from ..._core.errors import InvalidOption
from ..._formats.addresses import DEFAULTS
from ..assignment import state as assignment_state
from ..default_gateway import state as default_state
from ..filter_mode.state import FilterMode, Kernel
from ..firewall.freebsd import POLICY_RULES, RULES, decisions
from ..gateway import state as gateway_state
from ..gateway_group import state as group_state
from ..monitor.state import Service
from ..phase1 import state as phase1_state
from ..phase2 import state as phase2_state
from ..policy_route import state as policy_state
from ..static_route import state as route_state
from ..static_route.state import NextHop
from . import blueprint
from .checks import check
from .state import KINDS, PARTS, Declared

if t.TYPE_CHECKING:
    from collections.abc import Mapping

    from ..firewall.freebsd import Firewall
    from .state import Host, Key

    Options = Mapping[str, t.Any]


def phase1(options: Options, host: Host) -> Host:
    """ipsec_phase1."""
    name = options["name"]
    value = phase1_state.from_options(options, host.declared.phase1.get(name)) if _present(options) else None
    return _with_object(host, "phase1", name, value, options.get("establish_timeout"))


def phase2(options: Options, host: Host) -> Host:
    """ipsec_vti_phase2."""
    name = options["name"]
    value = None
    if _present(options):
        numbers = _numbers(host)
        for other in host.declared.phase2.values():
            if other.name != name:
                numbers.settle(other)
        known = host.declared.phase2.get(name)
        value = phase2_state.from_options(options, phase1s=host.declared.phase1, known=known, numbers=numbers)
    return _with_object(host, "phase2", name, value, options.get("establish_timeout"))


def _numbers(host: Host) -> phase2_state.Numbers:
    """What is taken on the host: by others, and by what it remembers of ours, for numbers are for life."""
    ours = host.declared.phase2.values()
    interfaces = {value.interface for value in ours}
    strangers = {name: value for name, value in host.realized.interfaces.items() if name not in interfaces}
    return phase2_state.Numbers(
        [*(value.reqid for value in strangers.values()), *(value.reqid for value in ours)],
        [*(int(name[5:]) for name in strangers if name[5:].isdigit()), *(value.unit for value in ours)],
    )


def assignment(options: Options, host: Host) -> Host:
    """interface_assign."""
    declared = host.declared
    if _present(options):
        ports = {value.interface for value in declared.phase2.values()}
        interface = assignment_state.resolve(options, declared.phase2, ports)
        names = assignment_state.Names((), declared.assignments)
        value = assignment_state.from_options(options, interface=interface, names=names)
        old = names.settle(value)
        if old is not None:
            declared = declared.with_object("assignments", old, None)
        focus = frozenset({("assignments", old or value.name), ("assignments", value.name)})
        return _settle(host, declared.with_object("assignments", value.name, value), focus)
    gone = _assigned(options, host)
    return _with_object(host, "assignments", gone, None, None)


def _assigned(options: Options, host: Host) -> str:
    """The assignment that should be absent, by its name, its interface or a phase 2; it may be gone already."""
    for value in host.declared.assignments.values():
        phase2s = [item for item in host.declared.phase2.values() if item.name == options.get("phase2")]
        if (
            options.get("name") == value.name
            or options.get("interface") == value.interface
            or any(item.interface == value.interface for item in phase2s)
        ):
            return value.name
    return options.get("name") or ""


def static_route(options: Options, host: Host) -> Host:
    """static_route."""
    value = route_state.from_options(options) if _present(options) else None
    return _with_object(host, "static_routes", options["name"], value, None)


def gateway(options: Options, host: Host) -> Host:
    """gateway."""
    value = gateway_state.from_options(options) if _present(options) else None
    return _with_object(host, "gateways", options["name"], value, None)


def gateway_group(options: Options, host: Host) -> Host:
    """gateway_group."""
    value = group_state.from_options(options) if _present(options) else None
    return _with_object(host, "gateway_groups", options["name"], value, None)


def default_gateway(options: Options, host: Host) -> Host:
    """default_gateway."""
    value = _default_gateway(options, host)
    return _settle(
        host, dataclasses.replace(host.declared, default_gateway=value), frozenset({("default_gateway", "")})
    )


def _default_gateway(options: Options, host: Host) -> default_state.DefaultGateway | None:
    hops = {version: host.realized.routes.get(network, ()) for version, network in DEFAULTS.items()}
    static = {version: found[0].gateway for version, found in hops.items() if found and found[0].gateway}
    previous = {**host.facts.learned, **static}
    return default_state.from_options(options, host.declared.default_gateway, previous)


def policy_route(options: Options, host: Host) -> Host:
    """policy_route."""
    value = _policy_route(options, host, host.declared.policy_routes) if _present(options) else None
    return _with_object(host, "policy_routes", options["name"], value, None)


def _policy_route(
    options: Options, host: Host, others: Mapping[str, policy_state.PolicyRoute]
) -> policy_state.PolicyRoute:
    return policy_state.from_options(options, others.values(), tables=host.platform.name == "Linux")


def filter_mode(options: Options, host: Host) -> Host:
    """filter_mode."""
    value = _filter_mode(options, host) if _present(options) else None
    return _settle(host, dataclasses.replace(host.declared, filter_mode=value), frozenset({("filter_mode", "")}))


def _filter_mode(options: Options, host: Host) -> FilterMode:
    if not options.get("mode"):
        raise InvalidOption("mode: required; choose enc or if_ipsec")
    known = host.declared.filter_mode
    kernel = host.realized.kernel
    previous = known.previous if known else (*_remember(kernel), *blueprint.missing_block_files(host)) if kernel else ()
    chosen = {name: options.get(name) or False for name in ("force", "inner_rules", "manage_pf_conf")}
    return FilterMode(options["mode"], **chosen, previous=previous)


def _remember(kernel: Kernel) -> tuple[str, ...]:
    return (*(f"{name}={value}" for name, value in kernel.sysctls), f"enc0={'up' if kernel.enc0_up else 'down'}")


def _restored(previous: tuple[str, ...], observed: Kernel) -> Kernel:
    values = dict(item.split("=", 1) for item in previous if not item.startswith(blueprint.MISSING))
    enc0 = values.pop("enc0", "down") == "up"
    return Kernel(tuple(values.items()), None if observed.enc0_up is None else enc0)


def site(options: Options, host: Host) -> Host:
    """vti_site: everything at once. Objects are taken in an order in which each can refer to the one before."""
    draft = _Draft(host, purge=options["purge"])
    for item in options["phase1"]:
        with _item("phase1", item["name"]):
            draft.add("phase1", phase1_state.from_options(item, host.declared.phase1.get(item["name"])))
    draft.begin_numbering([item["name"] for item in options["phase2"]])
    for item in options["phase2"]:
        with _item("phase2", item["name"]):
            draft.add_phase2(item)
    draft.begin_naming()
    for item in options["assignments"]:
        with _item("assignments", item.get("name") or item.get("interface") or item.get("phase2") or "?"):
            draft.add_assignment(item)
    for item in options["gateways"]:
        with _item("gateways", item["name"]):
            draft.add("gateways", gateway_state.from_options(item))
    for item in options["gateway_groups"]:
        with _item("gateway_groups", item["name"]):
            draft.add("gateway_groups", group_state.from_options(item))
    for item in options["static_routes"]:
        with _item("static_routes", item["name"]):
            draft.add("static_routes", route_state.from_options(item))
    draft.begin_tables([item["name"] for item in options["policy_routes"]])
    for item in options["policy_routes"]:
        with _item("policy_routes", item["name"]):
            draft.add_policy_route(item)
    mode = None if options["purge"] else host.declared.filter_mode
    if options.get("filter_mode"):
        mode = _filter_mode(options["filter_mode"], host)
    default = _site_default(options, host)
    declared = Declared(**draft.objects, filter_mode=mode, default_gateway=default)
    settled = _settle(host, declared, None, purge=options["purge"])
    return dataclasses.replace(settled, establish_timeout=options.get("establish_timeout") or 0)


def _site_default(options: Options, host: Host) -> default_state.DefaultGateway | None:
    """Purging, a family that is not given is handed back to the host."""
    given = options.get("default_gateway")
    if not given and not options["purge"]:
        return host.declared.default_gateway
    left_out = default_state.AUTOMATIC if options["purge"] else None
    families = {name: (given or {}).get(name) or left_out for name in default_state.ARGUMENTS}
    with _item("default_gateway", " and ".join(name for name, value in families.items() if value)):
        return _default_gateway(families, host)


class _Draft:
    """The objects of a gateway while a call of vti_site is read, item by item."""

    def __init__(self, host: Host, *, purge: bool) -> None:
        self._host = host
        self._given: set[tuple[str, str]] = set()
        self.objects: dict[str, dict[str, t.Any]] = {
            kind: {} if purge else dict(getattr(host.declared, kind)) for kind in KINDS
        }

    def add(self, kind: str, value: t.Any) -> None:
        """Add an object; the same name twice in one call is a mistake."""
        if (kind, value.name) in self._given:
            raise InvalidOption(f"name: {value.name} is given twice")
        self._given.add((kind, value.name))
        self.objects[kind][value.name] = value

    def begin_numbering(self, names: list[str]) -> None:
        """What stays as it is has its numbers already; what is given is settled in turn."""
        self._numbers = _numbers(self._host)
        for value in self.objects["phase2"].values():
            if value.name not in names:
                self._numbers.settle(value)

    def add_phase2(self, item: Options) -> None:
        known = self._host.declared.phase2.get(item["name"])
        value = phase2_state.from_options(item, phase1s=self.objects["phase1"], known=known, numbers=self._numbers)
        self.add("phase2", value)
        self._numbers.settle(value)

    def begin_tables(self, names: list[str]) -> None:
        """What stays as it is has its table already; what is given is settled in turn, beside what the host had."""
        stay = {name: value for name, value in self.objects["policy_routes"].items() if name not in names}
        self._tables = {**self._host.declared.policy_routes, **stay}

    def add_policy_route(self, item: Options) -> None:
        value = _policy_route(item, self._host, self._tables)
        self.add("policy_routes", value)
        self._tables[value.name] = value

    def begin_naming(self) -> None:
        self._ports = {value.interface for value in self.objects["phase2"].values()}
        self._names = assignment_state.Names(self._host.declared.assignments.values(), self.objects["assignments"])

    def add_assignment(self, item: Options) -> None:
        """An assignment without a name keeps the one that its interface has, purging or not."""
        interface = assignment_state.resolve(item, self.objects["phase2"], self._ports)
        value = assignment_state.from_options(item, interface=interface, names=self._names)
        self.add("assignments", value)
        renamed = self._names.settle(value)
        if renamed is not None:
            self.objects["assignments"].pop(renamed, None)


@contextlib.contextmanager
def _item(kind: str, name: str) -> t.Iterator[None]:
    """Say which item of which list an option is wrong in."""
    try:
        yield
    except InvalidOption as error:
        raise InvalidOption(f"{kind}: {name}: {error}", **error.details) from None


def _present(options: Options) -> bool:
    return bool(options["state"] == "present")


def _with_object(host: Host, kind: str, name: str, value: t.Any | None, establish_timeout: int | None) -> Host:
    settled = _settle(host, host.declared.with_object(kind, name, value), frozenset({(kind, name)}))
    return dataclasses.replace(settled, establish_timeout=establish_timeout or 0)


def _settle(host: Host, declared: Declared, focus: frozenset[Key] | None, *, purge: bool = False) -> Host:
    """The host with what its declared objects ask for; beside what is in focus, only what follows from the change.

    ``focus`` None takes all objects; ``purge`` also takes away files of ours that belong to no object.
    """
    check(host, declared, focus)
    if host.platform.name != "FreeBSD":
        declared = dataclasses.replace(declared, filter_mode=None)  # always if_ipsec: there is nothing to keep of it
    seen = host.realized
    old = blueprint.draw(host.declared, host.platform, seen, host.facts)
    new = blueprint.draw(declared, host.platform, seen, host.facts)
    owned = {*old.owners, *new.owners, *seen.journal}
    parts: dict[str, t.Any] = {}
    for part in PARTS:
        was, wanted, result = getattr(old, part), getattr(new, part), dict(getattr(seen, part))
        # What an interrupted run has left and no object asks for goes, whatever this call is about.
        for name in (name for kind, name in seen.journal if kind == part and name not in was and name not in wanted):
            if part == "files" and name in host.platform.persons:
                result.update(blueprint.without_block(host))
            elif part != "routes" or name not in DEFAULTS.values():
                # Whoever made it: without a default route nobody could come back to mend it.
                result.pop(name, None)
        for name in [*was, *(name for name in wanted if name not in was)]:
            if focus is not None and was.get(name) == wanted.get(name):
                owners = {*old.owners.get((part, name), ()), *new.owners.get((part, name), ())}
                if not owners & focus:
                    continue
            if name in wanted and wanted[name] != ():
                result[name] = _finished(result.get(name), wanted[name])
            else:
                result.pop(name, None)
        parts[part] = result
    if purge:
        owned.update(("files", path) for path in seen.files if path not in host.platform.persons)
        parts["files"] = {path: file for path, file in parts["files"].items() if path in new.files}
    if focus is None or ("filter_mode", "") in focus:
        if declared.filter_mode is None:
            parts["files"].update(blueprint.without_block(host))
        parts["kernel"] = _kernel(host, declared, new)
    if focus is None or ("default_gateway", "") in focus:
        _hand_back(host, declared, parts["routes"])
    if seen.firewall is not None:
        parts["firewall"] = _firewall(seen.firewall, new, parts)
    realized = dataclasses.replace(
        seen,
        **parts,
        policy=new.policy,
        monitor=Service(new.monitor, new.monitor),
        journal=frozenset(),
        boot_unit=_boot_unit(host, parts["files"]),
    )
    return dataclasses.replace(
        host,
        declared=declared,
        realized=realized,
        focus=focus,
        owned=frozenset(owned),
        former_policy=old.policy_lines,
    )


def _hand_back(host: Host, after: Declared, routes: dict[str, tuple[NextHop, ...]]) -> None:
    """Default routes that are the host's again are what they were before, also where an earlier run died over it."""
    old, new = host.declared.default_gateway, after.default_gateway
    for name, version in default_state.FAMILIES.items():
        network = DEFAULTS[version]
        released = old is not None and (old.of(version) is not None or ("routes", network) in host.realized.journal)
        hop = old.hop_before(name) if old and released else None
        if hop and not (new and new.of(version)):
            routes[network] = (NextHop(hop),)


def _firewall(seen: Firewall, new: blueprint.Blueprint, parts: dict[str, t.Any]) -> Firewall:
    """Whether pf's anchors should have rules."""
    return dataclasses.replace(
        seen,
        loaded=seen.running and new.firewall and RULES in parts["files"],
        policy=decisions(new.policy_lines) if seen.running and POLICY_RULES in parts["files"] else (),
        policy_lines=new.policy_lines,
    )


def _finished(observed: t.Any, wanted: t.Any) -> t.Any:
    """A part as it should be: files are made, and endpoints that strongSwan's updown script sets are what they are."""
    if isinstance(wanted, blueprint.Recipe):
        return wanted.file()
    if getattr(wanted, "dynamic", False) and observed is not None:
        return dataclasses.replace(wanted, tunnel=observed.tunnel)
    return wanted


def _kernel(host: Host, declared: Declared, new: blueprint.Blueprint) -> Kernel | None:
    observed, before = host.realized.kernel, host.declared.filter_mode
    if declared.filter_mode is None and before is not None and observed is not None:
        return _restored(before.previous, observed)
    return new.kernel or observed


def _boot_unit(host: Host, files: Mapping[str, t.Any]) -> bool:
    """Linux: our unit is enabled as long as there is one."""
    return getattr(host.platform, "unit", None) in files
