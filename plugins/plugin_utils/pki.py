# Copyright: Contributors to the routed_ipsec.vti project
# GNU General Public License v3.0+ (see COPYING or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

"""A certificate authority for the gateways of a fleet: what it signs, and what it has signed. Pure.

Times are UTC with a zone. Certificates, lists and public keys are PEM. Keys are ECDSA on P-256.
"""

from __future__ import annotations

import dataclasses
import datetime
import hashlib
import ipaddress
import json
import re
import typing as t

from ansible_collections.routed_ipsec.vti.plugins.module_utils._core.errors import InvalidOption, ParseError

from . import identities

# A requirement of ansible-core; a plugin must still load without it, and say so.
try:
    from cryptography import x509
    from cryptography.hazmat.primitives import hashes, serialization
    from cryptography.hazmat.primitives.asymmetric import ec, ed448, ed25519, rsa
    from cryptography.x509.oid import NameOID
except ImportError as error:
    MISSING: ImportError | None = error
else:
    MISSING = None

if t.TYPE_CHECKING:
    from collections.abc import Iterable, Sequence

    _PublicKey = t.Union[ec.EllipticCurvePublicKey, rsa.RSAPublicKey, ed25519.Ed25519PublicKey, ed448.Ed448PublicKey]

_BACKDATED = datetime.timedelta(hours=1)
"""Clocks of gateways differ from that of the controller."""


@dataclasses.dataclass(frozen=True)
class Authority:
    """A CA with its private key."""

    key: ec.EllipticCurvePrivateKey = dataclasses.field(repr=False)
    certificate: x509.Certificate

    @property
    def pem(self) -> str:
        return _pem(self.certificate)


@dataclasses.dataclass(frozen=True)
class Issued:
    """A certificate that was issued. serial: hexadecimal. key: SHA-256 of the public key. revoked: when, or None."""

    site: str
    serial: str
    key: str
    expires: str
    revoked: str | None = None


# --- the authority ----------------------------------------------------------------------------------------------------


def make_authority(name: str, days: int, now: datetime.datetime) -> Authority:
    return _self_signed(ec.generate_private_key(ec.SECP256R1()), name, days, now)


def renew_authority(authority: Authority, days: int, now: datetime.datetime) -> Authority:
    """The same name and key, so that certificates issued so far stay valid."""
    name = str(authority.certificate.subject.get_attributes_for_oid(NameOID.COMMON_NAME)[0].value)
    return _self_signed(authority.key, name, days, now)


def _self_signed(key: ec.EllipticCurvePrivateKey, name: str, days: int, now: datetime.datetime) -> Authority:
    usage = x509.KeyUsage(
        digital_signature=False,
        content_commitment=False,
        key_encipherment=False,
        data_encipherment=False,
        key_agreement=False,
        key_cert_sign=True,
        crl_sign=True,
        encipher_only=False,
        decipher_only=False,
    )
    subject = _subject(name)
    certificate = (
        _unsigned(subject, subject, key.public_key(), now, now + datetime.timedelta(days=days))
        .add_extension(x509.BasicConstraints(ca=True, path_length=0), critical=True)
        .add_extension(usage, critical=True)
        .sign(key, hashes.SHA256())
    )
    return Authority(key, certificate)


def _subject(name: str) -> x509.Name:
    return x509.Name([x509.NameAttribute(NameOID.COMMON_NAME, name)])


def _unsigned(
    subject: x509.Name, issuer: x509.Name, key: _PublicKey, now: datetime.datetime, end: datetime.datetime
) -> x509.CertificateBuilder:
    return (
        x509.CertificateBuilder()
        .subject_name(subject)
        .issuer_name(issuer)
        .public_key(key)
        .serial_number(x509.random_serial_number())
        .not_valid_before(now - _BACKDATED)
        .not_valid_after(end)
        .add_extension(x509.SubjectKeyIdentifier.from_public_key(key), critical=False)
    )


def render_key(key: ec.EllipticCurvePrivateKey, passphrase: str | None) -> str:
    """PKCS #8, encrypted unless the passphrase is None."""
    encryption = (
        serialization.NoEncryption()
        if passphrase is None
        else serialization.BestAvailableEncryption(passphrase.encode())
    )
    return key.private_bytes(serialization.Encoding.PEM, serialization.PrivateFormat.PKCS8, encryption).decode()


