"""A TCP proxy before the real Redis: it can go away, hang, be slow, come back, and it counts round trips."""

import socket
import threading
import time
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from urllib.parse import urlsplit, urlunsplit

BYTES_AT_ONCE = 65536


class RedisProxy:
	"""Forwards to the Redis of a URL. `url` is the same one by way of the proxy."""

	def __init__(self, target_url: str) -> None:
		self._target = urlsplit(target_url)
		self._sockets: list[socket.socket] = []
		self._conversations: list[_Conversation] = []
		self._forwards = threading.Event()
		self.connections = 0
		self.round_trips = 0
		self.reply_seconds = 0.0  # by which each reply is late
		self.closes_on = b""  # a request that has this in it closes its connection
		self._replies_left: int | None = None
		self._swallows = False
		self._port = 0
		self.start()

	@property
	def url(self) -> str:
		return urlunsplit(self._target._replace(netloc=f"127.0.0.1:{self._port}"))

	def start(self) -> None:
		"""Listens, after stop() on the same port as before."""
		self._forwards.set()
		self._listener = socket.create_server(("127.0.0.1", self._port))
		self._port = self._listener.getsockname()[1]
		threading.Thread(target=self._accept, args=(self._listener,), daemon=True).start()

	def stop(self) -> None:
		"""Refuses connections and breaks those that are open, as a Redis that is gone."""
		for one in (self._listener, *self._sockets):
			with suppress(OSError):
				one.shutdown(socket.SHUT_RDWR)
			one.close()
		self._sockets.clear()
		self._forwards.set()

	def strand(self) -> None:
		"""Refuses new connections and leaves the open ones silent: nobody resets them, not even after start()."""
		for conversation in self._conversations:
			conversation.is_stranded = True
		self._sockets.clear()
		self.stop()

	def forget(self) -> None:
		"""Closes each connection that is open as soon as it is used again, as proxies and firewalls do that forget idle ones."""
		for conversation in self._conversations:
			conversation.is_forgotten = True

	def hang(self) -> None:
		"""Takes requests and never answers."""
		self._forwards.clear()

	def swallow_a_reply(self) -> None:
		"""The next reply never comes; all others do."""
		self._swallows = True

	def hang_after(self, replies: int) -> None:
		self._replies_left = replies

	def resume(self) -> None:
		self._replies_left = None
		self._forwards.set()

	@contextmanager
	def counted(self) -> Iterator["Count"]:
		"""Counts the round trips of a block."""
		count, before = Count(), self.round_trips
		yield count
		count.round_trips = self.round_trips - before

	def _accept(self, listener: socket.socket) -> None:
		with suppress(OSError):
			while True:
				client, _address = listener.accept()
				self._serve(client)

	def _serve(self, client: socket.socket) -> None:
		server = socket.create_connection((self._target.hostname, self._target.port))
		self._sockets += [client, server]
		self.connections += 1
		conversation = _Conversation()
		self._conversations.append(conversation)
		for source, sink, is_request in ((client, server, True), (server, client, False)):
			arguments = (source, sink, is_request, conversation)
			threading.Thread(target=self._pump, args=arguments, daemon=True).start()

	def _pump(
		self, source: socket.socket, sink: socket.socket, is_request: bool, conversation: "_Conversation"
	) -> None:
		with suppress(OSError):
			while data := source.recv(BYTES_AT_ONCE):
				if is_request and (conversation.is_forgotten or (self.closes_on and self.closes_on in data)):
					break
				if is_request and conversation.answered:
					self.round_trips += 1
				conversation.answered = not is_request
				if not is_request:
					if self._swallows:
						self._swallows = False
						continue
					self._hold_back()
				self._forwards.wait()
				if not conversation.is_stranded:
					sink.sendall(data)
		for one in (source, sink):
			with suppress(OSError):
				one.shutdown(socket.SHUT_RDWR)

	def _hold_back(self) -> None:
		if self._replies_left == 0:
			self.hang()
		elif self._replies_left:
			self._replies_left -= 1
		time.sleep(self.reply_seconds)


class _Conversation:
	"""A request after an answer begins a new round trip; what follows without one belongs to the same."""

	answered = True
	is_stranded = False
	is_forgotten = False


class Count:
	round_trips = 0
