# Copyright: Contributors to the routed_ipsec.vti project
# GNU General Public License v3.0+ (see COPYING or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""Insist that hosts are what they were.

    compare.py [--untouched] BEFORE AFTER [PATTERN]

BEFORE and AFTER are directories with a snapshot of each host, HOST.json; PATTERN is of what may differ. --untouched: no
file may even have been written again.

Prints every difference, and ends with 1 when there is one.
"""

from __future__ import annotations

import argparse
import json
import pathlib
import re
import sys


def differences(before, after, may_differ):
    for key in sorted(before.keys() | after.keys()):
        if may_differ.match(key):
            continue
        if key not in after:
            yield f"gone: {key} {before[key]}"
        elif key not in before:
            yield f"new: {key} {after[key]}"
        elif before[key] != after[key]:
            yield f"changed: {key}: {before[key]} -> {after[key]}"


def read(path, untouched):
    snapshot = json.loads(path.read_text())
    return snapshot if untouched else {key: value.partition(" touched ")[0] for key, value in snapshot.items()}


def main():
    options = argparse.ArgumentParser()
    options.add_argument("--untouched", action="store_true")
    options.add_argument("before", type=pathlib.Path)
    options.add_argument("after", type=pathlib.Path)
    options.add_argument("may_differ", type=re.compile, nargs="?", default=re.compile("(?!)"))
    given = options.parse_args()
    before, after = given.before, given.after
    hosts = sorted(path.name for path in before.iterdir())
    if not hosts or hosts != sorted(path.name for path in after.iterdir()):
        sys.exit(f"not the same hosts in {before} and {after}")
    found = 0
    for host in hosts:
        old, new = (read(directory / host, given.untouched) for directory in (before, after))
        for line in differences(old, new, given.may_differ):
            print(f"{host.partition('.')[0]}: {line}")
            found += 1
    sys.exit(1 if found else 0)


main()
