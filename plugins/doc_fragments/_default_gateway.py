# Copyright: Contributors to the routed_ipsec.vti project
# GNU General Public License v3.0+ (see COPYING or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

"""Default gateway: the options of default_gateway, and of vti_site's default_gateway."""

from __future__ import annotations

import re
import textwrap


class ModuleDocFragment:
    DOCUMENTATION = """
options:
  ipv4:
    description:
      - A gateway or a group that the default route leads through, V(none) for no default route, or V(automatic) for
        whatever the host makes of it.
      - Left out, it stays as it is.
    type: str
  ipv6:
    description:
      - The same for IPv6.
    type: str
"""

    # The same as suboptions, where an option of the same item is named by its path.
    SITE: str = """
options:
  default_gateway:
    description:
      - Default gateway, with the options of M(routed_ipsec.vti.default_gateway).
    type: dict
    suboptions:
""" + textwrap.indent(
        re.sub(r"O\((?=[a-z0-9_]+[=)])", "O(default_gateway.", DOCUMENTATION.partition("options:\n")[2]), "    "
    )
