# Copyright: Contributors to the routed_ipsec.vti project
# GNU General Public License v3.0+ (see COPYING or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

"""The IKE daemon of a simulated host: connections, secrets, SAs and their negotiation with other hosts."""

from __future__ import annotations

import hashlib
import ipaddress
import time
from collections.abc import Iterator
from typing import TYPE_CHECKING, Any

from . import ike
from .ike import Section

if TYPE_CHECKING:
    from .freebsd import FreeBSD

Sa = dict[str, Any]

_ANY = ("%any", "%any4", "%any6", "0.0.0.0", "::", "0.0.0.0/0", "::/0")
_RETRANSMITTING = 165  # seconds until charon gives up on a peer that does not answer
_INIT = "SA KE No N(NATD_S_IP) N(NATD_D_IP) N(FRAG_SUP) N(HASH_ALG)"
_AUTH_TAIL = "N(MOBIKE_SUP) N(ADD_4_ADDR) N(ADD_4_ADDR) N(ADD_6_ADDR)"
_ERRORS = {"NO_PROP": "NO_PROPOSAL_CHOSEN", "AUTH_FAILED": "AUTHENTICATION_FAILED", "TS_UNACCEPT": "TS_UNACCEPTABLE"}


class Log:
    """What an operation tells its caller: (group, level, text) rows, and in which IKE_SA."""

    def __init__(self) -> None:
        self.rows: list[tuple[str, int, str]] = []
        self.ike: tuple[str, int] = ("", 0)

    def say(self, group: str, text: str, level: int = 1) -> None:
        self.rows.append((group, level, text))


