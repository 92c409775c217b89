"""Forwards TCP connections to a port of this machine. A process of its own, so that the connections can be cut.

	python -m tests.faults.forwarder <file descriptor of a listening socket> <the server's port>

While it is stopped, no FIN and no RST reaches either side, as when packets vanish: what is sent gets no answer. When it
goes on, what was sent meanwhile arrives, late.
"""

import asyncio
import socket
import sys
from contextlib import suppress

BYTES_AT_ONCE = 65536
BACKLOG = 100


async def main(listener: int, server_port: int) -> None:
	async def serve(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
		try:
			replies, requests = await asyncio.open_connection("127.0.0.1", server_port)
		except OSError:
			return writer.close()
		await asyncio.gather(_pump(reader, requests), _pump(replies, writer))

	server = await asyncio.start_server(serve, sock=socket.socket(fileno=listener), backlog=BACKLOG)
	await server.serve_forever()


async def _pump(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
	with suppress(OSError):
		while data := await reader.read(BYTES_AT_ONCE):
			writer.write(data)
			await writer.drain()
	writer.close()


if __name__ == "__main__":
	asyncio.run(main(*map(int, sys.argv[1:])))
