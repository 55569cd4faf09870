# Copyright: Contributors to the routed_ipsec.vti project
# GNU General Public License v3.0+ (see COPYING or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

"""The CA's directory on the controller, over several runs."""

from __future__ import annotations

import pathlib
import threading
import typing as t

import pytest
import yaml
from ansible_collections.routed_ipsec.vti.plugins.action import pki_sign
from ansible_collections.routed_ipsec.vti.plugins.module_utils._core.errors import InvalidOption
from ansible_collections.routed_ipsec.vti.plugins.modules import pki_sign as documentation
from cryptography import x509
from cryptography.hazmat.primitives import serialization
from cryptography.hazmat.primitives.asymmetric import ec

PASSPHRASE = "a passphrase of the test"
DEFAULTS = {name: option["default"] for name, option in pki_sign.ARGUMENTS.items() if "default" in option}


def public_key() -> str:
    key = ec.generate_private_key(ec.SECP256R1()).public_key()
    return key.public_bytes(serialization.Encoding.PEM, serialization.PublicFormat.SubjectPublicKeyInfo).decode()


class Fleet:
    """Sites that keep their keys and what they have been given."""

    def __init__(self, directory: pathlib.Path) -> None:
        self.directory = directory
        self.keys: dict[str, str] = {}
        self.certificates: dict[str, str] = {}

    def run(
        self, site: str = "branch1", *, check: bool = False, passphrase: str | None = PASSPHRASE, **options: t.Any
    ) -> dict[str, t.Any]:
        given = {
            **DEFAULTS,
            "directory": str(self.directory),
            "site": site,
            "identities": [site],
            "public_key": self.keys.setdefault(site, public_key()),
            "certificate": self.certificates.get(site, ""),
            **options,
        }
        result = pki_sign.run(given, passphrase, check=check)
        if not check:
            self.certificates[site] = result["certificate"]
        return result

    def files(self) -> dict[str, bytes]:
        return {path.name: path.read_bytes() for path in self.directory.glob("*")} if self.directory.exists() else {}


@pytest.fixture
def fleet(tmp_path: pathlib.Path) -> Fleet:
    return Fleet(tmp_path / "pki")


def revoked(result: dict[str, t.Any]) -> set[int]:
    return {item.serial_number for item in x509.load_pem_x509_crl(result["crl"].encode())}


def serial(text: str) -> int:
    return x509.load_pem_x509_certificate(text.encode()).serial_number


def test_a_second_run_changes_nothing_and_needs_no_passphrase(fleet: Fleet) -> None:
    first = fleet.run()
    files = fleet.files()
    second = fleet.run(passphrase=None)
    assert (first["changed"], first["reason"]) == (True, "there is none")
    assert second == {**first, "changed": False, "reason": None}
    assert fleet.files() == files


def test_sites_share_the_ca(fleet: Fleet) -> None:
    one, other = fleet.run("branch1"), fleet.run("branch2")
    assert one["ca"] == other["ca"]
    assert one["crl"] == other["crl"]
    assert serial(one["certificate"]) != serial(other["certificate"])


def test_nobody_else_can_read_the_directory(fleet: Fleet) -> None:
    fleet.run()
    fleet.directory.chmod(0o755)
    (fleet.directory / "ca.key").chmod(0o644)
    fleet.run()
    assert fleet.directory.stat().st_mode & 0o777 == 0o700
    assert {path.stat().st_mode & 0o777 for path in fleet.directory.glob("*")} == {0o600}


def test_the_key_is_encrypted_unless_allowed(fleet: Fleet) -> None:
    with pytest.raises(InvalidOption, match=r"^pki_ca_passphrase: required"):
        fleet.run(passphrase=None)
    assert "ca.key" not in fleet.files()
    fleet.run()
    assert b"ENCRYPTED" in fleet.files()["ca.key"]
    assert PASSPHRASE.encode() not in b"".join(fleet.files().values())


def test_a_plain_key_is_used_when_allowed_only(fleet: Fleet) -> None:
    fleet.run(passphrase=None, plain=True)
    assert b"BEGIN PRIVATE KEY" in fleet.files()["ca.key"]
    with pytest.raises(InvalidOption, match=r"^pki_ca_plain: "):
        fleet.run("branch2")
    assert fleet.run("branch2", passphrase=None, plain=True)["changed"]


