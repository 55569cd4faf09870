# Copyright: Contributors to the routed_ipsec.vti project
# GNU General Public License v3.0+ (see COPYING or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

"""The inventory plugin topology."""

from __future__ import annotations

DOCUMENTATION = r"""
name: topology
short_description: Tunnels of a whole fleet from one description
version_added: 0.1.0
author:
  - routed_ipsec.vti contributors (@routed-ipsec)
description:
  - Gives every gateway the variables C(gateway_phase1), C(gateway_phase2), C(gateway_assignments) and
    C(gateway_static_routes), which the role P(routed_ipsec.vti.gateway#role) takes. Both ends of a tunnel come from one
    record.
  - Hub-and-spoke with one or more hubs, a mesh, and single links can be mixed.
  - Gateways with a tunnel that is not routed statically also get C(frr_router), the description that the role
    P(routed_ipsec.vti.frr#role) takes, in place of the static routes. It is empty for all others.
  - C(vti_links) tells playbooks of a gateway's neighbours, a list with the name of the C(link), the far C(site), the
    name of the C(phase1) and of the C(far_phase1), whether the far end is C(external), and whether this end C(starts).
    Where the far end is external, there are also the C(routing), and the C(networks) that it routes to this end.
  - Reads files whose name ends with C(.vti.yml) or C(.vti.yaml). Hosts and their variables come from the inventory
    sources before it, from O(sites), or from both. A site has the name of its host; a site without a host becomes one.
  - What O(sites) does not say of a site is read from its host's variables C(vti_site_id), C(vti_wan_address),
    C(vti_wan_address6), C(vti_lan_networks), C(vti_ike_id), C(vti_region), C(vti_platform), C(vti_transit_pool),
    C(vti_transit_pool_v6), C(vti_asn) and C(vti_state).
  - Makes the groups C(vti_hubs), C(vti_branches) (the spokes), C(vti_region_NAME), C(vti_platform_NAME), and
    C(vti_sites) with all of them. External sites become no hosts.
  - Numbers follow from the ids of both sites and nothing else, so that a site that comes, goes or gets another name
    renumbers nobody.
  - What cannot work is refused, with the names of both sites or links that are in each other's way. Ansible goes on
    after an inventory source has failed unless C(any_unparsed_is_failed) is set; therefore the variables are left
    undefined in the group C(all) then, and the role stops before it touches a host.
options:
  plugin:
    description: The name of this plugin.
    type: str
    required: true
    choices: [routed_ipsec.vti.topology]
  sites:
    description:
      - Sites by name. The keys of a site are the following.
      - C(id), from 1 to 11383, which it keeps for life. Ids up to 2845 leave room for four tunnels.
      - C(wan), its uplinks, a dictionary or a list of them, with C(name) (by default C(wan1), C(wan2)), C(address) and
        C(address6). C(wan_address) and C(wan_address6) are short for a single one.
      - C(lans), the networks behind it.
      - C(ike_id), its identity instead of the outer address.
      - C(region) and C(platform), for groups.
      - C(external), whether somebody else configures it.
      - C(hubs), of a spoke, the hubs that it has tunnels to, the first of which leads to other spokes. By default all.
      - C(slot), of a hub, from 1 to 4 and 1 by default. Hubs with a spoke in common need different ones. At both ends
        the unit of a spoke's tunnel is the spoke's id plus 2845 times the slot less one. A hub's second tunnel to a
        spoke takes the next slot, too.
      - C(transit_pool) and C(transit_pool_v6), of a hub, instead of those in O(pools). Each hub needs its own.
      - C(asn), its AS for BGP, instead of 4200000000 plus its id.
      - C(formerly), the name that it had, whose id in O(allocations) it keeps.
      - C(state), V(present) or V(absent). The latter is a site that goes. Nobody has a tunnel to it any more, its host
        is in the group C(vti_removed) and in none of the others, and its id is not free yet. The playbook
        C(routed_ipsec.vti.remove_site) takes it out at both ends.
      - Two hubs may have the same LAN unless O(routing=static).
    type: dict
    default: {}
  allocations:
    description:
      - A YAML file with the ids of sites that have no C(id) in O(sites), a name and its id on each line.
      - A path is relative to the description. Keep the file with the description, under version control.
      - A site that is in neither is refused unless O(allocate=true).
    type: str
  allocate:
    description:
      - Whether to write into O(allocations). Sites without an id get the smallest one that nobody has or has had, in
        the order of their names, and lines are renamed as C(formerly) says. Everything else in the file stays.
      - Nothing is written in check mode, or if the description is refused.
    type: bool
    default: false
    env:
      - name: VTI_ALLOCATE
    ini:
      - section: routed_ipsec_vti
        key: allocate
  hubs:
    description:
      - Names of the hubs, sites or groups of the inventory. The first one leads from spoke to spoke.
      - By default the hosts of the group C(vti_hubs).
    type: list
    elements: str
  spokes:
    description:
      - Names of the spokes, sites or groups of the inventory.
      - By default the hosts of the group C(vti_branches).
    type: list
    elements: str
  mesh:
    description: Names of sites, or groups of the inventory, that have a tunnel each to each.
    type: list
    elements: str
    default: []
  links:
    description:
      - More tunnels, and changes to those of the options above.
      - C(sites), the names of the two sites. Required.
      - C(tunnel), from 1 to 4 and 1 by default, which of the tunnels of these two it is. Routes use the first one.
      - C(wan), the name of the uplink by site. By default the first one.
      - C(starts), the name of the site that starts the tunnel, or V(both). By default the spoke, or the site with the
        higher id.
      - C(transit), C(transit_v6), C(unit) and C(reqid), instead of what follows from the ids.
      - C(phase1) and C(phase2), options as in O(defaults), and C(psk) as O(psk).
      - C(routing) and C(routing_key) as O(routing) and O(routing_key). A link with an external site is static
        unless its own C(routing) says otherwise.
    type: list
    elements: dict
    default: []
  pools:
    description:
      - Where the networks on the tunnels come from.
      - C(transit) and C(transit_v6), for a hub without its own. C(transit) is V(10.6.104.0/21) by default, and without
        the other one tunnels have no IPv6.
      - C(links) and C(links_v6), for tunnels that are not between a hub and its spoke.
      - C(prefix), V(30) or V(31), and C(prefix_v6), V(64) or V(127). The first ones are the defaults.
    type: dict
    default: {}
  defaults:
    description:
      - C(phase1) and C(phase2), options of P(routed_ipsec.vti.ipsec_phase1#module) and
        P(routed_ipsec.vti.ipsec_vti_phase2#module) that both ends of every tunnel get.
    type: dict
    default: {}
  routing:
    description:
      - How gateways learn what is behind their tunnels.
      - V(bgp) and V(ospf) need the role P(routed_ipsec.vti.frr#role), and cannot be mixed with each other.
    type: str
    choices: [static, bgp, ospf]
    default: static
  bgp:
    description:
      - For all sessions of BGP.
      - C(asn), one AS for all sites, whose hubs reflect routes; without it every site has its own. C(bfd) is true by
        default, C(graceful_restart) false, C(keepalive) 10 and C(holdtime) 30 seconds.
      - C(maximum_prefix), how many networks a neighbour may announce, by default twice what it should, and at least 10.
      - C(import_check), whether a site's LANs are announced only while it has a route to them, false by default.
    type: dict
    default: {}
  ospf:
    description:
      - For all interfaces of OSPFv2 and OSPFv3. C(area) is 0 by default, C(hello) 10 and C(dead) 40 seconds, C(bfd)
        true, C(mtu_ignore) false, C(key_id) 1.
    type: dict
    default: {}
  bfd:
    description: C(interval), milliseconds, 300 by default, and C(multiplier), 3 by default.
    type: dict
    default: {}
  routing_key:
    description:
      - A template, as O(psk), that gives the password of BGP sessions or the key of OSPF (at most 16 characters) on a
        link. By default there is none; what is spoken is inside the tunnel.
      - FRR has no passwords of BGP on FreeBSD without security associations for them, which the role refuses.
    type: str
  branch_to_branch:
    description: Whether spokes reach each other through their first hub.
    type: bool
    default: true
  summaries:
    description:
      - Networks that a spoke routes to its first hub in place of the networks of every other spoke.
      - A fleet of more than some hundred spokes needs them, as the number of routes grows with the square otherwise.
    type: list
    elements: str
    default: []
  psk:
    description:
      - A template that gives a tunnel's pre-shared key; the name of the link is in the variable C(link). It is
        evaluated when the key is used.
      - By default the item of O(psk_variable) with the link's name.
      - A link is named by its sites, the hub or the lower id first, as in C(hq--branch1); further tunnels of the same
        sites end with their number, as in C(hq--branch1--2).
    type: str
  psk_variable:
    description: The variable with the keys by link name, which belongs into a vault.
    type: str
    default: vti_psks
  use_vars_plugins:
    description: Whether to read C(host_vars) and C(group_vars) next to the inventory, too.
    type: bool
    default: true
seealso:
  - module: routed_ipsec.vti.vti_site
  - plugin_type: filter
    plugin: routed_ipsec.vti.hub_tunnels
"""

