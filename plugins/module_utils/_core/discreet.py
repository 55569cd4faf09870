# Copyright: Contributors to the routed_ipsec.vti project
# GNU General Public License v3.0+ (see COPYING or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

"""A module whose invocation is logged without secrets, wherever in its options they are."""

from __future__ import annotations

import typing as t

from ansible.module_utils.basic import AnsibleModule


class DiscreetModule(AnsibleModule):
    """Ansible hides secrets in the system log by their own text, but logs an option that is a list as repr() has it.

    There a backslash is doubled, so a key in a list of dictionaries that holds one would be logged in full.
    """

    def log(self, msg: t.Any, log_args: t.Any = None) -> None:
        """Log with secrets hidden in both spellings."""
        super().log(self._hidden(msg), {key: self._hidden(value) for key, value in (log_args or {}).items()})

    def _hidden(self, value: t.Any) -> str:
        text = value.decode("utf-8", "replace") if isinstance(value, bytes) else str(value)
        for secret in self.no_log_values:
            for spelling in (str(secret), repr(secret)[1:-1]):
                text = text.replace(spelling, "********")
        return text
