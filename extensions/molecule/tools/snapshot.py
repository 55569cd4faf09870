# Copyright: Contributors to the routed_ipsec.vti project
# GNU General Public License v3.0+ (see COPYING or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""What a gateway is: its files and the state of its kernel; runs on the host with Python's standard library only.

Prints one JSON object: what is described -> how it is. When a file was touched is told as well, so that even a rewrite
of the same text shows. Left out are logs, caches, what packages consist of, and what systemd notes for itself.
"""

from __future__ import annotations

import glob
import hashlib
import json
import os
import re
import stat
import subprocess
import sys

TREES = ("/boot", "/etc", "/root/.config", "/usr/local", "/var/db", "/var/lib")
LEFT_OUT = ("/var/lib/apt/lists", "/var/lib/dpkg/info", "/var/lib/systemd", "/var/db/freebsd-sim")
COMMANDS = {
    "Linux": (
        "ip -d -o link",
        "ip -o addr",
        "ip -4 route show table all",
        "ip -6 route show table all",
        "ip -4 rule",
        "ip -6 rule",
        "ip xfrm state",
        "ip xfrm policy",
        "nft list ruleset",
        "systemctl list-units --plain --no-legend --state=active --type=service,socket,timer",
    ),
    "FreeBSD": (
        "ifconfig -a",
        "netstat -rn -f inet",
        "netstat -rn -f inet6",
        "setkey -D",
        "setkey -DP",
        "sysctl net.inet.ip.forwarding net.inet6.ip6.forwarding",
        "kldstat",
        "pfctl -s rules",
        "service -e",
        "service strongswan onestatus",
    ),
}
# Numbers that mean nothing: a reboot gives the same cables new ones.
NOISE = re.compile(r"^\d+: (?=\w)|@if\d+|link-netnsid \d+")


def files():
    for tree in TREES:
        for directory, names, entries in os.walk(tree):
            if directory in LEFT_OUT:
                names.clear()
                continue
            names[:] = [name for name in names if name != "__pycache__"]
            for path in (directory, *(os.path.join(directory, entry) for entry in entries)):
                yield path, describe(path)
            for link in (os.path.join(directory, name) for name in names):
                if os.path.islink(link):
                    yield link, describe(link)


def describe(path):
    status = os.lstat(path)
    words = [stat.filemode(status.st_mode), f"{status.st_uid}:{status.st_gid}"]
    if stat.S_ISLNK(status.st_mode):
        words.append(os.readlink(path))
    elif stat.S_ISREG(status.st_mode):
        with open(path, "rb") as file:
            words.append(hashlib.sha256(file.read()).hexdigest()[:16])
    words.append(f"touched {status.st_mtime_ns} {status.st_ctime_ns}")
    return " ".join(words)


def kernel(platform):
    for command in COMMANDS[platform]:
        done = subprocess.run(command.split(), stdout=subprocess.PIPE, stderr=subprocess.STDOUT, text=True, check=False)
        head = ""
        for line in done.stdout.splitlines():
            text = " ".join(NOISE.sub("", line).split())
            if line[:1].isspace():  # belongs to the line before
                text = f"{head} ... {text}"
            else:
                head = text.partition(" ")[0]
            yield f"{command}: {text}", ""
        yield f"{command} ended", str(done.returncode)
    for path in glob.glob("/proc/sys/net/ipv[46]/**", recursive=True):
        if os.path.isfile(path):
            try:
                with open(path) as file:
                    yield path, file.read().strip()
            except OSError:  # not to be read
                continue


def main():
    platform = subprocess.run(["uname", "-s"], stdout=subprocess.PIPE, text=True, check=True).stdout.strip()
    json.dump({**dict(files()), **dict(kernel(platform))}, sys.stdout, indent=0, sort_keys=True)


main()
