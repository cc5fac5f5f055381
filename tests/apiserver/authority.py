"""Certificates for servers and for those who ask them."""

from __future__ import annotations

import ipaddress
import ssl
from datetime import UTC, datetime, timedelta
from pathlib import Path

from cryptography import x509
from cryptography.hazmat.primitives import hashes, serialization
from cryptography.hazmat.primitives.asymmetric import ec
from cryptography.x509.oid import NameOID

_PEM = serialization.Encoding.PEM


class Authority:
    """Signs certificates."""

    def __init__(self, *, sparing: bool = False) -> None:
        """A `sparing` one does not say which key it signed with, as those of many clusters do not."""
        self._sparing = sparing
        self._key = ec.generate_private_key(ec.SECP256R1())
        self._name = x509.Name([x509.NameAttribute(NameOID.COMMON_NAME, "test authority")])
        made = self._signed(self._name, self._key.public_key(), x509.BasicConstraints(ca=True, path_length=0))
        self.pem = made.public_bytes(_PEM).decode()

    def issue(self, name: str, group: str = "", *, valid_for: timedelta = timedelta(days=1)) -> tuple[str, str]:
        """A certificate for a host, an address or a user, and its key."""
        key = ec.generate_private_key(ec.SECP256R1())
        try:
            alternative: x509.GeneralName = x509.IPAddress(ipaddress.ip_address(name))
        except ValueError:
            alternative = x509.DNSName(name)
        attributes = [x509.NameAttribute(NameOID.COMMON_NAME, name)]
        attributes += [x509.NameAttribute(NameOID.ORGANIZATION_NAME, group)] if group else []
        extension = x509.SubjectAlternativeName([alternative])
        made = self._signed(x509.Name(attributes), key.public_key(), extension, valid_for)
        private = key.private_bytes(_PEM, serialization.PrivateFormat.PKCS8, serialization.NoEncryption())
        return made.public_bytes(_PEM).decode(), private.decode()

    def server(self, folder: Path, name: str = "127.0.0.1") -> ssl.SSLContext:
        """What a server of that name needs; it knows who asks by certificates of ours."""
        file = folder / f"{name}.pem"
        file.write_text("".join(self.issue(name)))
        made = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
        made.load_cert_chain(file)
        made.load_verify_locations(cadata=self.pem)
        made.verify_mode = ssl.CERT_OPTIONAL
        return made

    def _signed(
        self,
        name: x509.Name,
        key: ec.EllipticCurvePublicKey,
        extension: x509.ExtensionType,
        valid_for: timedelta = timedelta(days=1),
    ) -> x509.Certificate:
        now = datetime.now(UTC)
        critical = isinstance(extension, x509.BasicConstraints)
        builder = x509.CertificateBuilder().subject_name(name).issuer_name(self._name).public_key(key)
        builder = builder.serial_number(x509.random_serial_number())
        builder = builder.not_valid_before(now - timedelta(days=2)).not_valid_after(now + valid_for)
        builder = builder.add_extension(extension, critical=critical)
        if self._sparing:
            return builder.sign(self._key, hashes.SHA256())
        if not critical:
            authority = x509.AuthorityKeyIdentifier.from_issuer_public_key(self._key.public_key())
            builder = builder.add_extension(authority, critical=False)
        else:
            own = x509.SubjectKeyIdentifier.from_public_key(self._key.public_key())
            builder = builder.add_extension(own, critical=False)
        return builder.sign(self._key, hashes.SHA256())