EXAMPLES = r"""
# fleet.vti.yml: two hubs, two branches, and a partner whose gateway is not ours.
plugin: routed_ipsec.vti.topology
sites:
  hq:
    id: 1
    wan: {address: 198.51.100.1}
    lans: [10.1.0.0/24]
  dc:
    id: 2
    slot: 2
    transit_pool: 10.6.112.0/21
    wan: {address: 198.51.100.2}
    lans: [10.2.0.0/24]
  branch1:
    id: 11
    region: north
    wan:
      - {name: fibre, address: 203.0.113.11}
      - {name: lte, address: 192.0.2.11}
    lans: [10.11.0.0/24]
  branch2:
    id: 12
    wan: {address: 203.0.113.12}
    lans: [10.12.0.0/24]
  partner:
    id: 900
    external: true
    wan: {address: 192.0.2.90}
    lans: [172.20.0.0/24]
hubs: [hq, dc]
spokes: [branch1, branch2]
links:
  - sites: [hq, partner]
    transit: 10.6.120.0/30
    phase1: {proposals: [aes256-sha256-modp2048]}
psk_variable: vault_vti_psks

# The hosts of the groups vti_hubs and vti_branches, as their variables describe them:
# plugin: routed_ipsec.vti.topology
"""

import contextlib
import gc
import os
import typing as t

