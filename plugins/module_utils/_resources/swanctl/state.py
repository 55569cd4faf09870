# Copyright: Contributors to the routed_ipsec.vti project
# GNU General Public License v3.0+ (see COPYING or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

"""What swanctl(8) has loaded into charon, and how to make it load more."""

from __future__ import annotations

import dataclasses
import fnmatch
import functools
import posixpath
import re
import typing as t

from ..._core.errors import CommandError, ParseError
from ..._core.steps import Command, Result, Step, anyhow, nonzero
from ..._formats import settings, vici

if t.TYPE_CHECKING:
    from collections.abc import Iterator, Mapping

    from ..._core.system import System

LISTING_TIMEOUT = 20.0
LOADING_TIMEOUT = 120.0
"""Seconds that charon may take to answer; loading a thousand connections takes a while."""

UP = frozenset({"INSTALLED", "REKEYING", "REKEYED", "UPDATING"})
"""States of a CHILD SA that carries traffic (strongSwan: child_sa.h)."""


@dataclasses.dataclass(frozen=True)
class Loaded:
    """A connection as charon has it, as far as ``--list-conns`` tells; children with their selectors."""

    local_addrs: tuple[str, ...]
    remote_addrs: tuple[str, ...]
    version: str
    children: Mapping[str, tuple[tuple[str, ...], tuple[str, ...]]]

    def describe(self) -> dict[str, t.Any]:
        return {
            "local_addrs": list(self.local_addrs),
            "remote_addrs": list(self.remote_addrs),
            "version": self.version,
            "children": {
                name: {"local_ts": list(local), "remote_ts": list(remote)}
                for name, (local, remote) in self.children.items()
            },
        }


@dataclasses.dataclass(frozen=True)
class Configured:
    """All swanctl.conf includes: connections by name with the file they come from, and what is wrong with files."""

    connections: Mapping[str, tuple[str, Mapping[str, t.Any]]]
    problems: tuple[str, ...]


def _complaint(result: Result) -> str | None:
    if result.rc == 0:
        return None
    first = result.stderr.strip().splitlines()[:1]
    return (
        f"charon does not answer swanctl ({first[0] if first else f'exit status {result.rc}'}); start strongSwan first"
    )


def listing(system: System, what: str) -> tuple[list[vici.Message], str | None]:
    """The events of ``swanctl --list-WHAT --pretty``, and why there are none when charon does not answer."""
    try:
        result = system.run(("swanctl", f"--list-{what}", "--pretty"), timeout=LISTING_TIMEOUT)
    except CommandError as error:
        return [], str(error)
    complaint = _complaint(result)
    if complaint:
        return [], complaint
    return [message for message in vici.parse(result.stdout) if message.kind == "event"], None


def loaded(messages: list[vici.Message]) -> dict[str, Loaded]:
    found = {}
    for message in messages:
        for name, body in message.body.items():
            if isinstance(body, (str, tuple)):
                raise ParseError(f"swanctl --list-conns: connection {name} is no section")
            children = t.cast("Mapping[str, t.Any]", body.get("children", {}))
            found[name] = Loaded(
                _list(body, "local_addrs"),
                _list(body, "remote_addrs"),
                str(body.get("version", "")),
                {
                    child: (_list(section, "local-ts"), _list(section, "remote-ts"))
                    for child, section in children.items()
                },
            )
    return found


def tunnel_mode(messages: list[vici.Message]) -> dict[str, tuple[str, ...]]:
    """The children in tunnel mode by connection; whether they have policies is not told."""
    return {
        name: tuple(child for child, section in children.items() if section.get("mode") == "TUNNEL")
        for message in messages
        for name, body in message.body.items()
        for children in [t.cast("Mapping[str, t.Any]", t.cast("Mapping[str, t.Any]", body).get("children", {}))]
    }


def _list(body: Mapping[str, t.Any], key: str) -> tuple[str, ...]:
    value = body.get(key, ())
    return (value,) if isinstance(value, str) else tuple(value)


def associations(messages: list[vici.Message]) -> tuple[dict[str, t.Any], ...]:
    """The IKE SAs, each with its connection's name and its children as a list; numbers as strongSwan prints them."""
    found = []
    for message in messages:
        for name, body in message.body.items():
            section = dict(t.cast("Mapping[str, t.Any]", body))
            children = t.cast("Mapping[str, t.Any]", section.pop("child-sas", {}))
            found.append({"connection": name, **section, "children": [dict(child) for child in children.values()]})
    return tuple(found)


def is_up(sas: tuple[dict[str, t.Any], ...], connection: str, child: str) -> bool:
    return any(
        sa["connection"] == connection and item.get("name") == child and item.get("state") in UP
        for sa in sas
        for item in sa["children"]
    )


