# Copyright: Contributors to the routed_ipsec.vti project
# GNU General Public License v3.0+ (see COPYING or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

"""What a CA signs and revokes, and when it does so again."""

from __future__ import annotations

import dataclasses
import datetime
import ipaddress
import typing as t

import pytest
from ansible_collections.routed_ipsec.vti.plugins.module_utils._core.errors import InvalidOption, ParseError
from ansible_collections.routed_ipsec.vti.plugins.plugin_utils import identities, pki
from cryptography import x509
from cryptography.hazmat.primitives import serialization
from cryptography.hazmat.primitives.asymmetric import ec, ed25519, rsa

NOW = datetime.datetime(2030, 1, 1, tzinfo=datetime.UTC)
CA = pki.make_authority("test CA", 3650, NOW)
KEY = ec.generate_private_key(ec.SECP256R1()).public_key()
OTHER = ec.generate_private_key(ec.SECP256R1()).public_key()


def after(days: int) -> datetime.datetime:
    return NOW + datetime.timedelta(days=days)


def pem(key: t.Any) -> str:
    return key.public_bytes(serialization.Encoding.PEM, serialization.PublicFormat.SubjectPublicKeyInfo).decode()


def issue(*names: str, days: int = 825, ca: pki.Authority = CA) -> tuple[x509.Certificate, str, pki.Issued]:
    text, record = pki.issue(ca, "branch1", KEY, names or ("branch1",), days, NOW)
    return x509.load_pem_x509_certificate(text.encode()), text, record


# --- the authority ----------------------------------------------------------------------------------------------------


def test_a_ca_signs_certificates_and_lists_and_no_other_ca() -> None:
    constraints = CA.certificate.extensions.get_extension_for_class(x509.BasicConstraints)
    usage = CA.certificate.extensions.get_extension_for_class(x509.KeyUsage)
    assert (constraints.critical, constraints.value.ca, constraints.value.path_length) == (True, True, 0)
    assert usage.critical
    assert usage.value.key_cert_sign
    assert usage.value.crl_sign
    assert not usage.value.digital_signature
    assert CA.certificate.not_valid_after_utc == after(3650)


def test_the_key_opens_with_its_passphrase_alone() -> None:
    text = pki.render_key(CA.key, "right")
    assert "ENCRYPTED" in text
    assert pki.read_authority(CA.pem, text, "right").certificate == CA.certificate
    for passphrase in ("wrong", None):
        with pytest.raises(InvalidOption, match=r"^pki_ca_passphrase: "):
            pki.read_authority(CA.pem, text, passphrase)


def test_a_plain_key_opens_without_one() -> None:
    assert pki.read_authority(CA.pem, pki.render_key(CA.key, None), "unused").certificate == CA.certificate


def test_another_ca_s_key_is_refused() -> None:
    stranger = pki.make_authority("another", 3650, NOW)
    with pytest.raises(InvalidOption, match=r"^pki_directory: the CA's key is not that of its certificate"):
        pki.read_authority(CA.pem, pki.render_key(stranger.key, None), None)


def test_the_private_key_is_not_shown() -> None:
    assert "key" not in repr(CA).replace("certificate", "")


def test_a_renewed_ca_vouches_for_what_it_has_signed_before() -> None:
    renewed = pki.renew_authority(CA, 3650, after(3640))
    certificate, text, _record = issue()
    assert renewed.certificate.serial_number != CA.certificate.serial_number
    assert renewed.certificate.not_valid_after_utc == after(3640 + 3650)
    certificate.verify_directly_issued_by(renewed.certificate)
    assert pki.why_not(text, renewed.certificate, KEY, ["branch1"], 30, NOW) is None


# --- certificates -----------------------------------------------------------------------------------------------------


def test_a_certificate_is_of_its_identities() -> None:
    certificate, _text, record = issue("branch1", "203.0.113.11", "2001:db8::1", "gw@example.com")
    names = certificate.extensions.get_extension_for_class(x509.SubjectAlternativeName).value
    assert certificate.subject.rfc4514_string() == "CN=branch1"
    assert names.get_values_for_type(x509.DNSName) == ["branch1"]
    assert names.get_values_for_type(x509.IPAddress) == [
        ipaddress.ip_address("203.0.113.11"),
        ipaddress.ip_address("2001:db8::1"),
    ]
    assert names.get_values_for_type(x509.RFC822Name) == ["gw@example.com"]
    assert not certificate.extensions.get_extension_for_class(x509.BasicConstraints).value.ca
    assert certificate.public_key() == KEY
    assert (record.site, int(record.serial, 16)) == ("branch1", certificate.serial_number)
    assert (record.key, record.revoked) == (pki.fingerprint(KEY), None)
    certificate.verify_directly_issued_by(CA.certificate)