import ansible.template
from ansible import context
from ansible.errors import AnsibleError, AnsibleParserError
from ansible.inventory.helpers import get_group_vars
from ansible.plugins.inventory import BaseInventoryPlugin
from ansible.utils.vars import combine_vars
from ansible.vars.plugins import get_vars_from_inventory_sources
from ansible_collections.routed_ipsec.vti.plugins.module_utils._core.errors import InvalidOption, VtiError
from ansible_collections.routed_ipsec.vti.plugins.plugin_utils import allocations, files, topology

# Said of each template, too: ansible-core 2.19 asks only the first plugin of a run for trusted_by_default.
# Before 2.19 strings need no trust.
trusted: t.Callable[[str], str] = getattr(ansible.template, "trust_as_template", str)
SUFFIXES = (".vti.yml", ".vti.yaml")
VARIABLES = {
    "id": "vti_site_id",
    "wan_address": "vti_wan_address",
    "wan_address6": "vti_wan_address6",
    "lans": "vti_lan_networks",
    "ike_id": "vti_ike_id",
    "region": "vti_region",
    "platform": "vti_platform",
    "transit_pool": "vti_transit_pool",
    "transit_pool_v6": "vti_transit_pool_v6",
    "asn": "vti_asn",
    "state": "vti_state",
}
"""Variables of a host that say what the description does not, by the key of a site."""
DESCRIPTION = (
    *("pools", "defaults", "branch_to_branch", "summaries", "links", "psk", "psk_variable"),
    *("routing", "bgp", "ospf", "bfd", "routing_key"),
)


