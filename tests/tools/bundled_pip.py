# Copyright: Contributors to the routed_ipsec.vti project
# GNU General Public License v3.0+ (see COPYING or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

"""Prints the version of pip that the ansible-test of this environment asks for."""

from __future__ import annotations

import pathlib
import re
import sys

import ansible_test

source = pathlib.Path(ansible_test.__path__[0], "_internal", "python_requirements.py").read_text()
# The first entry is the version for every Python that is not listed as an exception.
found = re.search(r"^ +pip='([0-9.]+)',$", source, re.MULTILINE)
if found is None:
    sys.exit("bundled_pip: this ansible-test names its version of pip in a way unknown here")
print(found.group(1))