@pytest.mark.parametrize(("days", "end"), [(825, 825), (3649, 3649), (5000, 3650)])
def test_a_certificate_ends_no_later_than_its_ca(days: int, end: int) -> None:
    certificate, _text, _record = issue(days=days)
    assert certificate.not_valid_after_utc == after(end)
    assert certificate.not_valid_before_utc < NOW


@pytest.mark.parametrize(
    ("days", "names", "key", "reason"),
    [
        (0, ["branch1"], KEY, None),
        (795, ["branch1"], KEY, None),
        (796, ["branch1"], KEY, "it ends at 2032-04-05T00:00:00+00:00"),
        (900, ["branch1"], KEY, "it ends at 2032-04-05T00:00:00+00:00"),
        (0, ["branch2"], KEY, "it is of another identity"),
        (0, ["branch1", "branch1.example.com"], KEY, "it is of another identity"),
        (0, ["branch1"], OTHER, "it is of another key"),
    ],
)
def test_a_certificate_stays_as_long_as_it_will_do(days: int, names: list[str], key: t.Any, reason: str | None) -> None:
    assert pki.why_not(issue()[1], CA.certificate, key, names, 30, after(days)) == reason


def test_a_certificate_of_another_ca_will_not_do() -> None:
    # The same name and another key: the issuer's name says nothing.
    stranger = pki.make_authority("test CA", 3650, NOW)
    assert pki.why_not(issue()[1], stranger.certificate, KEY, ["branch1"], 30, NOW) == "it is of another CA"


@pytest.mark.parametrize(
    ("text", "reason"), [("", "there is none"), ("\n", "there is none"), ("x", "it cannot be read")]
)
def test_what_is_no_certificate_will_not_do(text: str, reason: str) -> None:
    assert pki.why_not(text, CA.certificate, KEY, ["branch1"], 30, NOW) == reason


def test_a_certificate_that_ends_with_its_ca_is_not_renewed_in_vain() -> None:
    text = issue(days=5000)[1]
    assert pki.why_not(text, CA.certificate, KEY, ["branch1"], 30, after(3640)) is None
    renewed = pki.renew_authority(CA, 3650, after(3640))
    assert str(pki.why_not(text, renewed.certificate, KEY, ["branch1"], 30, after(3640))).startswith("it ends at ")


@pytest.mark.parametrize(
    "key",
    [KEY, ed25519.Ed25519PrivateKey.generate().public_key(), rsa.generate_private_key(65537, 2048).public_key()],
)
def test_strong_keys_are_taken(key: t.Any) -> None:
    assert pki.read_public_key("site a", pem(key)) == key


@pytest.mark.parametrize(
    "text",
    [
        "",
        "nonsense",
        pem(rsa.generate_private_key(65537, 1024).public_key()),
        pem(ec.generate_private_key(ec.SECP224R1()).public_key()),
    ],
    ids=["none", "nonsense", "short RSA", "short ECDSA"],
)
def test_other_keys_are_refused(text: str) -> None:
    with pytest.raises(InvalidOption, match=r"^site a: public_key: "):
        pki.read_public_key("site a", text)


@pytest.mark.parametrize("identity", ["", "a b", "C=CH, O=x", "%any", "zürich", "x" * 65, "@#1234", "{{ x }}", "a\nb"])
def test_identities_that_no_certificate_can_have_are_refused(identity: str) -> None:
    with pytest.raises(InvalidOption, match=r"^here: .* cannot be in a certificate"):
        identities.kind("here", identity)


@pytest.mark.parametrize(
    ("identity", "kind"),
    [
        ("hq", ("dns", "hq")),
        ("@hq", ("dns", "hq")),
        ("branch_1.example.com", ("dns", "branch_1.example.com")),
        ("198.51.100.1", ("ip", "198.51.100.1")),
        ("2001:DB8:0::1", ("ip", "2001:db8::1")),
        ("gw@example.com", ("email", "gw@example.com")),
    ],
)
def test_kinds_of_identities(identity: str, kind: tuple[str, str]) -> None:
    assert identities.kind("here", identity) == kind


# --- revocation -------------------------------------------------------------------------------------------------------


