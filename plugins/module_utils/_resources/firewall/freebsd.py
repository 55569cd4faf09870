# Copyright: Contributors to the routed_ipsec.vti project
# GNU General Public License v3.0+ (see COPYING or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

"""Rules for tunnels in a pf(4) anchor: what passes to and from the peers outside, and inside the tunnels."""

from __future__ import annotations

import dataclasses
import re
import typing as t

from ..._core.steps import Batch, Step, anyhow, command, nonzero
from ..._formats import block

if t.TYPE_CHECKING:
    from collections.abc import Iterable, Iterator, Mapping

    from ..._core.system import System
    from ..phase1.state import Phase1

ANCHOR = "routed_ipsec/tunnels"
RULES = "/usr/local/etc/routed_ipsec/pf.conf"
POLICY_ANCHOR = "routed_ipsec/policy"
POLICY_RULES = "/usr/local/etc/routed_ipsec/policy.conf"
SCRUB = "/usr/local/etc/routed_ipsec/scrub.conf"
FILES = (RULES, POLICY_RULES, SCRUB)
PF_CONF = "/etc/pf.conf"


@dataclasses.dataclass(frozen=True)
class Line:
    """A line that pf.conf(5) needs, and how it is recognised in a person's spelling."""

    text: str
    pattern: re.Pattern[str]


def _anchor_line(keyword: str) -> Line:
    """The place where our rules of a kind count."""
    form = rf'^\s*{keyword}\s+"?routed_ipsec(/\*|/tunnels)?"?(\s+all)?\s*$'
    return Line(f'{keyword} "{ANCHOR.partition("/")[0]}/*"', re.compile(form, re.MULTILINE))


def _load_line(anchor: str, path: str) -> Line:
    """Where an anchor's rules come from at boot."""
    form = rf'^\s*load\s+anchor\s+"?{re.escape(anchor)}"?\s+from\s+"?{re.escape(path)}"?\s*$'
    return Line(f'load anchor "{anchor}" from "{path}"', re.compile(form, re.MULTILINE))


INCLUDE = Line(f'include "{SCRUB}"', re.compile(rf'^\s*include\s+"?{re.escape(SCRUB)}"?\s*$', re.MULTILINE))
"""scrub rules count in the main ruleset only (sys/netpfil/pf/pf_norm.c), so no anchor can hold them."""
NAT = _anchor_line("nat-anchor")
FILTER = _anchor_line("anchor")
LOAD = _load_line(ANCHOR, RULES)
LOAD_POLICY = _load_line(POLICY_ANCHOR, POLICY_RULES)

_FILTERING = r"(?:nat-|rdr-|binat-)?anchor|load|antispoof|pass|block|match"
_AFTER_SCRUB = re.compile(rf"^[ \t]*(?:(?:no[ \t]+)?(?:scrub|nat|rdr|binat)\b|altq|queue|{_FILTERING})", re.MULTILINE)
"""Before what pf.conf(5) wants our scrub rules; before a person's too, for the first that matches wins."""
_AFTER_NAT = re.compile(rf"^[ \t]*(?:(?:no[ \t]+)?(?:nat|rdr|binat)\b|{_FILTERING})", re.MULTILINE)
"""Before what the place of our translation comes, which is after normalization and queueing."""


@dataclasses.dataclass(frozen=True)
class Needs:
    """What our rules need beside the tunnels' anchor."""

    scrub: bool = False
    nat: bool = False
    policy: bool = False

    @property
    def lines(self) -> tuple[Line, ...]:
        return (*((INCLUDE,) if self.scrub else ()), *((NAT,) if self.nat else ()), *self.end)

    @property
    def end(self) -> tuple[Line, ...]:
        return (FILTER, LOAD, *((LOAD_POLICY,) if self.policy else ()))


Decision = t.Tuple[str, t.FrozenSet[str]]
"""What a rule does: pass or block, and the next hops that it sends packets to."""

_HOP = re.compile(r"\(([A-Za-z]\S*) ([0-9a-f.:]+)\)")


@dataclasses.dataclass(frozen=True)
class Firewall:
    """pf's running state: whether it filters at all, whether the tunnels' anchor has rules, what the policy's has.

    ``policy_lines`` are those that the policy's anchor should have, with the gateways as they are now.
    """

    running: bool
    loaded: bool
    policy: tuple[Decision, ...] = ()
    policy_lines: tuple[str, ...] = dataclasses.field(default=(), compare=False)

    def describe(self) -> dict[str, t.Any]:
        policy = [" ".join((action, *sorted(hops))) for action, hops in self.policy]
        return {"running": self.running, "loaded": self.loaded, "policy": policy}


def observe(system: System) -> Firewall:
    """pfctl fails without the module pf; an anchor without rules is none (both seen on FreeBSD 13.2)."""
    info = system.run(("pfctl", "-si"))
    if info.rc != 0 or not re.search(r"^Status: Enabled", info.stdout, re.MULTILINE):
        return Firewall(running=False, loaded=False)
    rules = system.read(RULES)
    translates = rules is not None and has_nat(rules.content)
    loaded = bool(_listed(system, ANCHOR, "-sr") or (translates and _listed(system, ANCHOR, "-sn")))
    policy = _listed(system, POLICY_ANCHOR, "-sr") if system.exists(POLICY_RULES) else ""
    return Firewall(True, loaded, decisions(policy.splitlines()))


def _listed(system: System, anchor: str, what: str) -> str:
    return system.run(("pfctl", "-a", anchor, what)).stdout.strip()


