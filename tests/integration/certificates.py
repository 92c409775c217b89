"""A certificate that signs itself, for servers of the tests."""

from datetime import datetime, timedelta, timezone
from ipaddress import ip_address
from pathlib import Path
from typing import NamedTuple

from cryptography import x509
from cryptography.hazmat.primitives import hashes, serialization
from cryptography.hazmat.primitives.asymmetric import ec
from cryptography.x509.oid import NameOID


class Files(NamedTuple):
	"""The certificate is its own authority."""

	authority: Path
	key: Path


def make(folder: Path) -> Files:
	key = ec.generate_private_key(ec.SECP256R1())
	name = x509.Name([x509.NameAttribute(NameOID.COMMON_NAME, "127.0.0.1")])
	now = datetime.now(timezone.utc)
	builder = x509.CertificateBuilder(name, name, key.public_key(), x509.random_serial_number())
	builder = builder.not_valid_before(now - timedelta(days=1)).not_valid_after(now + timedelta(days=1))
	alternative = x509.SubjectAlternativeName([x509.IPAddress(ip_address("127.0.0.1"))])
	builder = builder.add_extension(alternative, critical=False)
	builder = builder.add_extension(x509.BasicConstraints(ca=True, path_length=None), critical=True)
	files = Files(folder / "server.crt", folder / "server.key")
	files.authority.write_bytes(builder.sign(key, hashes.SHA256()).public_bytes(serialization.Encoding.PEM))
	pem = (serialization.Encoding.PEM, serialization.PrivateFormat.PKCS8, serialization.NoEncryption())
	files.key.write_bytes(key.private_bytes(*pem))
	return files


def options_of_redis(files: Files, port: int) -> list[str]:
	"""Returns what has a Redis listen with TLS on this port, beside its own."""
	certificate = ["--tls-cert-file", str(files.authority), "--tls-key-file", str(files.key)]
	authority = ["--tls-ca-cert-file", str(files.authority), "--tls-auth-clients", "no"]
	return ["--tls-port", str(port), *certificate, *authority]