class InventoryModule(BaseInventoryPlugin):
    """Ansible looks for this class."""

    NAME = "routed_ipsec.vti.topology"
    inventory: t.Any
    # The keys are templates. What other inventories say of a site cannot be one: topology.build refuses that.
    trusted_by_default = True

    def verify_file(self, path: str) -> bool:
        return bool(super().verify_file(path)) and path.endswith(SUFFIXES)

    def parse(self, inventory: t.Any, loader: t.Any, path: str, cache: bool = True) -> None:
        super().parse(inventory, loader, path, cache)
        with _without_collection():
            try:
                self._read_config_data(path)
                fleet = self._fleet(path)
            except (VtiError, AnsibleError) as error:
                self._refuse(f"{path}: {error}")
                raise AnsibleParserError(f"{path}: {error}") from error
            self._add(fleet)

    def _refuse(self, why: str) -> None:
        # Without this, empty lists would be a gateway's configuration, and purging would remove its tunnels.
        hint = why.replace("\\", "/").replace('"', "'").replace("\n", " ")
        options = [f"gateway_{option}" for option in ("phase1", "phase2", "assignments", "static_routes")]
        for variable in (*options, "frr_router", "vti_links"):
            self.inventory.set_variable("all", variable, trusted('{{ undef(hint="' + hint + '") }}'))

    def _fleet(self, path: str) -> topology.Fleet:
        description = self._description()
        name, is_writer = self.get_option("allocations"), self.get_option("allocate")
        if name is None:
            if is_writer:
                raise InvalidOption("allocate: needs allocations, the file to write ids into")
            return topology.build(description)
        file = os.path.realpath(os.path.join(os.path.dirname(os.path.abspath(path)), name))
        wishes = {site: _wish(record) for site, record in description["sites"].items()}
        while True:
            text = _read(name, file)
            settled = allocations.settle(name, text, wishes, allocate=is_writer)
            sites = {site: _numbered(record, settled.ids[site]) for site, record in description["sites"].items()}
            fleet = topology.build({**description, "sites": sites})
            # Another run may have written in the meantime.
            if settled.text == text or _is_dry() or _replace(name, file, text, settled.text):
                return fleet

    def _description(self) -> dict[str, t.Any]:
        description = {option: self.get_option(option) for option in DESCRIPTION}
        sites = {str(name): record for name, record in self.get_option("sites").items()}
        members = {
            "hubs": self._members(self.get_option("hubs"), sites, "vti_hubs"),
            "spokes": self._members(self.get_option("spokes"), sites, "vti_branches"),
            "mesh": self._members(self.get_option("mesh"), sites),
        }
        linked = (str(name) for link in description["links"] for name in _names(link))
        names = dict.fromkeys([*sites, *(name for group in members.values() for name in group), *linked])
        found = {name: self._record(name, sites.get(name)) for name in names if self._is_known(name, sites)}
        return {**description, **members, "sites": found}

    def _is_known(self, name: str, sites: dict[str, t.Any]) -> bool:
        return name in sites or name in self.inventory.hosts

    def _members(self, names: list[str] | None, sites: dict[str, t.Any], default: str = "") -> list[str]:
        """Sites by name, or by the name of a group of theirs."""
        if names is None:
            names = [default] if default in self.inventory.groups else []
        found: list[str] = []
        for name in names:
            is_group = not self._is_known(name, sites) and name in self.inventory.groups
            found += [host.name for host in self.inventory.groups[name].get_hosts()] if is_group else [name]
        return found

    def _record(self, name: str, given: t.Any) -> t.Any:
        """What the description says of a site, and what its host's variables say besides."""
        if name not in self.inventory.hosts or not (given is None or isinstance(given, dict)):
            return given
        variables = self._variables(self.inventory.hosts[name])
        record = dict(given or {})
        self.templar.available_variables = variables
        for key, variable in VARIABLES.items():
            is_given = key in record or (key.startswith("wan") and any(one.startswith("wan") for one in given or ()))
            if not is_given and variable in variables:
                record[key] = self.templar.template(variables[variable])
        return record

    def _variables(self, host: t.Any) -> dict[str, t.Any]:
        """As constructed reads them."""
        groups = host.get_groups()
        variables = get_group_vars(groups)
        sources = getattr(self.inventory, "processed_sources", [])
        if self.get_option("use_vars_plugins"):
            found = get_vars_from_inventory_sources(self.loader, sources, groups, "all")
            variables = combine_vars(variables, found)
        variables = combine_vars(variables, host.get_vars())
        if self.get_option("use_vars_plugins"):
            found = get_vars_from_inventory_sources(self.loader, sources, [host], "all")
            variables = combine_vars(variables, found)
        return dict(variables)

    def _add(self, fleet: topology.Fleet) -> None:
        """Nothing here can be refused any more."""
        groups = {"vti_hubs": fleet.hubs, "vti_branches": fleet.spokes}
        roles = {name: group for group, names in groups.items() for name in names}
        for group in (*groups, "vti_sites"):
            self.inventory.add_group(group)
        for name in (name for name, site in fleet.sites.items() if site.absent and not site.external):
            self._add_removed(name, (*groups, "vti_sites"))
        for name, tunnels in fleet.tunnels.items():
            site = fleet.sites[name]
            self.inventory.add_host(name)
            # The inventory's own set_variable copies each value to tag its texts with their source, which takes several
            # times as long as all the rest. These values are nobody else's, and what is a template has been marked.
            host = self.inventory.hosts[name]
            wanted = ["vti_sites", roles.get(name)]
            wanted += [f"vti_{key}_{getattr(site, key)}" for key in ("region", "platform") if getattr(site, key)]
            for group in filter(None, wanted):
                self.inventory.add_host(name, group=self.inventory.add_group(group))
            for phase1 in tunnels["phase1"]:
                if "psk" in phase1:
                    phase1["psk"] = trusted(phase1["psk"])
            for option, items in tunnels.items():
                host.set_variable(f"gateway_{option}", items)
            router = fleet.routers.get(name, {})
            for part, key in (("neighbors", "password"), ("interfaces", "key")):
                for item in (router.get("bgp") or router.get("ospf") or {}).get(part, ()):
                    if key in item:
                        item[key] = trusted(item[key])
            host.set_variable("frr_router", router)
            host.set_variable("vti_links", fleet.neighbors[name])

    def _add_removed(self, name: str, groups: t.Iterable[str]) -> None:
        """In no group whose hosts are deployed, whatever other inventories say."""
        self.inventory.add_host(name, group=self.inventory.add_group("vti_removed"))
        host = self.inventory.hosts[name]
        for group in (self.inventory.groups[name] for name in groups):
            # It may be in the group by way of another one, of a region for example.
            for one in (group, *group.get_descendants()):
                if host in one.hosts:
                    one.remove_host(host)


