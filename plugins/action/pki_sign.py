# Copyright: Contributors to the routed_ipsec.vti project
# GNU General Public License v3.0+ (see COPYING or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

"""Signs a site's certificate on the controller; nothing runs on the site."""

from __future__ import annotations

import contextlib
import dataclasses
import datetime
import pathlib
import typing as t

from ansible.errors import AnsibleActionFail
from ansible.module_utils.basic import missing_required_lib
from ansible.plugins.action import ActionBase
from ansible_collections.routed_ipsec.vti.plugins.module_utils._core.errors import InvalidOption, VtiError
from ansible_collections.routed_ipsec.vti.plugins.plugin_utils import files, pki

if t.TYPE_CHECKING:
    from collections.abc import Iterator

ARGUMENTS: dict[str, dict[str, t.Any]] = {
    "directory": {"type": "path", "required": True},
    "site": {"type": "str", "required": True},
    "identities": {"type": "list", "elements": "str", "required": True},
    "public_key": {"type": "str", "default": "", "no_log": False},
    "certificate": {"type": "str", "default": ""},
    "ca_name": {"type": "str", "default": "routed_ipsec.vti CA"},
    "ca_days": {"type": "int", "default": 3650},
    "days": {"type": "int", "default": 825},
    "crl_days": {"type": "int", "default": 365},
    "renew_before": {"type": "int", "default": 30},
    "revoked": {"type": "list", "elements": "str", "default": []},
    "passphrase_variable": {"type": "str", "no_log": False, "default": "pki_ca_passphrase"},
    "plain": {"type": "bool", "default": False},
}


class ActionModule(ActionBase):
    """The passphrase is read from its variable: it is no argument, which a callback may show."""

    _supports_check_mode = True
    _requires_connection = False

    def run(self, tmp: str | None = None, task_vars: dict[str, t.Any] | None = None) -> dict[str, t.Any]:
        """Return the documented result."""
        result: dict[str, t.Any] = super().run(tmp, task_vars)
        if pki.MISSING is not None:
            raise AnsibleActionFail(missing_required_lib("cryptography"), orig_exc=pki.MISSING)
        _validated, options = self.validate_argument_spec(argument_spec=ARGUMENTS)
        name = options["passphrase_variable"]
        given = self._templar.template((task_vars or {}).get(name, ""))
        try:
            result.update(run(options, str(given or "") or None, check=self._task.check_mode))
        except VtiError as error:
            raise AnsibleActionFail(str(error)) from None
        except OSError as error:
            raise AnsibleActionFail(f"pki_directory: {error.filename}: {error.strerror}") from None
        return result


def run(options: dict[str, t.Any], passphrase: str | None, *, check: bool) -> dict[str, t.Any]:
    """Bring directory and certificate up to date; with ``check``, say what would change."""
    _check(options)
    directory = pathlib.Path(options["directory"])
    now = datetime.datetime.now(datetime.UTC).replace(microsecond=0)
    if check:
        return _Signer(directory, options, passphrase, now, check=True).result()
    with _locked(directory):
        return _Signer(directory, options, passphrase, now, check=False).result()


def _check(options: dict[str, t.Any]) -> None:
    if not options["identities"]:
        raise InvalidOption("identities: give at least one")
    for option in ("ca_days", "days", "crl_days"):
        if not options["renew_before"] < options[option] <= 36500:
            raise InvalidOption(f"{option}: must be more than renew_before, and no more than 36500")
    if options["renew_before"] < 1:
        raise InvalidOption("renew_before: must be 1 or more")


@contextlib.contextmanager
def _locked(directory: pathlib.Path) -> Iterator[None]:
    """One task at a time: those of many hosts run side by side."""
    directory.mkdir(mode=0o700, parents=True, exist_ok=True)
    with files.locked(directory, "lock"):
        # Before that, another task's file might go while it is looked at.
        for path in (directory, *directory.glob("*")):
            if path.stat().st_mode & 0o077:
                path.chmod(0o700 if path is directory else 0o600)
        yield