def read_authority(certificate: str, key: str, passphrase: str | None) -> Authority:
    """Refuse with InvalidOption a key that does not open, or is not that of the certificate."""
    encrypted = "ENCRYPTED" in key
    if encrypted and passphrase is None:
        raise InvalidOption("pki_ca_passphrase: required, the CA's key is encrypted; keep it in a vault")
    try:
        found = serialization.load_pem_private_key(
            key.encode(), passphrase.encode() if encrypted and passphrase is not None else None
        )
    except (ValueError, TypeError):
        raise InvalidOption("pki_ca_passphrase: does not open the CA's key") from None
    ours = read_certificate("the CA's certificate", certificate)
    if not isinstance(found, ec.EllipticCurvePrivateKey) or found.public_key() != ours.public_key():
        raise InvalidOption("pki_directory: the CA's key is not that of its certificate; put back the right one")
    return Authority(found, ours)


def read_certificate(what: str, text: str) -> x509.Certificate:
    try:
        return x509.load_pem_x509_certificate(text.encode())
    except ValueError:
        raise ParseError(f"{what}: cannot be read; remove it if it is damaged") from None


def days_left(end: datetime.datetime, now: datetime.datetime) -> int:
    return (end - now).days


# --- certificates of sites --------------------------------------------------------------------------------------------


def read_public_key(where: str, text: str) -> _PublicKey:
    """A key that is strong enough, or InvalidOption."""
    try:
        key = serialization.load_pem_public_key(text.encode())
    except ValueError:
        raise InvalidOption(f"{where}: public_key: cannot be read; give it as PEM") from None
    if isinstance(key, (ed25519.Ed25519PublicKey, ed448.Ed448PublicKey)):
        return key
    if isinstance(key, ec.EllipticCurvePublicKey) and key.key_size >= 256:
        return key
    if isinstance(key, rsa.RSAPublicKey) and key.key_size >= 2048:
        return key
    raise InvalidOption(
        f"{where}: public_key: too weak or of a kind unknown here; use ECDSA, Ed25519 or RSA of 2048 bits"
    )


def fingerprint(key: _PublicKey) -> str:
    """SHA-256 of the public key."""
    raw = key.public_bytes(serialization.Encoding.DER, serialization.PublicFormat.SubjectPublicKeyInfo)
    return hashlib.sha256(raw).hexdigest()


def issue(
    authority: Authority, site: str, key: _PublicKey, names: Sequence[str], days: int, now: datetime.datetime
) -> tuple[str, Issued]:
    """A certificate, which ends no later than its CA, and its record. ``names``: identities, the first is the CN."""
    end = min(now + datetime.timedelta(days=days), authority.certificate.not_valid_after_utc)
    certificate = (
        _unsigned(_subject(names[0]), authority.certificate.subject, key, now, end)
        .add_extension(x509.SubjectAlternativeName([_name(site, name) for name in names]), critical=False)
        .add_extension(x509.BasicConstraints(ca=False, path_length=None), critical=True)
        .add_extension(_issuer(authority), critical=False)
        .sign(authority.key, hashes.SHA256())
    )
    record = Issued(
        site, f"{certificate.serial_number:x}", fingerprint(key), certificate.not_valid_after_utc.isoformat()
    )
    return _pem(certificate), record


def _pem(certificate: x509.Certificate) -> str:
    return certificate.public_bytes(serialization.Encoding.PEM).decode()


def _issuer(authority: Authority) -> x509.AuthorityKeyIdentifier:
    return x509.AuthorityKeyIdentifier.from_issuer_public_key(authority.key.public_key())


def _name(site: str, identity: str) -> x509.GeneralName:
    what, value = identities.kind(f"site {site}: identities", identity)
    if what == "ip":
        return x509.IPAddress(ipaddress.ip_address(value))
    return x509.RFC822Name(value) if what == "email" else x509.DNSName(value)


def why_not(
    text: str,
    ca: x509.Certificate,
    key: _PublicKey,
    names: Sequence[str],
    renew_before: int,
    now: datetime.datetime,
) -> str | None:
    """Why a site's certificate will not do, or None when it will."""
    if not text.strip():
        return "there is none"
    try:
        found = x509.load_pem_x509_certificate(text.encode())
    except ValueError:
        return "it cannot be read"
    if not _signed_by(found, ca):
        return "it is of another CA"
    if found.public_key() != key:
        return "it is of another key"
    wanted = {_name("", name) for name in names}
    if _common_name(found) != names[0] or set(_alternative_names(found)) != wanted:
        return "it is of another identity"
    if days_left(found.not_valid_after_utc, now) < renew_before and found.not_valid_after_utc < ca.not_valid_after_utc:
        return f"it ends at {found.not_valid_after_utc.isoformat()}"
    return None