RECORDS = [
    pki.Issued("branch1", "1a2b", "k1", "2032-01-01"),
    pki.Issued("branch1", "3c4d", "k1", "2034-01-01"),
    pki.Issued("hq", "5e6f", "k2", "2032-01-01"),
]


@pytest.mark.parametrize(
    ("entries", "serials"),
    [
        ([], []),
        (["branch1"], ["1a2b", "3c4d"]),
        (["5e6f"], ["5e6f"]),
        (["00:5E:6F"], ["5e6f"]),
        (["0x1a2b", "hq"], ["1a2b", "5e6f"]),
    ],
)
def test_sites_and_serial_numbers_are_revoked(entries: list[str], serials: list[str]) -> None:
    found = pki.revoke(RECORDS, entries, NOW)
    assert [record.serial for record in found if record.revoked] == serials
    assert [dataclasses.replace(record, revoked=None) for record in found] == RECORDS


def test_a_revocation_is_for_good_and_keeps_its_time() -> None:
    once = pki.revoke(RECORDS, ["branch1"], NOW)
    assert pki.revoke(once, [], after(5)) == once
    assert pki.revoke(once, ["branch1"], after(5)) == once


@pytest.mark.parametrize("entry", ["brnch1", "ffff", ""])
def test_a_revocation_of_nothing_is_refused(entry: str) -> None:
    with pytest.raises(InvalidOption, match=r"^pki_revoked: "):
        pki.revoke(RECORDS, [entry], NOW)


def test_a_key_whose_certificate_was_revoked_gets_no_other() -> None:
    record = issue()[2]
    pki.check_key("branch1", KEY, [record])
    revoked = pki.revoke([record], ["branch1"], NOW)
    pki.check_key("branch1", OTHER, revoked)
    with pytest.raises(InvalidOption, match=r"^site branch1: public_key: its certificate was revoked"):
        pki.check_key("branch1", KEY, revoked)


def test_a_list_has_what_is_revoked_and_is_of_the_ca() -> None:
    records = pki.revoke(RECORDS, ["branch1"], NOW)
    found = x509.load_pem_x509_crl(pki.revocation_list(CA, records, 365, NOW).encode())
    assert sorted(item.serial_number for item in found) == [0x1A2B, 0x3C4D]
    assert {item.revocation_date_utc for item in found} == {NOW}
    assert found.issuer == CA.certificate.subject
    assert found.is_signature_valid(CA.key.public_key())
    assert found.next_update_utc == after(365)
    authority = found.extensions.get_extension_for_class(x509.AuthorityKeyIdentifier).value
    subject = CA.certificate.extensions.get_extension_for_class(x509.SubjectKeyIdentifier).value
    assert authority.key_identifier == subject.digest


def test_numbers_of_lists_grow() -> None:
    def number(now: datetime.datetime) -> int:
        found = x509.load_pem_x509_crl(pki.revocation_list(CA, [], 365, now).encode())
        return found.extensions.get_extension_for_class(x509.CRLNumber).value.crl_number

    assert number(NOW) < number(NOW + datetime.timedelta(seconds=1))


def test_a_list_stays_as_long_as_it_will_do() -> None:
    text = pki.revocation_list(CA, RECORDS, 365, NOW)
    revoked = pki.revoke(RECORDS, ["hq"], NOW)
    stranger = pki.make_authority("test CA", 3650, NOW)
    assert pki.list_lacks(text, CA.certificate, RECORDS, 30, after(335)) is None
    assert pki.list_lacks(text, CA.certificate, RECORDS, 30, after(336)) == "it is about to end"
    assert pki.list_lacks(text, CA.certificate, revoked, 30, NOW) == "others are revoked"
    assert pki.list_lacks(text, stranger.certificate, RECORDS, 30, NOW) == "it is of another CA"
    assert pki.list_lacks("", CA.certificate, RECORDS, 30, NOW) == "there is none"
    assert pki.list_lacks("x", CA.certificate, RECORDS, 30, NOW) == "it cannot be read"


@pytest.mark.parametrize("records", [[], RECORDS, pki.revoke(RECORDS, ["hq"], NOW)])
def test_the_index_is_read_as_written(records: list[pki.Issued]) -> None:
    assert pki.read_index(pki.render_index(records)) == records


@pytest.mark.parametrize("text", ["{", "[1]", '[{"site": "hq"}]', "3"])
def test_a_damaged_index_is_refused(text: str) -> None:
    with pytest.raises(ParseError, match=r"^issued.json: "):
        pki.read_index(text)