class Charon:
    """charon over the host's state."""

    def __init__(self, host: FreeBSD) -> None:
        self.host = host

    @property
    def state(self) -> dict[str, Any]:
        """running, since, conns, secrets, sas, traps, next_ike, next_child."""
        state: dict[str, Any] = self.host.state["charon"]
        return state

    # -- the daemon --

    def start(self) -> None:
        """Start with nothing loaded."""
        self.state.update(
            running=True, since=time.time(), conns={}, secrets={}, sas=[], traps=[], next_ike=1, next_child=1
        )

    def stop(self) -> None:
        """Say goodbye to all peers and end."""
        for sa in list(self.state["sas"]):
            self.delete_ike(sa)
        self.state.update(running=False, conns={}, secrets={}, sas=[], traps=[])

    def children(self, reqid: int | None = None) -> Iterator[Sa]:
        """The installed CHILD_SAs, of one reqid or all."""
        for sa in self.state["sas"]:
            for child in sa["children"]:
                if reqid in (None, child["reqid"]):
                    yield child

    def forget_kernel_state(self) -> None:
        """The kernel lost its SAs (setkey -F): children are gone, IKE_SAs stay."""
        for sa in self.state["sas"]:
            sa["children"] = []

    def acquire(self, reqid: int) -> None:
        """The kernel asks for an SA of a trapped child."""
        for name, child in self.state["traps"]:
            section = self.state["conns"].get(name, {}).get("children", {}).get(child, {})
            if ike.number32(section.get("reqid", "0")) == reqid:
                self.initiate(name, child, Log())

    # -- connections --

    def load(self, name: str, new: Section) -> None:
        """Load or replace a connection as merge_config of strongSwan's vici plugin does. Raises ike.Refused."""
        ike.check_connection(new)
        old = self.state["conns"].get(name)
        same_peer = old is not None and _peer_part(old) == _peer_part(new)
        if same_peer and old is not None:
            stays = {child for child, section in children(new).items() if children(old).get(child) == section}
        else:
            stays = set()
        if old is not None:
            for child in children(old):
                if child not in stays:
                    self._undo(name, old, child)
            if not same_peer:
                del self.state["conns"][name]
        self.state["conns"][name] = new
        for child in children(new):
            if child not in stays:
                self._run(name, child)

    def unload(self, name: str) -> None:
        """Forget a connection; SAs that its start action did not make stay up."""
        old = self.state["conns"].pop(name)
        for child in children(old):
            self._undo(name, old, child)

    def _run(self, name: str, child: str) -> None:
        wanted = ike.actions(children(self.state["conns"][name])[child].get("start_action", "none"))
        if "trap" in wanted and [name, child] not in self.state["traps"]:
            self.state["traps"].append([name, child])
        if "start" in wanted:
            self.initiate(name, child, Log())

    def _undo(self, name: str, connection: Section, child: str) -> None:
        wanted = ike.actions(children(connection)[child].get("start_action", "none"))
        if [name, child] in self.state["traps"]:
            self.state["traps"].remove([name, child])
        if "start" not in wanted:
            return
        for sa in [sa for sa in self.state["sas"] if sa["name"] == name]:
            others = [entry for entry in sa["children"] if entry["name"] != child]
            if sa["children"] and others:
                for entry in [entry for entry in sa["children"] if entry["name"] == child]:
                    self.delete_child(sa, entry)
            elif sa["children"] or sa["state"] == "CONNECTING":
                self.delete_ike(sa)

    def find_child(self, child: str, connection: str | None) -> str | None:
        """The connection that configures a child."""
        for name, section in self.state["conns"].items():
            if child in children(section) and connection in (None, name):
                return str(name)
        return None

    # -- negotiation --

    def initiate(self, name: str, child: str | None, log: Log) -> bool | None:
        """Establish a child (or the IKE_SA alone). True, False for failed, None for a peer that does not answer."""
        connection = self.state["conns"][name]
        sa = next((sa for sa in self.state["sas"] if sa["name"] == name and sa["state"] == "ESTABLISHED"), None)
        number = 0
        if child is not None:
            number = self._next("child")
        if sa is not None:
            log.ike = (name, sa["uniqueid"])
            return True if child is None else self._create_child(sa, connection, child, number, log)
        self.state["sas"] = [sa for sa in self.state["sas"] if sa["name"] != name]
        ends = self._endpoints(connection)
        unique = self._next("ike")
        log.ike = (name, unique)
        if ends is None:
            log.say("IKE", "unable to resolve %any, initiate aborted")
            return False
        local, remote = ends
        log.say("IKE", f"initiating IKE_SA {name}[{unique}] to {remote}", 0)
        log.say("ENC", f"generating IKE_SA_INIT request 0 [ {_INIT} N(REDIR_SUP) ]")
        log.say("NET", f"sending packet: from {local}[500] to {remote}[500] (464 bytes)")
        peer = self._peer(local, remote)
        if peer is None:
            self._unanswered(name, child, unique, local, remote, log)
            return None
        return self._exchange(peer, name, child, (unique, number), (local, remote), log)

    def _next(self, what: str) -> int:
        number = int(self.state[f"next_{what}"])
        self.state[f"next_{what}"] = number + 1
        return number

    def _endpoints(self, connection: Section) -> tuple[str, str] | None:
        remotes = [a for a in ike.listed(connection.get("remote_addrs", "%any")) if a not in _ANY and "/" not in a]
        for remote in remotes:
            remote = self.host.network.resolve(remote)
            locals_ = [a for a in ike.listed(connection.get("local_addrs", "%any")) if a not in _ANY]
            if not locals_:
                from .kernel import source_address

                locals_ = [source_address(self.host, remote) or ""]
            for local in locals_:
                if self.host.interfaces.owner(local):
                    return local, remote
        return None

    def _peer(self, local: str, remote: str) -> FreeBSD | None:
        """The host at the remote address, if its daemon answers."""
        route = self.host.routing.lookup(remote)
        if route is None:
            return None
        for other in self.host.network.others(self.host):
            if other.interfaces.owner(remote) and other.charon.state["running"]:
                return other
        return None

    def _unanswered(self, name: str, child: str | None, unique: int, local: str, remote: str, log: Log) -> None:
        log.say("IKE", "retransmit 1 of request with message ID 0")
        log.say("NET", f"sending packet: from {local}[500] to {remote}[500] (464 bytes)")
        sa = _new_sa(name, unique, local, remote, "%any", "%any", initiator=True)
        sa.update(state="CONNECTING", wanted=child, until=time.time() + _RETRANSMITTING)
        sa["local-port"] = sa["remote-port"] = 500
        self.state["sas"].append(sa)

    def retry(self) -> None:
        """What retransmission would have done by now: reach peers that have come up, give up on the others."""
        for sa in [sa for sa in self.state["sas"] if sa["state"] == "CONNECTING"]:
            answers = self._peer(sa["local-host"], sa["remote-host"]) is not None
            if answers or sa["until"] < time.time():
                self.state["sas"].remove(sa)
            if answers and sa["name"] in self.state["conns"]:
                self.initiate(sa["name"], sa["wanted"], Log())

    def _exchange(
        self, peer: FreeBSD, name: str, child: str | None, numbers: tuple[int, int], ends: tuple[str, str], log: Log
    ) -> bool:
        connection, (local, remote) = self.state["conns"][name], ends
        unique, number = numbers
        ours = ike.proposals(connection.get("proposals", ""), ike=True)
        candidates = peer.charon.candidates(remote, local, connection.get("version", "0"))
        chosen = None
        for _rest, theirs in candidates:
            chosen = chosen or ike.select(ours, ike.proposals(theirs.get("proposals", ""), ike=True), with_dh=True)
        if chosen is None:
            return self._refused(log, 500, ends, "IKE_SA_INIT response 0", "NO_PROP", 36)
        log.say("NET", f"received packet: from {remote}[500] to {local}[500] (472 bytes)")
        log.say("ENC", f"parsed IKE_SA_INIT response 0 [ {_INIT} N(CHDLESS_SUP) N(MULT_AUTH) ]")
        log.say("CFG", f"selected proposal: {_ike_proposal(chosen)}")
        local_id, remote_id = _ids(connection, local, "%any")
        log.say("IKE", f"authentication of '{local_id}' (myself) with pre-shared key")
        inner = ""
        if child is not None:
            log.say("IKE", f"establishing CHILD_SA {child}{{{number}}}", 0)
            inner = "N(ESP_TFC_PAD_N) SA TSi TSr "
        log.say(
            "ENC",
            f"generating IKE_AUTH request 1 [ IDi N(INIT_CONTACT) IDr AUTH {inner}{_AUTH_TAIL}"
            " N(MULT_AUTH) N(EAP_ONLY) N(MSG_ID_SYN_SUP) ]",
        )
        log.say("NET", f"sending packet: from {local}[4500] to {remote}[4500] ({320 if child else 224} bytes)")
        match = _responder(candidates, local_id, remote_id, remote, local)
        if (
            match is None
            or self.secret(local_id, match[2]) is None
            or self.secret(local_id, match[2]) != peer.charon.secret(match[2], local_id)
        ):
            return self._refused(log, 4500, ends, "IKE_AUTH response 1", "AUTH_FAILED", 80)
        peer_name, theirs, peer_id = match
        mine = _new_sa(name, unique, local, remote, local_id, peer_id, initiator=True)
        other = _new_sa(peer_name, peer.charon._next("ike"), remote, local, peer_id, local_id, initiator=False)
        other["initiator-spi"], mine["responder-spi"] = mine["initiator-spi"], other["responder-spi"]
        for sa, config in ((mine, connection), (other, theirs)):
            sa["algorithms"] = chosen
            sa["rekey_at"] = time.time() + ike.lifetime(config, "rekey_time", "14400")
        peer.charon.initial_contact(other)
        self.state["sas"].append(mine)
        peer.charon.state["sas"].append(other)
        return self._established(peer, (mine, other), child, number, (connection, theirs), log)

    def _established(
        self,
        peer: FreeBSD,
        sas: tuple[Sa, Sa],
        child: str | None,
        number: int,
        configs: tuple[Section, Section],
        log: Log,
    ) -> bool:
        mine = sas[0]
        local, remote = mine["local-host"], mine["remote-host"]
        problem = None
        pair = None
        if child is not None:
            problem, pair = self._pair(peer, sas, configs, child, with_dh=False)
        answer = f"N({problem}) " if problem else "N(ESP_TFC_PAD_N) SA TSi TSr " if child else ""
        log.say("NET", f"received packet: from {remote}[4500] to {local}[4500] ({288 if child else 176} bytes)")
        log.say("ENC", f"parsed IKE_AUTH response 1 [ IDr AUTH {answer}{_AUTH_TAIL} ]")
        log.say("IKE", f"authentication of '{mine['remote-id']}' with pre-shared key successful")
        log.say("IKE", "peer supports MOBIKE")
        ends = f"{local}[{mine['local-id']}]...{remote}[{mine['remote-id']}]"
        log.say("IKE", f"IKE_SA {mine['name']}[{mine['uniqueid']}] established between {ends}", 0)
        rekey = max(0, int(mine["rekey_at"] - time.time()))
        log.say("IKE", f"scheduling rekeying in {rekey}s")
        log.say("IKE", f"maximum IKE_SA lifetime {rekey + 1440}s")
        if child is None:
            return True
        if pair is None:
            log.say("IKE", f"received {_ERRORS[str(problem)]} notify, no CHILD_SA built")
            log.say("IKE", "failed to establish CHILD_SA, keeping IKE_SA")
            return False
        self._install(peer, sas, pair, number, log)
        return True

    def _create_child(self, sa: Sa, connection: Section, child: str, number: int, log: Log) -> bool:
        up = next((entry for entry in sa["children"] if entry["name"] == child), None)
        if up is not None:
            log.say(
                "IKE",
                f"not establishing CHILD_SA {child}{{{number}}} due to existing duplicate {{{up['uniqueid']}}} with "
                f"SPIs {up['spi-in']}_i {up['spi-out']}_o and TS {_selectors(up)}",
            )
            return False
        local, remote = sa["local-host"], sa["remote-host"]
        message = self._message(sa)
        log.say("IKE", f"establishing CHILD_SA {child}{{{number}}}", 0)
        payload = "N(ESP_TFC_PAD_N) SA No KE TSi TSr"
        log.say("ENC", f"generating CREATE_CHILD_SA request {message} [ {payload} ]")
        log.say("NET", f"sending packet: from {local}[4500] to {remote}[4500] (480 bytes)")
        peer, other = self._mirror(sa)
        if peer is None or other is None:
            log.say("IKE", f"retransmit 1 of request with message ID {message}")
            return False
        theirs = peer.charon.state["conns"].get(other["name"], {})
        problem, pair = self._pair(peer, (sa, other), (connection, theirs), child, with_dh=True)
        log.say("NET", f"received packet: from {remote}[4500] to {local}[4500] ({480 if pair else 80} bytes)")
        log.say("ENC", f"parsed CREATE_CHILD_SA response {message} [ {payload if pair else f'N({problem})'} ]")
        if pair is None:
            log.say("IKE", f"received {_ERRORS[str(problem)]} notify, no CHILD_SA built")
            return False
        self._install(peer, (sa, other), pair, number, log)
        return True

    def _install(self, peer: FreeBSD, sas: tuple[Sa, Sa], pair: tuple[Sa, Sa], number: int, log: Log) -> None:
        mine, other = pair
        log.say("IKE", "received ESP_TFC_PADDING_NOT_SUPPORTED, not using ESPv3 TFC padding")
        log.say("CFG", f"selected proposal: {_esp_proposal(mine['algorithms'])}/NO_EXT_SEQ")
        mine["uniqueid"], other["uniqueid"] = number, peer.charon._next("child")
        sas[0]["children"].append(mine)
        sas[1]["children"].append(other)
        log.say(
            "IKE",
            f"CHILD_SA {mine['name']}{{{number}}} established with SPIs {mine['spi-in']}_i {mine['spi-out']}_o "
            f"and TS {_selectors(mine)}",
            0,
        )

    def _refused(self, log: Log, port: int, ends: tuple[str, str], message: str, notify: str, size: int) -> bool:
        local, remote = ends
        log.say("NET", f"received packet: from {remote}[{port}] to {local}[{port}] ({size} bytes)")
        log.say("ENC", f"parsed {message} [ N({notify}) ]")
        log.say("IKE", f"received {_ERRORS[notify]} notify error")
        return False

    def candidates(self, local: str, remote: str, version: str) -> list[tuple[str, Section]]:
        """Our connections for a peer's first packet: addresses and IKE version fit."""
        return [
            (name, section)
            for name, section in self.state["conns"].items()
            if self._covers(section.get("local_addrs", "%any"), local)
            and self._covers(section.get("remote_addrs", "%any"), remote)
            and (section.get("version", "0") == version or "0" in (section.get("version", "0"), version))
        ]

    def _covers(self, addresses: str, address: str) -> bool:
        for entry in ike.listed(addresses):
            if entry in _ANY or self.host.network.resolve(entry) == address:
                return True
            if "/" in entry and ipaddress.ip_address(address) in ipaddress.ip_network(entry, strict=False):
                return True
        return False

    def secret(self, mine: str, other: str) -> str | None:
        """The pre-shared key for a pair of identities: the best match of its owners."""
        best: tuple[int, str] | None = None
        for entry in self.state["secrets"].values():
            owners = entry["owners"]
            score = 1 if not owners or "%any" in owners else 0
            score += 4 * (other in owners) + 2 * (mine in owners)
            if score and (best is None or score > best[0]):
                best = (score, entry["secret"])
        return None if best is None else best[1]

    def initial_contact(self, new: Sa) -> None:
        """A peer without SAs told so: drop what we still hold for it."""
        ids = (new["local-id"], new["remote-id"])
        for sa in self.state["sas"]:
            if (sa["local-id"], sa["remote-id"]) == ids and self._mirror(sa)[1] is None:
                sa["state"] = "DELETING"
        self.state["sas"] = [sa for sa in self.state["sas"] if sa["state"] != "DELETING"]

    def _pair(
        self, peer: FreeBSD, sas: tuple[Sa, Sa], configs: tuple[Section, Section], child: str, with_dh: bool
    ) -> tuple[str | None, tuple[Sa, Sa] | None]:
        """The two halves of a new CHILD_SA, or the notify that refuses it."""
        mine = children(configs[0])[child]
        ours = ike.proposals(mine.get("esp_proposals", ""), ike=False)
        refusal = "TS_UNACCEPT"
        for name, theirs in children(configs[1]).items():
            selectors = _narrow(mine, theirs, sas[0])
            if selectors is None:
                continue
            chosen = ike.select(ours, ike.proposals(theirs.get("esp_proposals", ""), ike=False), with_dh)
            if chosen is None:
                refusal = "NO_PROP"
                continue
            halves = (
                self._half(sas[0], child, mine, chosen, selectors),
                peer.charon._half(sas[1], name, theirs, chosen, selectors[::-1]),
            )
            for one, two in (halves, halves[::-1]):
                one["spi-in"] = self._spi(one, peer)
                two["spi-out"] = one["spi-in"]
            return None, halves
        return refusal, None

    def _half(
        self, sa: Sa, name: str, config: Section, chosen: dict[str, str], selectors: tuple[list[str], list[str]]
    ) -> Sa:
        now = time.time()
        rekey = ike.lifetime(config, "rekey_time", "3600")
        life = ike.lifetime(config, "life_time", str(rekey * 11 // 10))
        return {
            "name": name,
            "uniqueid": 0,
            "reqid": ike.number32(config.get("reqid", "0")) or 16384 + self.state["next_child"],
            "mode": config.get("mode", "tunnel").upper(),
            "local-host": sa["local-host"],
            "remote-host": sa["remote-host"],
            "spi-in": "",
            "spi-out": "",
            "algorithms": chosen,
            "installed": now,
            "rekey_at": now + rekey,
            "expires_at": now + life,
            "local-ts": selectors[0],
            "remote-ts": selectors[1],
            "bytes-in": 0,
            "bytes-out": 0,
            "packets-in": 0,
            "packets-out": 0,
        }

    def _spi(self, child: Sa, peer: FreeBSD) -> str:
        count = self.state["spis"] = self.state.get("spis", 0) + 1
        seed = f"{self.host.state['hostname']}/{peer.state['hostname']}/{child['name']}/{count}/{self.state['since']}"
        return "c" + hashlib.sha256(seed.encode()).hexdigest()[:7]

    def _mirror(self, sa: Sa) -> tuple[FreeBSD | None, Sa | None]:
        """The peer's half of an IKE_SA."""
        for peer in self.host.network.others(self.host):
            for other in peer.charon.state["sas"]:
                spis = (other["initiator-spi"], other["responder-spi"])
                if other["state"] == "ESTABLISHED" and spis == (sa["initiator-spi"], sa["responder-spi"]):
                    return peer, other
        return None, None

    @staticmethod
    def _message(sa: Sa) -> int:
        sa["message"] = sa.get("message", 1) + 1
        return int(sa["message"])

    # -- ends of SAs --

    def delete_child(self, sa: Sa, child: Sa, log: Log | None = None) -> None:
        """Close a CHILD_SA at both ends."""
        log = log or Log()
        log.ike = (sa["name"], sa["uniqueid"])
        log.say(
            "IKE",
            f"closing CHILD_SA {child['name']}{{{child['uniqueid']}}} with SPIs "
            f"{child['spi-in']}_i ({child['bytes-in']} bytes) "
            f"{child['spi-out']}_o ({child['bytes-out']} bytes) and TS {_selectors(child)}",
            0,
        )
        log.say("IKE", f"sending DELETE for ESP CHILD_SA with SPI {child['spi-in']}")
        self._informational(sa, "D", log)
        log.say("IKE", f"received DELETE for ESP CHILD_SA with SPI {child['spi-out']}")
        log.say("IKE", "CHILD_SA closed")
        sa["children"].remove(child)
        _rest, other = self._mirror(sa)
        if other is not None:
            other["children"] = [entry for entry in other["children"] if entry["spi-in"] != child["spi-out"]]

    def delete_ike(self, sa: Sa, log: Log | None = None) -> None:
        """Delete an IKE_SA with its children at both ends."""
        log = log or Log()
        log.ike = (sa["name"], sa["uniqueid"])
        title = f"{sa['name']}[{sa['uniqueid']}]"
        ends = f"{sa['local-host']}[{sa['local-id']}]...{sa['remote-host']}[{sa['remote-id']}]"
        log.say("IKE", f"deleting IKE_SA {title} between {ends}", 0)
        log.say("IKE", f"sending DELETE for IKE_SA {title}")
        self._informational(sa, "", log)
        log.say("IKE", "IKE_SA deleted", 0)
        peer, other = self._mirror(sa)
        if peer is not None and other is not None:
            peer.charon.state["sas"].remove(other)
        self.state["sas"].remove(sa)

    def _informational(self, sa: Sa, answer: str, log: Log) -> None:
        message, local, remote = self._message(sa), sa["local-host"], sa["remote-host"]
        log.say("ENC", f"generating INFORMATIONAL request {message} [ D ]")
        log.say("NET", f"sending packet: from {local}[4500] to {remote}[4500] (80 bytes)")
        log.say("NET", f"received packet: from {remote}[4500] to {local}[4500] (80 bytes)")
        log.say("ENC", f"parsed INFORMATIONAL response {message} [ {answer + ' ' if answer else ''}]")

    def rekey_child(self, sa: Sa, child: Sa) -> None:
        """Replace a CHILD_SA by one with new SPIs; reqid and selectors stay."""
        peer, other = self._mirror(sa)
        if peer is None or other is None:
            return
        mirror = next(entry for entry in other["children"] if entry["spi-in"] == child["spi-out"])
        for charon, one, two in ((self, child, mirror), (peer.charon, mirror, child)):
            one.update(
                {
                    "uniqueid": charon._next("child"),
                    "spi-in": charon._spi(one, peer),
                    "installed": time.time(),
                    "bytes-in": 0,
                    "bytes-out": 0,
                    "packets-in": 0,
                    "packets-out": 0,
                }
            )
            two["spi-out"] = one["spi-in"]


def children(connection: Section) -> dict[str, Section]:
    """The child sections of a connection by name."""
    return {name: section for name, section in connection.get("children", {}).items() if isinstance(section, dict)}


def _peer_part(connection: Section) -> Section:
    return {key: value for key, value in connection.items() if key != "children"}


def _new_sa(name: str, unique: int, local: str, remote: str, local_id: str, remote_id: str, initiator: bool) -> Sa:
    spi = hashlib.sha256(f"{name}/{unique}/{local}/{local_id}/{time.time()}".encode()).hexdigest()[:16]
    return {
        "name": name,
        "uniqueid": unique,
        "state": "ESTABLISHED",
        "local-host": local,
        "local-port": 4500,
        "local-id": local_id,
        "remote-host": remote,
        "remote-port": 4500,
        "remote-id": remote_id,
        "initiator": initiator,
        "initiator-spi": spi if initiator else "",
        "responder-spi": "0" * 16 if initiator else spi,
        "algorithms": {},
        "established": time.time(),
        "rekey_at": time.time() + 14400,
        "children": [],
    }


def _ids(connection: Section, local: str, remote: str) -> tuple[str, str]:
    """Our and the wanted peer's identity; ours is our address, the peer's anything, when not configured."""
    found = {"local": local, "remote": remote}
    for name, section in connection.items():
        for side in found:
            if isinstance(section, dict) and name.startswith(side) and section.get("id"):
                found[side] = section["id"]
    return found["local"], found["remote"]


def _responder(
    candidates: list[tuple[str, Section]], initiator_id: str, wanted_id: str, local: str, remote: str
) -> tuple[str, Section, str] | None:
    """The responder's connection for the initiator's identities, and the responder's own identity."""
    for name, section in candidates:
        own, expected = _ids(section, local, "%any")
        if wanted_id in ("%any", own) and expected in ("%any", initiator_id):
            return name, section, own
    return None


def _narrow(mine: Section, theirs: Section, sa: Sa) -> tuple[list[str], list[str]] | None:
    """Local and remote selectors that both ends allow, seen from the initiator."""
    local, remote = sa["local-host"], sa["remote-host"]
    one = _common(mine.get("local_ts", "dynamic"), theirs.get("remote_ts", "dynamic"), local)
    two = _common(mine.get("remote_ts", "dynamic"), theirs.get("local_ts", "dynamic"), remote)
    return (one, two) if one and two else None


def _common(ours: str, theirs: str, own: str) -> list[str]:
    found = []
    for part in ike.listed(ours):
        for other in ike.listed(theirs):
            first = ipaddress.ip_network(ike.selector(part, own))
            second = ipaddress.ip_network(ike.selector(other, own))
            if first.version == second.version and first.overlaps(second):
                found.append(str(max(first, second, key=lambda network: network.prefixlen)))
    return list(dict.fromkeys(found))


def _selectors(child: Sa) -> str:
    return f"{' '.join(child['local-ts'])} === {' '.join(child['remote-ts'])}"


def _ike_proposal(chosen: dict[str, str]) -> str:
    return "IKE:" + "/".join(
        chosen[kind].replace("-", "_") for kind in ("encryption", "integrity", "prf", "dh") if kind in chosen
    )


def _esp_proposal(chosen: dict[str, str]) -> str:
    return "ESP:" + "/".join(
        chosen[kind].replace("-", "_") for kind in ("encryption", "integrity", "dh") if kind in chosen
    )
