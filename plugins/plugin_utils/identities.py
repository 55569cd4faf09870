# Copyright: Contributors to the routed_ipsec.vti project
# GNU General Public License v3.0+ (see COPYING or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

"""What identities of IKE are as names in a certificate, by the rules of strongSwan's identities. Pure."""

from __future__ import annotations

import ipaddress
import re

from ansible_collections.routed_ipsec.vti.plugins.module_utils._core.errors import InvalidOption

FILE = "routed_ipsec.pem"
"""The name that key, certificate, CA and revocation list have in swanctl's directories."""


def kind(where: str, identity: str) -> tuple[str, str]:
    """``ip``, ``email`` or ``dns``, and the value; others, as distinguished names, are refused with InvalidOption."""
    try:
        return "ip", str(ipaddress.ip_address(identity))
    except ValueError:
        pass
    if re.fullmatch(r"[A-Za-z0-9._+-]+@[A-Za-z0-9._-]+", identity):
        return "email", identity
    plain = identity.removeprefix("@")
    if re.fullmatch(r"[A-Za-z0-9_]([A-Za-z0-9._-]{0,62}[A-Za-z0-9_])?", plain):
        return "dns", plain
    raise InvalidOption(
        f"{where}: {identity!r} cannot be in a certificate; "
        f"use up to 64 letters, digits, '.', '-' and '_', an address, or user@host"
    )


def of_site(name: str, ike_id: str | None) -> str:
    """The identity of a site that has a certificate."""
    identity = ike_id or name
    kind(f"site {name}: ike_id", identity)
    return identity
