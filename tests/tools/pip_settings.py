# Copyright: Contributors to the routed_ipsec.vti project
# GNU General Public License v3.0+ (see COPYING or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

"""Prints, as a pip.conf, the settings of pip that come from the environment and from the user's files.

The machine's own file is left out: pip reads it in every home.
"""

from __future__ import annotations

import ast
import configparser
import os
import pathlib
import subprocess
import sys

USERS_FILES = [
    pathlib.Path("~/.pip/pip.conf").expanduser(),
    pathlib.Path("~/.config/pip/pip.conf").expanduser(),
    os.environ.get("PIP_CONFIG_FILE", os.devnull),
]


def from_environment() -> dict[str, str]:
    """What pip itself makes of the variables PIP_*: lines such as ``:env:.index-url='https://...'``."""
    shown = subprocess.run([sys.executable, "-m", "pip", "config", "list"], check=True, text=True, capture_output=True)
    marked = (line.split("=", 1) for line in shown.stdout.splitlines() if line.startswith(":env:."))
    return {name.removeprefix(":env:."): ast.literal_eval(value) for name, value in marked}


settings = configparser.RawConfigParser()
settings.read(USERS_FILES)
if not settings.has_section("global"):
    settings.add_section("global")
for name, value in from_environment().items():
    if name != "config-file":
        settings.set("global", name, value)
settings.write(sys.stdout)