def _signed_by(certificate: x509.Certificate, ca: x509.Certificate) -> bool:
    try:
        certificate.verify_directly_issued_by(ca)
    except Exception:  # pylint: disable=broad-exception-caught  # any complaint means no
        return False
    return True


def _common_name(certificate: x509.Certificate) -> str | None:
    found = certificate.subject.get_attributes_for_oid(NameOID.COMMON_NAME)
    return str(found[0].value) if found else None


def _alternative_names(certificate: x509.Certificate) -> list[x509.GeneralName]:
    try:
        return list(certificate.extensions.get_extension_for_class(x509.SubjectAlternativeName).value)
    except x509.ExtensionNotFound:
        return []


# --- what was issued, and what of it is revoked -----------------------------------------------------------------------


def read_index(text: str) -> list[Issued]:
    try:
        return [Issued(**item) for item in json.loads(text or "[]")]
    except (ValueError, TypeError):
        raise ParseError("issued.json: not what this collection writes; put back the copy that you have") from None


def render_index(records: Iterable[Issued]) -> str:
    return json.dumps([dataclasses.asdict(record) for record in records], indent=1) + "\n"


def revoke(records: Iterable[Issued], entries: Iterable[t.Any], now: datetime.datetime) -> list[Issued]:
    """The records with those revoked that ``entries`` name, by site or serial number. A revocation is for good."""
    records = list(records)
    sites, serials = {record.site for record in records}, {record.serial for record in records}
    chosen: set[str] = set()
    for entry in map(str, entries):
        serial = re.sub(r"^(0x)?0*", "", entry.lower().replace(":", ""))
        if entry in sites:
            chosen |= {record.serial for record in records if record.site == entry}
        elif serial in serials:
            chosen.add(serial)
        else:
            raise InvalidOption(
                f"pki_revoked: {entry!r} is neither a site that this CA has given a certificate, "
                f"nor the serial number of one"
            )
    return [
        dataclasses.replace(record, revoked=now.isoformat())
        if record.serial in chosen and record.revoked is None
        else record
        for record in records
    ]


def check_key(site: str, key: _PublicKey, records: Iterable[Issued]) -> None:
    """Refuse a key that had a certificate which is revoked."""
    mark = fingerprint(key)
    if any(record.key == mark and record.revoked for record in records):
        raise InvalidOption(
            f"site {site}: public_key: its certificate was revoked; remove {identities.FILE} from "
            f"the directory private of swanctl on {site}, to have another key made"
        )


def revocation_list(authority: Authority, records: Iterable[Issued], days: int, now: datetime.datetime) -> str:
    """Its number is the time, so that it grows."""
    builder = (
        x509.CertificateRevocationListBuilder()
        .issuer_name(authority.certificate.subject)
        .last_update(now - _BACKDATED)
        .next_update(now + datetime.timedelta(days=days))
        .add_extension(x509.CRLNumber(int(now.timestamp() * 1000)), critical=False)
        .add_extension(_issuer(authority), critical=False)
    )
    for record in records:
        if record.revoked is not None:
            builder = builder.add_revoked_certificate(
                x509.RevokedCertificateBuilder()
                .serial_number(int(record.serial, 16))
                .revocation_date(datetime.datetime.fromisoformat(record.revoked))
                .build()
            )
    return builder.sign(authority.key, hashes.SHA256()).public_bytes(serialization.Encoding.PEM).decode()


def list_lacks(
    text: str, ca: x509.Certificate, records: Iterable[Issued], renew_before: int, now: datetime.datetime
) -> str | None:
    """Why a revocation list will not do, or None when it will."""
    if not text.strip():
        return "there is none"
    try:
        found = x509.load_pem_x509_crl(text.encode())
    except ValueError:
        return "it cannot be read"
    if not found.is_signature_valid(t.cast("ec.EllipticCurvePublicKey", ca.public_key())):
        return "it is of another CA"
    if {f"{item.serial_number:x}" for item in found} != {record.serial for record in records if record.revoked}:
        return "others are revoked"
    if found.next_update_utc is None or days_left(found.next_update_utc, now) < renew_before:
        return "it is about to end"
    return None
