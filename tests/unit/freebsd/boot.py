# Copyright: Contributors to the routed_ipsec.vti project
# GNU General Public License v3.0+ (see COPYING or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

"""What rc runs at boot, worked out by a real sh with rc.sh, a copy of rc's logic."""

from __future__ import annotations

import pathlib
import subprocess
import tempfile
import typing as t

if t.TYPE_CHECKING:
    from collections.abc import Mapping

RC = pathlib.Path(__file__).with_name("rc.sh")


def commands(files: Mapping[str, str], interfaces: str, *only: str) -> list[tuple[str, ...]]:
    """The commands of netif and routing; with ``only``, those of starting single interfaces."""
    with tempfile.TemporaryDirectory() as folder:
        root = pathlib.Path(folder, "root")
        for path, text in files.items():
            if path.startswith(("/etc/rc.conf", "/usr/local/etc/rc.conf.d/")):
                target = root / path[1:]
                target.parent.mkdir(parents=True, exist_ok=True)
                target.write_text(text, encoding="utf-8")
        empty = pathlib.Path(folder, "empty")
        empty.mkdir()
        done = subprocess.run(
            ["/bin/sh", str(RC), str(root), interfaces, *only],
            cwd=empty,
            env={"PATH": "/usr/bin:/bin", "LC_ALL": "C.UTF-8"},
            capture_output=True,
            timeout=20,
            check=True,
        )
        assert done.stderr == b"", done.stderr
        assert not list(empty.iterdir()), "a value has run a command"
    return [tuple(command.split("\0")[:-1]) for command in done.stdout.decode().split("\n\0") if command]
