"""Runs nginx before a web server, with the limits that setup-production writes."""

import os
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

from devtools import ports, shell
from devtools.daemons import Daemon, answers
from devtools.paths import PROJECT
from devtools.pids import PidFile

LIMITS = PROJECT / "memora" / "data" / "production" / "nginx.conf"
CONFIGURATION = """\
daemon off;
pid {directory}/nginx.pid;
worker_processes 1;
{user}events {{ worker_connections 512; }}
http {{
	access_log off;
	client_body_temp_path {directory}/body;
	proxy_temp_path {directory}/proxy;
	fastcgi_temp_path {directory}/fastcgi;
	uwsgi_temp_path {directory}/uwsgi;
	scgi_temp_path {directory}/scgi;
	include {limits};
	upstream memora {{ server {address}; keepalive 16; }}
	server {{
		listen 127.0.0.1:{port};
		{headers}
		location / {{
			proxy_pass http://memora;
			proxy_http_version 1.1;
			proxy_set_header Connection "";
			proxy_set_header Host $host;
		}}
	}}
}}
"""


@contextmanager
def before(url: str, directory: Path, headers: str = "") -> Iterator[str]:
	"""Runs nginx before the web server at `url` for the block, and yields nginx's own URL.

	`directory` is for its files. `headers` are lines for its server.
	"""
	port = ports.any_free()
	configuration = directory / "nginx.conf"
	configuration.write_text(
		CONFIGURATION.format(
			directory=directory,
			limits=LIMITS,
			address=url.removeprefix("http://"),
			port=port,
			headers=headers,
			user="user root;\n" if os.getuid() == 0 else "",
		)
	)
	daemon = Daemon(
		name="nginx",
		args=[
			shell.find("nginx") or "nginx",
			"-e",
			directory / "nginx.log",
			"-p",
			directory,
			"-c",
			configuration,
		],
		log=directory / "nginx.out",
		pid_file=PidFile(directory / "nginx.json"),
		ready=lambda: answers(port, b"", b""),
	)
	process = daemon.start()
	try:
		yield f"http://127.0.0.1:{port}"
	finally:
		daemon.stop(process)