def configured(system: System, directory: str) -> Configured:
    """Read swanctl.conf and what it includes, a person's files too, as strongSwan will when told to load."""
    connections: dict[str, tuple[str, Mapping[str, t.Any]]] = {}
    problems: list[str] = []
    main = posixpath.join(directory, "swanctl.conf")
    seen: list[str] = []
    patterns: set[str] = set()
    pending = [main]
    while pending:
        path = pending.pop(0)
        seen.append(path)
        file = system.read(path)
        try:
            document = settings.read("" if file is None else file.content)
        except ParseError as error:
            problems.append(f"{path}: {error}; strongSwan would unload every connection: mend the file first")
            continue
        for pattern in (posixpath.join(directory, include) for include in document.includes):
            patterns.add(pattern)
            pending.extend(item for item in _expand(system, pattern) if item not in seen)
        section = document.values.get("connections", {})
        if not isinstance(section, str):
            for name, body in section.items():
                connections[name] = (path, {} if isinstance(body, str) else body)
    if not problems and f"{directory}/conf.d/*.conf" not in patterns:
        problems.append(f"{main}: does not include conf.d/*.conf; add the line 'include conf.d/*.conf'")
    return Configured(connections, tuple(problems))


def _expand(system: System, pattern: str) -> list[str]:
    directory, base = posixpath.split(pattern)
    if not re.search(r"[*?\[]", base):
        return [pattern]
    return [
        posixpath.join(directory, name)
        for name in system.names(directory)
        if fnmatch.fnmatchcase(name, base) and not name.startswith(".")
    ]


def load(ours: frozenset[str]) -> Step:
    """Load credentials and connections; unchanged connections keep their SAs (strongSwan: vici_config.c)."""
    return Command(("swanctl", "--load-all", "--noprompt"), functools.partial(_refused, ours), timeout=LOADING_TIMEOUT)


def _refused(ours: frozenset[str], result: Result) -> str | None:
    """A syntax error exits with 0; a connection of somebody else's that strongSwan refuses is not our failure."""
    if "invalid config file" in result.stderr:
        return f"swanctl.conf: strongSwan cannot read it: {result.stderr.strip()}; mend the file first"
    refused = re.findall(r"loading connection '([^']*)' failed: (.*)", result.stderr)
    if refused:
        return next(
            (f"phase1: strongSwan refuses {name}: {why}; correct its options" for name, why in refused if name in ours),
            None,
        )
    missing = re.search(r"loading (\w+) certificate '([^']*)' failed: (.*)", result.stderr)
    if missing:
        option = "remote_cacerts" if missing[1] == "cacerts" else "local_certs"
        return f"{option}: strongSwan cannot load the certificate {missing[2]}: {missing[3]}; put it there first"
    return nonzero(result)


def terminate(sa: Mapping[str, t.Any]) -> Step:
    """End an IKE SA with its children; one that has ended by itself meanwhile is no failure."""
    return Command(("swanctl", "--terminate", "--ike-id", str(sa["uniqueid"]), "--timeout", "5"), anyhow)


def initiate(connection: str, child: str) -> Step:
    """Start a CHILD SA and do not wait for it."""
    return Command(("swanctl", "--initiate", "--ike", connection, "--child", child, "--timeout", "1"), anyhow)


def establish(connection: str, child: str, peer: str, seconds: int) -> Step:
    """Start a CHILD SA and insist that it comes up in time."""
    return Command(
        ("swanctl", "--initiate", "--ike", connection, "--child", child, "--timeout", str(seconds)),
        functools.partial(_not_established, connection, child, peer, seconds),
        timeout=seconds + LISTING_TIMEOUT,
    )


_CAUSES = (
    (
        r"AUTH(ENTICATION)?_FAILED",
        "psk: phase 1 {connection}: the peer {peer} refuses our authentication; compare psk, local_id and "
        "remote_id at both ends",
    ),
    (
        r"MAC mismatched|tried \d+ shared key|no shared key found",
        "psk: phase 1 {connection}: the peer {peer} does not prove the same key; compare psk, local_id and "
        "remote_id at both ends",
    ),
    (
        r"CHILD_SA.*NO_PROPOSAL_CHOSEN|NO_PROPOSAL_CHOSEN.*CHILD_SA|failed to establish CHILD_SA",
        "esp_proposals: phase 2 {child}: the peer {peer} accepts none of them; make both ends equal",
    ),
    (
        r"NO_PROPOSAL_CHOSEN",
        "proposals: phase 1 {connection}: the peer {peer} accepts none of them; make both ends equal",
    ),
    (
        r"TS_UNACCEPTABLE",
        "remote_ts: phase 2 {child}: the peer {peer} does not accept the traffic selectors; make both ends equal",
    ),
)
_DUPLICATE = "due to existing duplicate"


def _not_established(connection: str, child: str, peer: str, seconds: int, result: Result) -> str | None:
    if result.rc == 0 or _DUPLICATE in result.stdout:
        return None
    said = f"{result.stdout}\n{result.stderr}"
    for pattern, message in _CAUSES:
        if re.search(pattern, said):
            return message.format(connection=connection, child=child, peer=peer)
    last = result.stderr.strip() or f"exit status {result.rc}"
    return (
        f"remote_addrs: phase 1 {connection}: no tunnel with the peer {peer} within {seconds} s (establish_timeout); "
        f"is it reachable and configured? ({last})"
    )


def load_and_settle(
    ours: frozenset[str],
    stale: tuple[Mapping[str, t.Any], ...],
    restart: tuple[tuple[str, str], ...],
) -> Iterator[Step]:
    """Load, end the SAs that were made from a replaced configuration, and start again those that we start."""
    yield load(ours)
    for sa in stale:
        yield terminate(sa)
    for connection, child in restart:
        yield initiate(connection, child)
