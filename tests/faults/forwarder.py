"""Forwards TCP connections to a port of this machine. A process of its own, so that the connections can be cut.

	python -m tests.faults.forwarder <its port> <the server's port>

SIGUSR1 cuts them, and the process stops. No FIN and no RST reaches either side, as when packets vanish: what is sent gets no
answer, and who wants to connect waits (but for the one connection that the kernel accepts). SIGCONT mends the network: what
was sent meanwhile arrives, late.
"""

import asyncio
import os
import signal
import socket
import sys
from contextlib import suppress

BYTES_AT_ONCE = 65536
BACKLOG = 100


async def main(own_port: int, server_port: int) -> None:
	listener = socket.create_server(("127.0.0.1", own_port), backlog=BACKLOG)

	async def serve(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
		try:
			replies, requests = await asyncio.open_connection("127.0.0.1", server_port)
		except OSError:
			return writer.close()
		await asyncio.gather(_pump(reader, requests), _pump(replies, writer))

	server = await asyncio.start_server(serve, sock=listener, backlog=BACKLOG)
	asyncio.get_running_loop().add_signal_handler(signal.SIGUSR1, _cut, listener)
	await server.serve_forever()


async def _pump(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
	with suppress(OSError):
		while data := await reader.read(BYTES_AT_ONCE):
			writer.write(data)
			await writer.drain()
	writer.close()


def _cut(listener: socket.socket) -> None:
	listener.listen(0)
	os.kill(os.getpid(), signal.SIGSTOP)  # until SIGCONT
	listener.listen(BACKLOG)


if __name__ == "__main__":
	asyncio.run(main(*map(int, sys.argv[1:])))