def decisions(rules: Iterable[str]) -> tuple[Decision, ...]:
    """What rules do, in order: as they are written, and as pfctl lists them, where a list has become several rules."""
    found: list[Decision] = []
    for rule in rules:
        action, _blank, rest = rule.partition(" ")
        if action in ("pass", "block"):
            decision = (action, frozenset(f"{interface} {address}" for interface, address in _HOP.findall(rest)))
            if found[-1:] != [decision]:
                found.append(decision)
    return tuple(found)


def has_nat(rules: str) -> bool:
    return bool(re.search(r"^nat ", rules, re.MULTILINE))


def translation(interfaces: Iterable[str]) -> Iterator[str]:
    """Outbound NAT: what leaves through these interfaces bears their own address."""
    for name in sorted(interfaces):
        for family in ("inet", "inet6"):
            yield f"nat on {name} {family} from ! ({name}) to any -> ({name})"


def clamps(sizes: Mapping[str, int]) -> Iterator[str]:
    """MSS of TCP in both directions; ``sizes`` by interface, headers included."""
    for name, size in sorted(sizes.items()):
        for family, headers in (("inet", 40), ("inet6", 60)):
            yield f"scrub on {name} {family} all max-mss {size - headers}"


def outer(phase1: Phase1) -> Iterator[str]:
    """IKE and ESP with the peer. Not quick: a rule of a person after the anchor wins."""
    local, remote = phase1.local or "any", phase1.remote or "any"
    family = "" if local == remote == "any" else "inet6 " if ":" in local + remote else "inet "
    here = f"{{ {phase1.local_port} }}" if phase1.local_port else "{ 500 4500 }"
    there = f"{{ {phase1.remote_port} }}" if phase1.remote_port else "{ 500 4500 }"
    yield f"pass in {family}proto udp from {remote} to {local} port {here} keep state"
    yield f"pass out {family}proto udp from {local} to {remote} port {there} keep state"
    yield f"pass in {family}proto esp from {remote} to {local} keep state"
    yield f"pass out {family}proto esp from {local} to {remote} keep state"


def inner(mode: str, interfaces: Iterable[str]) -> Iterator[str]:
    """Everything inside the tunnels.

    In mode enc a connection comes in on enc0 and its replies leave through ipsecX too: states bound to an interface
    would match only one of the two, so ours float whatever the state policy is.
    """
    if mode == "enc":
        yield "pass in on enc0 all keep state (floating)"
        yield "pass out on enc0 all keep state (floating)"
        for name in interfaces:
            yield f"pass out on {name} all keep state (floating)"
        return
    for name in interfaces:
        yield f"pass in on {name} all keep state"
        yield f"pass out on {name} all keep state"


def with_lines(text: str, needs: Needs) -> str:
    """pf.conf with our blocks; nothing is added that a person has written already."""
    bare = block.bare(text, "pf.conf")
    end = [line.text for line in needs.end if not line.pattern.search(bare)]
    text = block.write(bare, end or None, "pf.conf")
    if needs.nat and not NAT.pattern.search(bare):
        text = block.insert(text, "translation", [NAT.text], _AFTER_NAT)
    if needs.scrub and not INCLUDE.pattern.search(bare):
        text = block.insert(text, "normalization", [INCLUDE.text], _AFTER_SCRUB)
    return text


def complaint(firewall: Firewall, pf_conf: str | None, needs: Needs) -> str | None:
    """Why our rules do not count, or will not after the next boot; None when all is well."""
    if not firewall.running:
        return "pf is off: the rules are written, but not enforced"
    text = pf_conf or ""
    missing = [line.text for line in needs.lines if not line.pattern.search(text)]
    if missing:
        return f"{PF_CONF} lacks {' and '.join(missing)}; add what is missing, or set manage_pf_conf=true"
    return None


def refers(pf_conf: str | None, line: Line) -> bool:
    """Whether a person's own line reads a file of ours at boot: without the file pf would then load nothing at all."""
    return pf_conf is not None and bool(line.pattern.search(block.bare(pf_conf, "pf.conf")))


def check_rules(text: str) -> Step:
    """Have pfctl read rules before they are used."""
    return Batch(("pfctl", "-a", ANCHOR, "-nf", "-"), tuple(text.splitlines()))


def check_policy(lines: tuple[str, ...]) -> Step:
    return Batch(("pfctl", "-a", POLICY_ANCHOR, "-nf", "-"), lines)


def load_policy(lines: tuple[str, ...]) -> Step:
    """From standard input: the file holds what a boot begins with, all gateways being up."""
    return Batch(("pfctl", "-a", POLICY_ANCHOR, "-f", "-"), lines)


def clear_policy() -> Step:
    return command("pfctl", "-a", POLICY_ANCHOR, "-F", "rules")


def check_pf_conf(text: str) -> Step:
    return Batch(("pfctl", "-nf", "-"), tuple(text.splitlines()))


def load_rules() -> Step:
    return command("pfctl", "-a", ANCHOR, "-f", RULES)


def load_pf_conf(*, ours: bool) -> Step:
    """Unless what changed is ``ours``, a file that pf refuses is a person's to mend, and pf goes on as it is."""
    return command("pfctl", "-f", PF_CONF, failure=nonzero if ours else anyhow)


def clear_rules(*, nat: bool) -> Iterator[Step]:
    yield command("pfctl", "-a", ANCHOR, "-F", "rules")
    if nat:
        yield command("pfctl", "-a", ANCHOR, "-F", "nat")
