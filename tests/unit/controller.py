# Copyright: Contributors to the routed_ipsec.vti project
# GNU General Public License v3.0+ (see COPYING or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

"""A controller for tests: a directory of its own, with Ansible's programs and the collection."""

from __future__ import annotations

import os
import pathlib
import subprocess
import sys
import typing as t

import yaml

ROOT = pathlib.Path(__file__).resolve().parents[2]
LIMIT = 120
"""Seconds after which a program hangs."""


class Controller:
    """Programs are Ansible's, named without ``ansible-``; what this process has set for Ansible does not reach them."""

    stderr = subprocess.PIPE

    def __init__(self, path: pathlib.Path) -> None:
        self.path = path
        link = path / "collections" / "ansible_collections" / "routed_ipsec" / "vti"
        link.parent.mkdir(parents=True)
        link.symlink_to(ROOT, target_is_directory=True)

    def write(self, name: str, content: t.Any) -> None:
        """Text as it is, anything else as YAML."""
        (self.path / name).parent.mkdir(exist_ok=True)
        (self.path / name).write_text(content if isinstance(content, str) else yaml.safe_dump(content, sort_keys=False))

    def start(self, program: str, *arguments: str, **environment: str) -> subprocess.Popen[str]:
        return subprocess.Popen(
            [sys.executable, "-m", f"ansible.cli.{program}", *arguments],
            cwd=self.path,
            env={
                **{name: value for name, value in os.environ.items() if not name.startswith("ANSIBLE_")},
                "ANSIBLE_COLLECTIONS_PATH": str(self.path / "collections"),
                "ANSIBLE_HOME": str(self.path / "home"),
                "ANSIBLE_NOCOLOR": "1",
                "LC_ALL": "C.UTF-8",
                "PATH": f"{self.path}/bin:{os.environ['PATH']}",
                **environment,
            },
            stdin=subprocess.DEVNULL,
            stdout=subprocess.PIPE,
            stderr=self.stderr,
            text=True,
        )

    def run(self, program: str, *arguments: str, **environment: str) -> subprocess.CompletedProcess[str]:
        process = self.start(program, *arguments, **environment)
        stdout, stderr = process.communicate(timeout=LIMIT)
        return subprocess.CompletedProcess(process.args, process.returncode, stdout, stderr)