@dataclasses.dataclass
class _Signer:
    """One site's turn. The CA's key is read when something is to be signed, and not before."""

    directory: pathlib.Path
    options: dict[str, t.Any]
    passphrase: str | None
    now: datetime.datetime
    check: bool
    changed: bool = False
    _authority: pki.Authority | None = None

    def result(self) -> dict[str, t.Any]:
        options = self.options
        self._settle_authority()
        records = pki.read_index(self._read("issued.json"))
        kept = pki.revoke(records, options["revoked"], self.now)
        certificate, reason = "", None
        if options["site"] not in options["revoked"]:
            certificate, reason, issued = self._certificate(kept)
            kept += issued
        if kept != records:
            self._write("issued.json", pki.render_index(kept))
        crl = self._revocation_list(kept)
        return {
            "changed": self.changed,
            "ca": self._read("ca.pem"),
            "certificate": certificate,
            "crl": crl,
            "reason": reason,
            "revoked": options["site"] in options["revoked"],
        }

    def _settle_authority(self) -> None:
        text = self._read("ca.pem")
        if text:
            end = pki.read_certificate("ca.pem", text).not_valid_after_utc
            if pki.days_left(end, self.now) >= self.options["renew_before"]:
                return
        self.changed = True
        if self.check:
            return
        if text:
            self._authority = pki.renew_authority(self._signing(), self.options["ca_days"], self.now)
        else:
            if self._read("ca.key") or self._read("issued.json"):
                raise InvalidOption(f"pki_directory: ca.pem is missing in {self.directory}; put it back, or empty that")
            secret = None if self.options["plain"] else self._required_passphrase()
            self._authority = pki.make_authority(self.options["ca_name"], self.options["ca_days"], self.now)
            self._write("ca.key", pki.render_key(self._authority.key, secret))
        self._write("ca.pem", self._authority.pem)

    def _required_passphrase(self) -> str:
        if not self.passphrase:
            raise InvalidOption("pki_ca_passphrase: required for the CA's key; keep it in a vault, or set pki_ca_plain")
        return self.passphrase

    def _signing(self) -> pki.Authority:
        if self._authority is None:
            key = self._read("ca.key")
            if not key:
                raise InvalidOption(f"pki_directory: ca.key is missing in {self.directory}; put it back")
            if "ENCRYPTED" not in key and not self.options["plain"]:
                raise InvalidOption("pki_ca_plain: the CA's key is in plain; allow it, or encrypt ca.key")
            self._authority = pki.read_authority(self._read("ca.pem"), key, self.passphrase)
        return self._authority

    def _certificate(self, records: list[pki.Issued]) -> tuple[str, str | None, list[pki.Issued]]:
        """The certificate that the site shall have, why it is another one than before, and its record."""
        options, present = self.options, str(self.options["certificate"])
        ca, site = self._read("ca.pem"), str(options["site"])
        if self.check and not (ca and options["public_key"]):
            self.changed = True
            return "", "there is none", []
        key = pki.read_public_key(f"site {site}", options["public_key"])
        pki.check_key(site, key, records)
        authority = pki.read_certificate("ca.pem", ca)
        reason = pki.why_not(present, authority, key, options["identities"], options["renew_before"], self.now)
        if reason is None:
            return present, None, []
        self.changed = True
        if self.check:
            return present, reason, []
        text, record = pki.issue(self._signing(), site, key, options["identities"], options["days"], self.now)
        return text, reason, [record]

    def _revocation_list(self, records: list[pki.Issued]) -> str:
        present, ca = self._read("crl.pem"), self._read("ca.pem")
        if not ca:
            return ""
        authority = pki.read_certificate("ca.pem", ca)
        if pki.list_lacks(present, authority, records, self.options["renew_before"], self.now) is None:
            return present
        self.changed = True
        if self.check:
            return present
        text = pki.revocation_list(self._signing(), records, self.options["crl_days"], self.now)
        self._write("crl.pem", text)
        return text

    def _read(self, name: str) -> str:
        try:
            return (self.directory / name).read_text(encoding="utf-8")
        except FileNotFoundError:
            return ""

    def _write(self, name: str, text: str) -> None:
        self.changed = True
        if not self.check:
            files.replace(self.directory / name, text)
