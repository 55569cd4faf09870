# Copyright: Contributors to the routed_ipsec.vti project
# GNU General Public License v3.0+ (see COPYING or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

"""Replays the commands recorded on real FreeBSD hosts on simulated ones and compares what they print.

A folder is replayed in order on one host, so each command meets the state that the ones before it left.
"""

from __future__ import annotations

import functools
import pathlib
import re
import shlex
from collections.abc import Callable
from dataclasses import dataclass

import pytest
from ansible_collections.routed_ipsec.vti.tests.sim.files import Result
from ansible_collections.routed_ipsec.vti.tests.sim.freebsd import FreeBSD, Network

FIXTURES = pathlib.Path(__file__).resolve().parents[2] / "fixtures" / "freebsd"
ADDRESSES = {"vtnet0": ["10.0.2.15/24"], "vtnet1": ["192.0.2.{n}/24", "2001:db8::{n}/64"]}
CONF = "/usr/local/etc/swanctl/conf.d/tun0.conf"


@dataclass(frozen=True)
class Transcript:
    """One recorded command."""

    name: str  # folder/number
    command: str
    result: Result


def _read(path: pathlib.Path) -> Transcript:
    command, rc, rest = path.read_text(encoding="utf-8").split("\n", 2)
    stdout, _rest, stderr = rest.partition("--- stderr ---\n")
    return Transcript(
        f"{path.parent.name}/{path.name[:3]}", command, Result(int(rc.removeprefix("rc=")), stdout, stderr)
    )


def transcripts(folder: str) -> list[Transcript]:
    """All transcripts of a folder, in the order of their recording."""
    return [_read(path) for path in sorted((FIXTURES / folder).glob("[0-9][0-9][0-9]-*.txt"))]


def _numbers(folder: str, text: str) -> list[str]:
    """ "151-158 171" as names."""
    names = []
    for part in text.split():
        first, _rest, last = part.partition("-")
        names += [f"{folder}/{number:03d}" for number in range(int(first), int(last or first) + 1)]
    return names


# -- what is not replayed, and why --

_NOT_CLAIMED = [
    ("net", "151-158 164-170", "epair, bridge, gif and tun interfaces: never used by the collection"),
    ("net", "171", "list of cloners of the recorded kernel"),
    ("net", "195", "netstat -o fails on the recorded kernel only"),
    ("net", "192 196", "netstat forms the collection does not use: libxo xml, -n without -b for hardware"),
    ("net", "273", "setfib is no program of ours"),
    ("net", "278", "route monitor"),
    ("net", "311 319", "sysrc -A lists all defaults of FreeBSD; -s looks into the service's script"),
    (
        "net",
        "320-321 419-420 424-426 440-441 444-445 447-448",
        "programs that are not simulated: cat, sh, id, logger, which, ls, stat, locale",
    ),
    ("net", "348-350 352-354", "SAs and policies made by hand with setkey -c"),
    ("net", "351 355", "setkey's usage and -f"),
    ("net", "371 402", "pfctl -s all and debug forms"),
    ("net", "421-423", "pkg before its bootstrap"),
    ("net", "427", "service static_arp"),
    ("net", "431-439", "jails"),
    ("net", "443 446", "sysrc on names and values that are no valid shell"),
    ("ipsec-up", "004-005 102-103 117", "programs that are not simulated: python3, ps, sockstat, ls"),
    ("ipsec-up", "007", "list of all drivers of the recorded kernel"),
    ("ipsec-up", "030-032", "netstat -s"),
    ("ipsec-up", "038", "setkey's usage"),
    ("ipsec-up", "055-056", "swanctl --list-algs and --counters"),
    ("ipsec-up", "094-095", "service -e and -l list all services of FreeBSD"),
]
NOT_CLAIMED = {name: reason for folder, text, reason in _NOT_CLAIMED for name in _numbers(folder, text)}

# -- what is compared by exit status only, and why --

_STATUS_ONLY = [
    ("net", "274", "verbose form of route"),
    ("net", "442", "sysrc shows the value as the broken rc.conf yields it"),
    ("ipsec-up", "029", "counters per address"),
]
STATUS_ONLY = {name: reason for folder, text, reason in _STATUS_ONLY for name in _numbers(folder, text)}


# -- changes between the recorded commands --


def _runs(*commands: str) -> Callable[[FreeBSD], None]:
    def prepare(host: FreeBSD) -> None:
        for command in commands:
            host.run(shlex.split(command))

    return prepare


def _writes(path: str, text: str | None) -> Callable[[FreeBSD], None]:
    def prepare(host: FreeBSD) -> None:
        if text is None:
            host.files.pop(path, None)
        else:
            host.files[path] = text

    return prepare


def _both(*steps: Callable[[FreeBSD], None]) -> Callable[[FreeBSD], None]:
    def prepare(host: FreeBSD) -> None:
        for step in steps:
            step(host)

    return prepare


def _on_peer(*steps: Callable[[FreeBSD], None]) -> Callable[[FreeBSD], None]:
    return lambda host: _both(*steps)(host.network.hosts["b"])


