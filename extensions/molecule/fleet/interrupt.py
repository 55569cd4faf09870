# Copyright: Contributors to the routed_ipsec.vti project
# GNU General Public License v3.0+ (see COPYING or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

"""Run a command and kill it, and all that it has started, at a line of its output.

interrupt.py TEXT COMMAND [ARGUMENT]...   the first line that begins with "changed:" and has TEXT in it ends the command

Ends with 1 when the command ends by itself.
"""

from __future__ import annotations

import os
import signal
import subprocess
import sys


def main() -> int:
    text, *command = sys.argv[1:]
    with subprocess.Popen(
        command,
        stdout=subprocess.PIPE,
        text=True,
        start_new_session=True,
        env={**os.environ, "ANSIBLE_NOCOLOR": "1", "ANSIBLE_FORCE_COLOR": "0"},
    ) as process:
        for line in process.stdout or ():
            sys.stdout.write(line)
            if line.startswith("changed:") and text in line:
                os.killpg(process.pid, signal.SIGKILL)
                return 0
    return 1


if __name__ == "__main__":
    sys.exit(main())
