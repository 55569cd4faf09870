# Copyright: Contributors to the routed_ipsec.vti project
# GNU General Public License v3.0+ (see COPYING or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

"""The lookup psk."""

from __future__ import annotations

DOCUMENTATION = r"""
name: psk
short_description: Pre-shared keys of links, made once and kept on the controller
version_added: 0.1.0
author:
  - routed_ipsec.vti contributors (@routed-ipsec)
description:
  - Returns the key of a link. One that does not exist is made, with 256 bits of the operating system's randomness, and
    kept in a file of its own, which only its owner may read.
  - Both ends of a link get the same key, whichever host a run is limited to, and also when hosts ask at once.
  - In check mode nothing is written, and a key that does not exist is made up and forgotten.
options:
  _terms:
    description: Names of links, such as V(hq--branch1); not the empty text, and without C(/) or a dot at the start.
    type: list
    elements: str
    required: true
  directory:
    description:
      - Where the files are, made with mode 0700 if it does not exist.
      - A relative one is beside the first inventory source that is a file or a directory, and beside the playbook if
        there is none.
    type: str
    default: vti_keys
    vars:
      - name: vti_keys_directory
  encryption:
    description:
      - How a file is encrypted when it is written. How it is read follows from what it is.
      - V(vault) takes a vault password of the run, so there must be one.
      - V(sops) runs the program C(sops) in O(directory), which hands it content in C(/dev/stdin); a C(.sops.yaml) there
        or above must have a rule without C(path_regex).
      - V(none) refuses a directory that others may enter.
    type: str
    choices: [vault, sops, none]
    default: vault
    vars:
      - name: vti_keys_encryption
  vault_id:
    description: The vault id whose password encrypts. By default the first one of the run.
    type: str
    vars:
      - name: vti_keys_vault_id
  create:
    description: Whether to make a key that does not exist. Otherwise it is refused.
    type: bool
    default: true
  next:
    description:
      - Return the key that the link is being changed to; if there is none, make it.
      - P(routed_ipsec.vti.psk#lookup) without this option goes on returning the other one.
    type: bool
    default: false
  promote:
    description:
      - Have the key that the link is being changed to be its key, and forget the other one. Returns it.
      - Without such a key nothing changes.
    type: bool
    default: false
seealso:
  - plugin_type: inventory
    plugin: routed_ipsec.vti.topology
"""

EXAMPLES = r"""
# fleet.vti.yml: every tunnel has a key of its own, which nobody needs to make up.
plugin: routed_ipsec.vti.topology
psk: "{{ lookup('routed_ipsec.vti.psk', link) }}"

# group_vars/all.yml
# vti_keys_directory: /srv/fleet/keys
"""

RETURN = r"""
_raw:
  description: A key for each name.
  type: list
  elements: str
"""

import contextlib
import subprocess
import typing as t

import yaml
from ansible.errors import AnsibleError, AnsibleLookupError
from ansible.parsing.vault import is_encrypted, match_encrypt_secret
from ansible.plugins.lookup import LookupBase
from ansible_collections.routed_ipsec.vti.plugins.module_utils._core.errors import InvalidOption, VtiError
from ansible_collections.routed_ipsec.vti.plugins.plugin_utils import keys

_SOPS = ("--input-type", "yaml", "--output-type", "yaml", "/dev/stdin")
_LIMIT = 60
"""Seconds that sops may take; a person may have to type a passphrase."""
_NO_VAULT = "give --ask-vault-pass or --vault-password-file, or set vti_keys_encryption: none"


