# Copyright: Contributors to the routed_ipsec.vti project
# GNU General Public License v3.0+ (see COPYING or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

"""The lookup psk as Ansible's programs use it."""

from __future__ import annotations

import pathlib
import re
import subprocess
import typing as t

import pytest
from ansible_collections.routed_ipsec.vti.tests.unit import controller as controller_module

Seen = dict[str, dict[str, str]]
BRANCHES = [f"branch{number}" for number in range(1, 7)]
FLEET = {
    "plugin": "routed_ipsec.vti.topology",
    "sites": {name: {"id": n, "wan_address": f"192.0.2.{n}"} for n, name in enumerate(["hq", *BRANCHES], 1)},
    "hubs": ["hq"],
    "spokes": BRANCHES,
    "psk": "{{ lookup('routed_ipsec.vti.psk', link) }}",
}
SOPS = """#!/bin/sh
# Stands in for sops: content through standard input only, and a section "sops" in what was encrypted.
set -eu
test "$*" = "$1 --input-type yaml --output-type yaml /dev/stdin"
case $1 in
  --encrypt) echo "data: $(base64 -w 0)"; echo "sops: {version: 3.9.0}" ;;
  --decrypt) sed -n 's/^data: //p' | base64 -d ;;
esac
"""
PLAY = """
- hosts: vti_sites
  gather_facts: false
  connection: local
  tasks:
    - ansible.builtin.debug:
        msg: "{% for item in gateway_phase1 %}{{ inventory_hostname }} {{ item.name }} {{ item.psk }};{% endfor %}"
"""


class Controller(controller_module.Controller):
    """One with an inventory. Where what programs say of errors stands among the rest tells of which task it is."""

    stderr = subprocess.STDOUT

    def __init__(self, path: pathlib.Path) -> None:
        super().__init__(path)
        self.keys = path / "vti_keys"
        for name in ("bin", "plays"):
            (path / name).mkdir()
        self.write("fleet.vti.yml", FLEET)
        self.write("plays/play.yml", PLAY)
        self.write("password", "correct horse")
        self.write("other", "battery staple")

    def deploy(self, *arguments: str) -> Seen:
        """The key of each phase 1 that each host gets."""
        done = self.run("playbook", *DEPLOY, *arguments)
        assert done.returncode == 0, done.stdout
        return seen(done.stdout)

    def evaluate(self, expressions: t.Sequence[str], *arguments: str) -> list[str]:
        """Have templates evaluated one after the other, whatever becomes of them; what Ansible says of each."""
        tasks = [{"ansible.builtin.debug": {"msg": f"{{{{ {one} }}}}"}, "ignore_errors": True} for one in expressions]
        self.write("ask.yml", [{"hosts": "localhost", "gather_facts": False, "tasks": tasks}])
        done = self.run("playbook", "ask.yml", *arguments)
        assert done.returncode == 0, done.stdout
        return done.stdout.partition("PLAY RECAP")[0].split("TASK [")[1:]


DEPLOY = ("-i", "fleet.vti.yml", "plays/play.yml")
VAULT = ("--vault-password-file", "password")
PLAIN = ("-e", "vti_keys_encryption=none")


@pytest.fixture(name="controller")
def _controller(tmp_path: pathlib.Path) -> Controller:
    return Controller(tmp_path)


def seen(said: str) -> Seen:
    """The keys in what the play has said, by host and phase 1."""
    found: Seen = {}
    for host, name, key in re.findall(r"(\w+) (\w+) ([\w-]{43});", said):
        found.setdefault(host, {})[name] = key
    return found


def equal_ends(found: Seen) -> bool:
    return all(found[name]["hq"] == found["hq"][name] for name in BRANCHES)


def test_a_fleet_gets_its_keys(controller: Controller) -> None:
    """Hosts ask at once in a process each; afterwards a part of them, and the inventory's own program."""
    first = controller.deploy(*VAULT, "--forks", "7")
    assert equal_ends(first)
    assert len(set(first["hq"].values())) == len(BRANCHES)
    content = (controller.keys / "hq--branch1.yml").read_text()
    assert content.startswith("$ANSIBLE_VAULT;")
    assert sorted(path.name for path in controller.keys.iterdir()) == [
        ".lock",
        *(f"hq--{name}.yml" for name in BRANCHES),
    ]
    assert controller.deploy(*VAULT, "--limit", "branch3") == {"branch3": first["branch3"]}
    assert (controller.keys / "hq--branch1.yml").read_text() == content
    done = controller.run("inventory", "-i", "fleet.vti.yml", "--host", "branch1", *VAULT)
    assert done.returncode == 0
    assert "lookup('routed_ipsec.vti.psk', link)" in done.stdout
    assert first["branch1"]["hq"] not in done.stdout


def test_both_ends_in_two_runs_at_once(controller: Controller) -> None:
    runs = [controller.start("playbook", *DEPLOY, *PLAIN, "--limit", limit) for limit in ("hq", "vti_branches")]
    said = "".join(run.communicate(timeout=controller_module.LIMIT)[0] for run in runs)
    assert [run.returncode for run in runs] == [0, 0], said
    assert equal_ends(seen(said))


