# Copyright: Contributors to the routed_ipsec.vti project
# GNU General Public License v3.0+ (see COPYING or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

"""Filter mode: where pf sees the packets inside the tunnels, on enc0 or on the ipsecX interfaces."""

from __future__ import annotations

import dataclasses
import typing as t

ARGUMENTS: dict[str, t.Any] = {
    "mode": {"type": "str", "choices": ["enc", "if_ipsec"]},
    "force": {"type": "bool", "default": False},
    "inner_rules": {"type": "bool", "default": False},
    "manage_pf_conf": {"type": "bool", "default": False},
}
"""The options of filter_mode, and of vti_site's filter_mode."""

SYSCTLS: dict[str, dict[str, str]] = {
    "enc": {
        "net.inet.ipsec.filtertunnel": "0",
        "net.inet6.ipsec6.filtertunnel": "0",
        "net.enc.out.ipsec_bpf_mask": "1",
        "net.enc.out.ipsec_filter_mask": "1",
        "net.enc.in.ipsec_bpf_mask": "2",
        "net.enc.in.ipsec_filter_mask": "2",
    },
    "if_ipsec": {
        "net.inet.ipsec.filtertunnel": "1",
        "net.inet6.ipsec6.filtertunnel": "1",
        "net.enc.out.ipsec_bpf_mask": "0",
        "net.enc.out.ipsec_filter_mask": "0",
        "net.enc.in.ipsec_bpf_mask": "0",
        "net.enc.in.ipsec_filter_mask": "0",
    },
}
"""enc(4), if_ipsec(4); the six belong together."""

KERNEL_DEFAULTS: dict[str, str] = {
    "net.inet.ipsec.filtertunnel": "0",
    "net.inet6.ipsec6.filtertunnel": "0",
    "net.enc.out.ipsec_bpf_mask": "3",
    "net.enc.out.ipsec_filter_mask": "1",
    "net.enc.in.ipsec_bpf_mask": "1",
    "net.enc.in.ipsec_filter_mask": "1",
}
"""What the kernel modules ipsec and if_enc begin with: the values to expect before they are loaded."""


@dataclasses.dataclass(frozen=True)
class FilterMode:
    """The mode as declared; ``previous`` is what the sysctls were before, as name=value, for the way back."""

    mode: str
    force: bool = False
    inner_rules: bool = False
    manage_pf_conf: bool = False
    previous: tuple[str, ...] = ()

    @property
    def sysctls(self) -> dict[str, str]:
        return SYSCTLS[self.mode]

    def describe(self) -> dict[str, t.Any]:
        """In the words of the options."""
        return {name: getattr(self, name) for name in ARGUMENTS}


@dataclasses.dataclass(frozen=True)
class Kernel:
    """The running state that a filter mode decides: the six sysctls, and enc0 (None: no such interface)."""

    sysctls: tuple[tuple[str, str], ...]
    enc0_up: bool | None

    def describe(self) -> dict[str, t.Any]:
        return {**dict(self.sysctls), "enc0": {None: "absent", True: "up", False: "down"}[self.enc0_up]}
