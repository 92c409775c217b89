"""Stands between client and server, and loses replies that the server has given."""

import random
import socket
import threading
from contextlib import suppress

SUBMIT = b"submit_review_session"


class ReplyLosingProxy:
	"""Forwards HTTP requests one by one. While `share` is above 0, that share of the replies to submissions
	is read to its end and then not passed on: the client's connection is closed instead."""

	def __init__(self, port: int) -> None:
		self.server_port, self.share, self.lost = port, 0.0, 0
		self.random = random.Random(1)
		self.listener = socket.create_server(("127.0.0.1", 0), backlog=100)
		self.url = f"http://127.0.0.1:{self.listener.getsockname()[1]}"
		threading.Thread(target=self._accept, daemon=True).start()

	def close(self) -> None:
		self.listener.shutdown(socket.SHUT_RDWR)
		self.listener.close()

	def _accept(self) -> None:
		with suppress(OSError):  # until close()
			while True:
				client, _address = self.listener.accept()
				threading.Thread(target=self._serve, args=(client,), daemon=True).start()

	def _serve(self, client: socket.socket) -> None:
		with suppress(OSError), client, socket.create_connection(("127.0.0.1", self.server_port)) as server:
			while request := _read_message(client):
				server.sendall(request)
				reply = _read_message(server)
				if not reply or self._loses(request, reply):
					return
				client.sendall(reply)

	def _loses(self, request: bytes, reply: bytes) -> bool:
		was_saved = SUBMIT in request.partition(b"\r\n")[0] and b" 200 " in reply.partition(b"\r\n")[0]
		if was_saved and self.random.random() < self.share:
			self.lost += 1
			return True
		return False


def _read_message(connection: socket.socket) -> bytes:
	"""One request or reply with its body, whose length must be given; empty where the peer has closed."""
	data = b""
	while b"\r\n\r\n" not in data:
		if not (part := connection.recv(65536)):
			return b""
		data += part
	head, _, body = data.partition(b"\r\n\r\n")
	missing = _body_length(head) - len(body)
	while missing > 0:
		if not (part := connection.recv(65536)):
			return b""
		data += part
		missing -= len(part)
	return data


def _body_length(head: bytes) -> int:
	for line in head.split(b"\r\n"):
		name, _, value = line.partition(b":")
		if name.lower() == b"content-length":
			return int(value)
	return 0
