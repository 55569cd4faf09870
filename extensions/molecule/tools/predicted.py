# Copyright: Contributors to the routed_ipsec.vti project
# GNU General Public License v3.0+ (see COPYING or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""Insist that check mode predicts what happens, and that there is nothing left to do the second time.

predicted.py STEPS.JSONL HOST...    the log of the callback `steps`: predicted, deployed, deployed again
"""

from __future__ import annotations

import json
import pathlib
import sys


def main():
    path, *hosts = sys.argv[1:]
    predicted, deployed, repeated = map(json.loads, pathlib.Path(path).read_text().splitlines()[:3])
    complaints = []
    if [run["check"] for run in (predicted, deployed, repeated)] != [True, False, False]:
        complaints.append("these are not the runs they should be")
    for host in hosts:
        if not deployed["steps"][host]:
            complaints.append(f"{host}: nothing was done")
        foreseen, happened = (run["steps"].get(host, []) for run in (predicted, deployed))
        complaints += [f"{host}: not predicted: {step}" for step in happened if step not in foreseen]
        complaints += [f"{host}: predicted only: {step}" for step in foreseen if step not in happened]
        if not complaints and foreseen != happened:
            complaints.append(f"{host}: not in the predicted order: {happened}")
        # Programs that a role's own tasks run are skipped in check mode, so here all that is foreseen has to happen.
        done = deployed["changed"].get(host, [])
        complaints += [
            f"{host}: predicted only: {task}" for task in predicted["changed"].get(host, []) if task not in done
        ]
        complaints += [
            f"{host}: done again: {item}" for what in ("steps", "changed") for item in repeated[what].get(host, [])
        ]
    print("\n".join(complaints))
    sys.exit(1 if complaints else 0)


main()