def _conf(me: int, you: int, secret: str = "secret", more: str = "") -> str:
    ids = f"192.0.2.{me}", f"192.0.2.{you}"
    return f"""connections {{
  tun0 {{
    version = 2
    local_addrs = {ids[0]}
    remote_addrs = {ids[1]}
    proposals = aes256-sha256-modp2048
    local {{
      auth = psk
      id = {ids[0]}
    }}
    remote {{
      auth = psk
      id = {ids[1]}
    }}
    children {{
      tun0 {{
        esp_proposals = aes256-sha256-modp2048
        local_ts = 0.0.0.0/0
        remote_ts = 0.0.0.0/0
        reqid = 100
        policies = no
      }}
    }}
  }}
  {more}
}}
secrets {{
  ike-tun0 {{
    id-1 = {ids[0]}
    id-2 = {ids[1]}
    secret = "{secret}"
  }}
}}
"""


def _broken(setting: str) -> Callable[[FreeBSD], None]:
    return _writes(CONF, _conf(1, 2, more=f"broken {{ children {{ c {{ {setting}\n }} }} }}"))


_LOAD = "swanctl --load-all"
_GOOD_CONF = _writes(CONF, _conf(1, 2))
_PF_CONF = 'set skip on lo0\nanchor "coll/*"\nblock in quick on vtnet1 proto tcp to port 9999\npass\n'
_VTI = "ifconfig ipsec0 inet 10.6.106.1/30 10.6.106.2 tunnel 192.0.2.1 192.0.2.2 up"
BEFORE: dict[str, Callable[[FreeBSD], None]] = {
    "net/185": _runs(_VTI),
    "net/346": _runs("ifconfig ipsec0 destroy"),
    "net/372": _writes("/etc/pf.conf", _PF_CONF),
    "net/413": _writes("/etc/pf.conf", "garbage {\n"),
    "ipsec-up/104": _writes(CONF, "connections {\n"),
    "ipsec-up/107": _broken("esp_proposals = nosuch"),
    "ipsec-up/110": _broken("nosuchkey = 1"),
    "ipsec-up/111": _broken("reqid = abc"),
    "ipsec-up/112": _both(_GOOD_CONF, _writes(CONF.replace("tun0", "zz-bad"), "garbage here\n")),
    "ipsec-up/113": _writes(CONF.replace("tun0", "zz-bad"), None),
    "ipsec-up/119": _runs(_LOAD),
    "ipsec-up/120": _both(
        _on_peer(_writes(CONF, _conf(2, 1, secret="wrong")), _runs(_LOAD)), _runs("swanctl --terminate --ike tun0")
    ),
    "ipsec-up/123": _both(_on_peer(_writes(CONF, _conf(2, 1)), _runs(_LOAD)), _runs("swanctl --initiate --child tun0")),
    "ipsec-up/140": _runs("sysrc strongswan_enable=NO"),
}


# -- start states --


def _host(name: str, number: int, network: Network) -> FreeBSD:
    addresses = {key: [text.format(n=number) for text in texts] for key, texts in ADDRESSES.items()}
    return FreeBSD(name, addresses, network, gateway="10.0.2.2")


def _net() -> FreeBSD:
    host = _host("a", 1, Network())
    host.files["/etc/rc.conf"] = (
        (FIXTURES / "net" / "320-cat_etc_rc.conf.txt")
        .read_text(encoding="utf-8")
        .split("\n", 2)[2]
        .split("route_one")[0]
    )
    return host


def _ipsec_up() -> FreeBSD:
    network = Network()
    hosts = [_host(name, number, network) for number, name in ((1, "a"), (2, "b"))]
    for me, host in enumerate(hosts, 1):
        you = 3 - me
        host.files[CONF] = _conf(me, you)
        vti = f"ifconfig ipsec0 inet 10.6.106.{me}/30 10.6.106.{you} tunnel 192.0.2.{me} 192.0.2.{you} up"
        _runs(
            "kldload ipsec",
            "kldload if_enc",
            "ifconfig ipsec0 create reqid 100",
            vti,
            "sysrc strongswan_enable=YES",
            "service strongswan start",
        )(host)
    _runs("swanctl --initiate --child tun0")(hosts[0])
    return hosts[0]


# -- comparison --

