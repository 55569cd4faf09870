# Copyright: Contributors to the routed_ipsec.vti project
# GNU General Public License v3.0+ (see COPYING or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

"""The roles and playbooks of the collection, as tests read them."""

from __future__ import annotations

import typing as t

import yaml

if t.TYPE_CHECKING:
    import pathlib


def tasks(path: pathlib.Path) -> t.Iterator[dict[str, t.Any]]:
    """The tasks of a file, those in plays and blocks too."""
    pending = list(yaml.safe_load(path.read_text(encoding="utf-8")))
    while pending:
        task = pending.pop(0)
        for part in ("block", "rescue", "always", "tasks"):
            pending.extend(task.get(part, ()))
        yield task