class Box:
    """Seals as it was told; opens whatever it is given."""

    def __init__(self, encryption: str, directory: str, vault: t.Any, vault_id: str | None) -> None:
        self.private = encryption != "none"
        self._encryption = encryption
        self._directory = directory
        self._vault = vault
        self._vault_id = vault_id

    def seal(self, text: str) -> str:
        if self._encryption == "vault":
            return self._to_vault(text)
        return self._sops("--encrypt", text) if self._encryption == "sops" else text

    def open(self, content: str) -> str:
        if is_encrypted(content):
            return self._from_vault(content)
        return self._sops("--decrypt", content) if _is_sops(content) else content

    def _to_vault(self, text: str) -> str:
        if not self._vault.secrets:
            raise InvalidOption(f"encryption: vault needs a vault password; {_NO_VAULT}")
        try:
            vault_id, secret = match_encrypt_secret(self._vault.secrets, encrypt_vault_id=self._vault_id)
        except AnsibleError:
            known = ", ".join(sorted(str(name) for name, _secret in self._vault.secrets))
            raise InvalidOption(f"vault_id: there is no {self._vault_id}; this run has {known}") from None
        return str(self._vault.encrypt(text, secret, vault_id=vault_id).decode())

    def _from_vault(self, content: str) -> str:
        if not self._vault.secrets:
            raise InvalidOption("encryption: the key is in a vault; give --ask-vault-pass or --vault-password-file")
        try:
            return bytes(self._vault.decrypt(content)).decode()
        except AnsibleError:
            raise InvalidOption("encryption: none of the run's vault passwords opens the vault of this key") from None

    def _sops(self, verb: str, text: str) -> str:
        try:
            done = subprocess.run(
                ["sops", verb, *_SOPS],
                input=text,
                cwd=self._directory,
                capture_output=True,
                encoding="utf-8",
                timeout=_LIMIT,
                check=False,
            )
        except FileNotFoundError:
            raise InvalidOption(
                "encryption: there is no program sops; install it, or set vti_keys_encryption: vault"
            ) from None
        except (OSError, UnicodeError, subprocess.TimeoutExpired) as error:
            # The text of these errors may hold what was handed over.
            raise InvalidOption(f"encryption: sops cannot be used: {type(error).__name__}") from None
        if done.returncode != 0 or not done.stdout:
            # What sops says of plain text might repeat it.
            why = (done.stderr.strip().splitlines() or ["no reason given"])[-1] if verb == "--decrypt" else ""
            hint = why or "is there a .sops.yaml with a rule that has no path_regex?"
            raise InvalidOption(f"encryption: sops {verb} failed with exit status {done.returncode}: {hint}")
        return done.stdout


def _is_sops(content: str) -> bool:
    """Whether sops(1) has made a file: it has a section of that name beside the values."""
    with contextlib.suppress(yaml.YAMLError):
        found = yaml.safe_load(content)
        return isinstance(found, dict) and "sops" in found
    return False


class LookupModule(LookupBase):
    """Ansible looks for this class."""

    _loader: t.Any
    _templar: t.Any

    def run(
        self, terms: t.Sequence[t.Any], variables: t.Mapping[str, t.Any] | None = None, **kwargs: t.Any
    ) -> list[str]:
        self.set_options(var_options=variables, direct=kwargs)
        known = variables or {}
        sources = [str(source) for source in known.get("ansible_inventory_sources") or ()]
        directory = keys.beside(sources, self._loader.get_basedir(), self._option("directory"))
        box = Box(self._option("encryption"), directory, self._loader._vault, self._option("vault_id"))
        store = keys.Store(directory, box, writes=not known.get("ansible_check_mode"))
        try:
            return [self._key(store, keys.check_name(term)) for term in terms]
        except VtiError as error:
            raise AnsibleLookupError(str(error)) from None

    def _option(self, name: str) -> t.Any:
        """What comes from a variable can be a template."""
        value = self.get_option(name)
        return self._templar.template(value) if isinstance(value, str) else value

    def _key(self, store: keys.Store, name: str) -> str:
        create = self.get_option("create")
        if self.get_option("next"):
            found = store.keys(name, keys.with_next, create=create).next
            if found is not None:
                return found.reveal()
        change = keys.promoted if self.get_option("promote") else (lambda known: known)
        return store.keys(name, change, create=create).current.reveal()
