# Copyright: Contributors to the routed_ipsec.vti project
# GNU General Public License v3.0+ (see COPYING or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

"""Rules for tunnels in a pf(4) anchor: what passes to and from the peers outside, and inside the tunnels."""

from __future__ import annotations

import dataclasses
import re
import typing as t

from ..._core.steps import Batch, Step, command
from ..._formats import block

if t.TYPE_CHECKING:
    from collections.abc import Iterable, Iterator

    from ..._core.system import System
    from ..phase1.state import Phase1

ANCHOR = "routed_ipsec/tunnels"
RULES = "/usr/local/etc/routed_ipsec/pf.conf"
PF_CONF = "/etc/pf.conf"
LINES = (f'anchor "{ANCHOR.partition("/")[0]}/*"', f'load anchor "{ANCHOR}" from "{RULES}"')
"""What pf.conf(5) needs: the place where our rules count, and where they come from at boot."""

_ANCHORED = re.compile(r'^\s*anchor\s+"?routed_ipsec(/\*|/tunnels)?"?(\s+all)?\s*$', re.MULTILINE)
_LOADED = re.compile(rf'^\s*load\s+anchor\s+"?{re.escape(ANCHOR)}"?\s+from\s+"?{re.escape(RULES)}"?\s*$', re.MULTILINE)


@dataclasses.dataclass(frozen=True)
class Firewall:
    """pf's running state: whether it filters at all, and whether our anchor has rules."""

    running: bool
    loaded: bool

    def describe(self) -> dict[str, bool]:
        return {"running": self.running, "loaded": self.loaded}


def observe(system: System) -> Firewall:
    """pfctl fails without the module pf; an anchor without rules is none (both seen on FreeBSD 13.2)."""
    info = system.run(("pfctl", "-si"))
    if info.rc != 0 or not re.search(r"^Status: Enabled", info.stdout, re.MULTILINE):
        return Firewall(running=False, loaded=False)
    return Firewall(running=True, loaded=bool(system.run(("pfctl", "-a", ANCHOR, "-sr")).stdout.strip()))


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


def with_lines(text: str, *, wanted: bool) -> str:
    """pf.conf with our block or without; nothing is added that a person has written already."""
    bare = block.write(text, None, "pf.conf")
    missing = [line for line, there in zip(LINES, (_ANCHORED, _LOADED)) if not there.search(bare)]
    return block.write(text, missing or None, "pf.conf") if wanted else bare


def complaint(firewall: Firewall, pf_conf: str | None) -> str | None:
    """Why our rules do not count, or will not after the next boot; None when all is well."""
    if not firewall.running:
        return "pf is off: the rules are written, but not enforced"
    text = pf_conf or ""
    missing = [line for line, there in zip(LINES, (_ANCHORED, _LOADED)) if not there.search(text)]
    if missing:
        return f"{PF_CONF} lacks {' and '.join(missing)}; add what is missing, or set manage_pf_conf=true"
    return None


def refers(pf_conf: str | None) -> bool:
    """Whether a person's own lines load our rules at boot: without the file pf would then load nothing at all."""
    return pf_conf is not None and bool(_LOADED.search(block.write(pf_conf, None, "pf.conf")))


def check_rules(text: str) -> Step:
    """Have pfctl read rules before they are used."""
    return Batch(("pfctl", "-a", ANCHOR, "-nf", "-"), tuple(text.splitlines()))


def check_pf_conf(text: str) -> Step:
    return Batch(("pfctl", "-nf", "-"), tuple(text.splitlines()))


def load_rules() -> Step:
    return command("pfctl", "-a", ANCHOR, "-f", RULES)


def load_pf_conf() -> Step:
    return command("pfctl", "-f", PF_CONF)


def clear_rules() -> Step:
    return command("pfctl", "-a", ANCHOR, "-F", "rules")