@contextlib.contextmanager
def _without_collection() -> t.Iterator[None]:
    """Nearly all that is made here stays; looking for garbage in it takes a third of the time of a large fleet."""
    was_enabled = gc.isenabled()
    gc.disable()
    try:
        yield
    finally:
        if was_enabled:
            gc.enable()


def _names(link: t.Any) -> t.Iterable[t.Any]:
    names = link.get("sites") if isinstance(link, dict) else None
    return names if isinstance(names, (list, tuple)) else ()


def _wish(record: t.Any) -> allocations.Wish:
    """What is no dictionary is refused with the description."""
    known = record if isinstance(record, dict) else {}
    return allocations.Wish(known.get("id"), None if known.get("formerly") is None else str(known["formerly"]))


def _numbered(record: t.Any, number: int) -> t.Any:
    return {**(record or {}), "id": number} if record is None or isinstance(record, dict) else record


def _is_dry() -> bool:
    return any(context.CLIARGS.get(option) for option in ("check", "syntax"))


def _read(name: str, path: str) -> str:
    """The file's text, empty if there is none yet."""
    try:
        with open(path, encoding="utf-8", newline="") as file:
            return file.read()
    except FileNotFoundError:
        return ""
    except (OSError, UnicodeDecodeError) as error:
        raise InvalidOption(f"allocations: {name}: {error}") from None


def _replace(name: str, path: str, old: str, new: str) -> bool:
    """Replace the file in one move, unless its text is no longer the old one."""
    try:
        # The directory itself is locked: the file is replaced, and one more beside it would have to be cleaned up.
        with files.locked(os.path.dirname(path)):
            if _read(name, path) != old:
                return False
            files.replace(path, new, os.stat(path).st_mode & 0o777 if os.path.exists(path) else 0o644)
    except OSError as error:
        raise InvalidOption(f"allocations: {name}: cannot be written ({error}); see to the directory") from None
    return True