def test_check_mode_writes_nothing(controller: Controller) -> None:
    assert set(controller.deploy(*VAULT, "--check")) == {"hq", *BRANCHES}
    assert not controller.keys.exists()


def test_sops(controller: Controller) -> None:
    controller.write("bin/sops", SOPS)
    (controller.path / "bin" / "sops").chmod(0o755)
    chosen = ("-e", "vti_keys_encryption=sops")
    first = controller.deploy(*chosen)
    assert equal_ends(first)
    files = {path.name: path.read_text() for path in controller.keys.glob("hq--*.yml")}
    assert all("sops: {" in content for content in files.values())
    assert not [key for key in first["hq"].values() if key in "".join(files.values())]
    assert controller.deploy(*chosen) == first
    controller.write("bin/sops", "#!/bin/sh\ncat >&2; exit 3\n")
    (said,) = controller.evaluate(["lookup('routed_ipsec.vti.psk', 'new')"], *chosen)
    assert "sops --encrypt failed with exit status 3: is there a .sops.yaml" in said
    assert "current" not in said


def test_what_was_encrypted_stays_readable(controller: Controller) -> None:
    """How a file is read follows from what it is."""
    first = controller.deploy(*PLAIN)
    assert controller.deploy(*VAULT) == first
    (controller.keys / "hq--branch1.yml").unlink()
    second = controller.deploy(*VAULT)
    assert second["hq"]["branch1"] != first["hq"]["branch1"]
    assert controller.deploy(*VAULT, *PLAIN) == second


def test_the_vault_id_chooses_the_password(controller: Controller) -> None:
    both = ("--vault-id", "prod@password", "--vault-id", "keys@other")
    controller.deploy(*both, "-e", "vti_keys_vault_id=keys", "--limit", "branch1")
    assert (controller.keys / "hq--branch1.yml").read_text().startswith("$ANSIBLE_VAULT;1.2;AES256;keys\n")
    controller.deploy(*both, "--limit", "branch2")
    assert (controller.keys / "hq--branch2.yml").read_text().startswith("$ANSIBLE_VAULT;1.2;AES256;prod\n")


@pytest.mark.parametrize(
    ("arguments", "why"),
    [
        ((), "encryption: vault needs a vault password; give --ask-vault-pass or --vault-password-file, or set"),
        ((*VAULT, "-e", "vti_keys_vault_id=nobody"), "vault_id: there is no nobody; this run has default"),
        (("-e", "vti_keys_encryption=sops"), "there is no program sops; install it"),
        (("-e", "vti_keys_encryption=rot13"), "rot13"),
    ],
)
def test_what_cannot_be_encrypted_is_refused(
    controller: Controller, arguments: tuple[str, ...], why: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("PATH", "/nowhere")
    (said,) = controller.evaluate(["lookup('routed_ipsec.vti.psk', 'hq--branch1')"], *arguments)
    assert "fatal: " in said
    assert why in said
    assert list(controller.keys.glob("hq*")) == []


def test_a_vault_that_does_not_open(controller: Controller) -> None:
    controller.deploy(*VAULT)
    ask = "lookup('routed_ipsec.vti.psk', 'hq--branch1')"
    for arguments, why in (
        ((), "the key is in a vault; give --ask-vault-pass"),
        (("--vault-password-file", "other"), "none of the run's vault passwords opens"),
    ):
        (said,) = controller.evaluate([ask], "-i", "fleet.vti.yml", *arguments)
        assert "fatal: " in said
        assert why in said


def test_a_rotation(controller: Controller) -> None:
    """A key to change to is made once, and asking for the link's key goes on giving the other one until the end."""
    options = ["", "next=true", "", "next=true", "promote=true", "promote=true", "create=false"]
    said = controller.evaluate([f"lookup('routed_ipsec.vti.psk', 'a--b', {more})" for more in options], *PLAIN)
    first, following, *others = (found for one in said for found in re.findall(r'"msg": "([^"]+)"', one))
    assert first != following
    assert others == [first, following, following, following, following]


def test_what_is_refused(controller: Controller) -> None:
    refused = {
        "'a/b'": "link: 'a/b' cannot name a file of keys",
        "'.a'": "link: '.a' cannot name a file of keys",
        "''": "link: '' is no name",
        "'a--b', create=false": "link: there is no key for a--b",
        "'a--b', create=false, next=true": "link: there is no key for a--b",
    }
    asked = [f"lookup('routed_ipsec.vti.psk', {expression})" for expression in refused]
    for said, why in zip(controller.evaluate(asked, *PLAIN), refused.values(), strict=True):
        assert "fatal: " in said
        assert why in said
    assert not controller.keys.exists()


def test_the_directory_can_be_chosen_by_a_template(controller: Controller) -> None:
    controller.deploy(*PLAIN, "-e", '{"fleet": "north", "vti_keys_directory": "keys of {{ fleet }}"}')
    assert len(list((controller.path / "keys of north").glob("hq--*.yml"))) == len(BRANCHES)
    assert not controller.keys.exists()