def test_check_mode_writes_nothing_and_predicts(fleet: Fleet) -> None:
    assert fleet.run(check=True, public_key="")["changed"]
    assert fleet.files() == {}
    fleet.run()
    files = fleet.files()
    assert not fleet.run(check=True, passphrase=None)["changed"]
    for options in (
        {"identities": ["another"]},
        {"renew_before": 826, "days": 3000, "crl_days": 3000},
        {"revoked": ["branch1"]},
    ):
        predicted = fleet.run(check=True, passphrase=None, **options)
        assert predicted["changed"], options
    assert fleet.run("branch2", check=True, passphrase=None)["changed"]
    assert fleet.files() == files


def test_what_is_about_to_end_is_made_anew(fleet: Fleet) -> None:
    first = fleet.run(days=40, crl_days=3000)
    assert not fleet.run(days=825, crl_days=3000)["changed"]
    second = fleet.run(days=825, crl_days=3000, renew_before=41)
    assert second["changed"]
    assert second["reason"].startswith("it ends at ")
    assert serial(second["certificate"]) != serial(first["certificate"])
    assert (second["ca"], second["crl"]) == (first["ca"], first["crl"])


def test_a_ca_about_to_end_is_renewed_and_its_certificates_with_it(fleet: Fleet) -> None:
    first = fleet.run(ca_days=40, days=400)
    second = fleet.run(days=400, renew_before=41)
    assert second["ca"] != first["ca"]
    assert not fleet.run(days=400, renew_before=41)["changed"]
    old, new = (x509.load_pem_x509_certificate(text.encode()) for text in (first["certificate"], second["ca"]))
    old.verify_directly_issued_by(new)


def test_a_site_is_revoked_by_any_site_s_run(fleet: Fleet) -> None:
    fleet.run("hq")
    numbers = {
        serial(fleet.run("branch1")["certificate"]),
        serial(fleet.run("branch1", identities=["new"])["certificate"]),
    }
    hub = fleet.run("hq", revoked=["branch1"])
    assert revoked(hub) == numbers
    assert hub["certificate"]
    assert not fleet.run("hq", revoked=["branch1"], passphrase=None)["changed"]


def test_a_revoked_site_gets_nothing_until_it_has_another_key(fleet: Fleet) -> None:
    fleet.run("branch1")
    result = fleet.run("branch1", revoked=["branch1"], public_key="")
    assert (result["certificate"], result["revoked"], len(revoked(result))) == ("", True, 1)
    with pytest.raises(InvalidOption, match=r"its certificate was revoked; remove routed_ipsec\.pem"):
        fleet.run("branch1")
    del fleet.keys["branch1"]
    again = fleet.run("branch1")
    assert again["certificate"]
    assert revoked(again) == revoked(result)


def test_a_ca_that_lost_a_file_is_not_replaced(fleet: Fleet) -> None:
    fleet.run()
    (fleet.directory / "ca.pem").unlink()
    with pytest.raises(InvalidOption, match=r"^pki_directory: ca\.pem is missing"):
        fleet.run()


@pytest.mark.parametrize(
    ("options", "message"),
    [
        ({"identities": []}, r"^identities: "),
        ({"days": 30}, r"^days: "),
        ({"crl_days": 40000}, r"^crl_days: "),
        ({"renew_before": 0}, r"^renew_before: "),
        ({"public_key": "x"}, r"^site branch1: public_key: "),
        ({"revoked": ["nobody"]}, r"^pki_revoked: "),
        ({"identities": ["C=CH"]}, r"^site branch1: identities: "),
    ],
)
def test_refusals(fleet: Fleet, options: dict[str, t.Any], message: str) -> None:
    with pytest.raises(InvalidOption, match=message):
        fleet.run(**options)


def test_sites_may_come_at_the_same_time(fleet: Fleet) -> None:
    results: list[dict[str, t.Any]] = []
    sites = [f"branch{number}" for number in range(8)]
    threads = [threading.Thread(target=lambda site=site: results.append(fleet.run(site))) for site in sites]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert len({result["ca"] for result in results}) == 1
    assert len({serial(result["certificate"]) for result in results}) == len(sites)
    assert len(revoked(fleet.run("branch0", revoked=sites))) == len(sites)


def test_documentation_and_arguments_agree() -> None:
    described = yaml.safe_load(documentation.DOCUMENTATION)["options"]
    keys = ("type", "elements", "default", "required")
    assert {name: {key: option[key] for key in keys if key in option} for name, option in described.items()} == {
        name: {key: option[key] for key in keys if key in option} for name, option in pki_sign.ARGUMENTS.items()
    }
