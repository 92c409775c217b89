"""A MariaDB of a test's own, empty. By default it takes connections by TLS or by its socket only."""

import getpass
import subprocess
from collections.abc import Sequence
from datetime import datetime, timedelta, timezone
from ipaddress import ip_address
from pathlib import Path
from typing import Any

from cryptography import x509
from cryptography.hazmat.primitives import hashes
from cryptography.hazmat.primitives.asymmetric import rsa
from cryptography.hazmat.primitives.serialization import Encoding, NoEncryption, PrivateFormat
from cryptography.x509.oid import NameOID

from devtools import ports
from devtools.mariadb import CREATE, program
from tests.integration.waiting import wait_until

NAME = "memora_elsewhere"  # of the database, of its user, and her password
HOST = "127.0.0.1"
SECONDS_TO_STOP = 20


class Server:
	"""Started when made. Has the site's configuration for each way to reach it.

	`name` and `password` are those of the database, and of its user. `options` are more options of the server's.
	"""

	def __init__(
		self,
		folder: Path,
		name: str = NAME,
		password: str = NAME,
		options: Sequence[str] = ("--require-secure-transport=ON",),
	) -> None:
		self.name, self.password, self.options = name, password, options
		self.folder, self.port = folder, ports.any_free()
		self.socket = str(folder / "s")
		make_certificates(folder)
		self._run("mariadb-install-db", "--auth-root-authentication-method=normal", "--skip-test-db")
		self.process = self._start()
		wait_until(self._answers, "MariaDB to answer", 30)
		self.execute(CREATE.format(name=name, password=password))

	@property
	def tcp(self) -> dict[str, Any]:
		login = {"db_name": self.name, "db_user": self.name, "db_password": self.password}
		return {**login, "db_host": HOST, "db_port": self.port}

	@property
	def unix(self) -> dict[str, Any]:
		return {**self.tcp, "db_port": ports.any_free(), "db_socket": self.socket}

	@property
	def tls(self) -> dict[str, str]:
		files = {"ca": "ca.pem", "cert": "client.pem", "key": "client.key"}
		return {f"db_ssl_{name}": str(self.folder / file) for name, file in files.items()}

	def stop(self) -> None:
		self.process.terminate()
		self.process.wait(SECONDS_TO_STOP)

	def _start(self) -> "subprocess.Popen[bytes]":
		tls = {"ssl-ca": "ca.pem", "ssl-cert": "server.pem", "ssl-key": "server.key"}
		return subprocess.Popen(
			[
				program("mariadbd"),
				*self._options,
				f"--socket={self.socket}",
				f"--port={self.port}",
				f"--bind-address={HOST}",
				f"--pid-file={self.folder / 'pid'}",
				"--innodb-log-file-size=8M",
				*self.options,
				*(f"--{option}={self.folder / file}" for option, file in tls.items()),
			],
			stdout=subprocess.DEVNULL,
			stderr=(self.folder / "log").open("wb"),
		)

	@property
	def _options(self) -> list[str]:
		temporary = self.folder / "tmp"
		temporary.mkdir(exist_ok=True)
		return [
			"--no-defaults",
			f"--datadir={self.folder / 'data'}",
			f"--tmpdir={temporary}",
			f"--user={getpass.getuser()}",
		]

	def _run(self, name: str, *args: str) -> None:
		subprocess.run([program(name), *self._options, *args], check=True, capture_output=True)

	def execute(self, statements: str) -> None:
		done = self._client("--execute", statements)
		assert done.returncode == 0, done.stderr

	def ask(self, statement: str) -> str:
		"""Returns the one value that a statement finds."""
		done = self._client("--skip-column-names", "--execute", statement)
		assert done.returncode == 0, done.stderr
		return done.stdout.decode().strip()

	def load(self, dump: Path) -> None:
		"""Fills the database with a dump of the site's."""
		with dump.open("rb") as statements:
			done = self._client(self.name, stdin=statements)
		assert done.returncode == 0, done.stderr

	def _client(self, *args: str, **options: Any) -> "subprocess.CompletedProcess[bytes]":
		login = ["--no-defaults", "--user=root", f"--socket={self.socket}"]
		return subprocess.run([program("mariadb"), *login, *args], capture_output=True, **options)

	def _answers(self) -> bool:
		return self._client("--execute", "SELECT 1").returncode == 0


def make_certificates(folder: Path) -> None:
	"""Makes an authority of our own, and certificates of it for server and client."""
	authority = _certificate(folder, "ca", None)
	for name in ("server", "client"):
		_certificate(folder, name, authority)


def _certificate(folder: Path, name: str, authority: Any) -> Any:
	key = rsa.generate_private_key(public_exponent=65537, key_size=2048)
	subject = x509.Name([x509.NameAttribute(NameOID.COMMON_NAME, f"memora {name}")])
	issuer, issuer_key = authority or (subject, key)
	now = datetime.now(timezone.utc)
	certificate = (
		x509.CertificateBuilder()
		.subject_name(subject)
		.issuer_name(issuer)
		.public_key(key.public_key())
		.serial_number(x509.random_serial_number())
		.not_valid_before(now - timedelta(days=1))
		.not_valid_after(now + timedelta(days=1))
		.add_extension(x509.BasicConstraints(ca=authority is None, path_length=None), critical=True)
		.add_extension(
			x509.SubjectAlternativeName([x509.DNSName("localhost"), x509.IPAddress(ip_address(HOST))]),
			critical=False,
		)
		.sign(issuer_key, hashes.SHA256())
	)
	(folder / f"{name}.pem").write_bytes(certificate.public_bytes(Encoding.PEM))
	private = key.private_bytes(Encoding.PEM, PrivateFormat.TraditionalOpenSSL, NoEncryption())
	(folder / f"{name}.key").write_bytes(private)
	return subject, key