_NORMAL = [
    (r"^epair\w*(: .*)?\n(\t.*\n)*", ""),  # left over from commands that are not replayed
    (r"( tentative)", ""),
    (r"fe80::[0-9a-f:]+(%(ipsec|tun)\w+)", r"fe80::X\1"),
    (r"spid=\d+ seq=(\d+) pid=\d+", r"spid=N seq=\1 pid=N"),
    (r"uid 0 pid \d+", "uid 0 pid N"),
    (r"(Enabled|Disabled)( for \d+ days [\d:]+)? +Debug", r"\1 Debug"),
    (r"^(  (searches|inserts|removals|match|[a-z]+-[a-z]+|[a-z]+) +\d+) +(\d\.\d/s)?$", r"\1"),
    (r"(UGS|U|UHS|UH|URS|US|USB)( +)\d+( +\d+ +\w+)$", r"\1 N\3"),
    (r'"nhop": \d+', '"nhop": N'),
    (r"(E|A): (\S+)  [0-9a-f ]+", r"\1: \2 KEY"),
    (r"uptime: .*", "uptime: T"),
    (r"jobs scheduled: \d+", "jobs scheduled: N"),
    (r"worker threads: .*", "worker threads: N"),
    (r"(running) ?= ?[^\n]*? ?(minutes|seconds)", r"\1=T"),
    (r"(since) ?= ?\w+ \d+ [\d:]+ \d+", r"\1=T"),
    (r"(scheduled) ?= ?\d+", r"\1=N"),
    (r"\b[0-9a-f]{16}(_[ir])?\b", r"COOKIE\1"),
    (r"\bc[0-9a-f]{7}(?![0-9a-f])", "SPI"),
    (r"(SPI,) +\d+ bytes, +\d+ packets", r"\1 N bytes, N packets"),
    (r"((?:bytes|packets)-(?:in|out)) ?= ?\d+", r"\1=N"),
    (r"((?:rekey-time|life-time|install-time|established)) ?= ?\d+", r"\1=N"),
    (r"(established|installed) \d+s ago", r"\1 T ago"),
    (r"(rekeying|expires|lifetime) (in )?\d+s$", r"\1 T"),
    (r"(rekeying|expires|lifetime) (in )?\d+s,", r"\1 T,"),
    (r"time=[\d.]+ ms", "time=T ms"),
    (r"= [\d./]+ ms", "= T ms"),
    (r"spi=\d+\(0x[0-9a-f]+\)", "spi=N"),
    (r"seq=0x\d+ ", "seq=N "),
    (r"(created|last): \w+ \d+ [\d:]+ \d+", r"\1: T"),
    (r"current: \w+ +\d+ [\d:]+ \d+", "current: T"),
    (r"diff: \d+\(s\)\thard: \d+\(s\)\tsoft: \d+", "diff: T"),
    (r"current: \d+\(bytes\)", "current: N(bytes)"),
    (r"allocated: \d+", "allocated: N"),
    (r"sadb_seq=(\d) pid=\d+", r"sadb_seq=\1 pid=N"),
    (r"request (\d+)|response (\d+)", "message N"),
    (r"(ipsec0 .*?)( +\d+)( +0 +0| +- +-)( +\d+)?( +\d+)( +[0-])( +\d+)?( +[0-])$", r"\1 COUNTERS"),
    (r'"(received|sent)-packets":\d+', r'"\1-packets":N'),
    (r'"weight": ?[01]', '"weight": N'),
    (r"( +\d+  +)[01]( +0 )$", r"\1N\2"),
    (r"20\d\d\b", "YEAR"),
    (r"\(\d+ bytes\)", "(N bytes)"),
]


def normal(text: str) -> str:
    """Text without what differs from run to run: times, counters, numbers drawn at random."""
    for pattern, replacement in _NORMAL:
        text = re.sub(pattern, replacement, text, flags=re.M)
    return text


@functools.cache
def _replayed(folder: str) -> dict[str, Result]:
    """What the simulated host answered, by transcript."""
    host = {"net": _net, "ipsec-up": _ipsec_up}[folder]()
    answers = {}
    for transcript in transcripts(folder):
        BEFORE.get(transcript.name, lambda host: None)(host)
        if transcript.name in NOT_CLAIMED:
            continue
        answers[transcript.name] = _run(host, transcript.command)
    return answers


def _run(host: FreeBSD, command: str) -> Result:
    feeder, pipe, rest = command.partition(" | ")
    if not pipe:
        return host.run(shlex.split(command))
    printf, text = shlex.split(feeder)
    assert printf == "printf"
    return host.run(shlex.split(rest), text.replace("\\n", "\n"))


ALL = [transcript for folder in ("net", "ipsec-up") for transcript in transcripts(folder)]
CLAIMED = [transcript for transcript in ALL if transcript.name not in NOT_CLAIMED]


@pytest.mark.parametrize("transcript", CLAIMED, ids=lambda transcript: transcript.name)
def test_command_answers_as_recorded(transcript: Transcript) -> None:
    """Exit status, standard output and standard error are those of the real host."""
    answer = _replayed(transcript.name.split("/")[0])[transcript.name]
    assert answer.rc == transcript.result.rc, (transcript.command, answer)
    if transcript.name not in STATUS_ONLY:
        assert normal(answer.stdout) == normal(transcript.result.stdout), transcript.command
        assert normal(answer.stderr) == normal(transcript.result.stderr), transcript.command


def test_tables_name_transcripts_that_exist() -> None:
    """No entry of the tables is left over, and none says two things."""
    names = {transcript.name for transcript in ALL}
    assert set(NOT_CLAIMED) | set(STATUS_ONLY) | set(BEFORE) <= names
    assert not set(NOT_CLAIMED) & set(STATUS_ONLY)


def test_nearly_everything_is_replayed() -> None:
    """The recorded folders are complete, and most of them is claimed."""
    assert len(ALL) == 448 + 149
    assert len(CLAIMED) > 0.85 * len(ALL)
