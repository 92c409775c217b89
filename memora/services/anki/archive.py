"""The zip that an .apkg is. Sizes are counted while a file is read, whatever the zip says of them."""

import struct
import zipfile
from collections.abc import Iterator
from itertools import pairwise
from pathlib import Path
from typing import IO

import zstandard

from memora.services.anki.limits import MB
from memora.services.anki.messages import _, refuse

# The best first: in a zip that has several, the others only stand in for it
COLLECTIONS = ("collection.anki21b", "collection.anki21", "collection.anki2")
MAX_MEMBERS = 50_000
MAX_DIRECTORY_BYTES = 5 * MB
MAX_WINDOW_BYTES = 16 * MB  # what a frame of zstandard makes its reader remember; Anki's frames need 2 MB
CHUNK_BYTES = 1 << 18
ENCRYPTED = 0x1  # a bit in the flags of each file in a zip
METHODS = (
	zipfile.ZIP_STORED,
	zipfile.ZIP_DEFLATED,
)  # Anki's; others have errors of their own, in each Python more
END, END_BYTES, MAX_COMMENT_BYTES = b"PK\x05\x06", 22, 1 << 16
HEADER_BYTES = 30


class TooBig(Exception):
	"""A file in the zip is larger than it may be."""


class Archive:
	"""An open zip of files that have different names and share no bytes."""

	def __init__(self, file: IO[bytes]) -> None:
		_check_directory(file)
		self.zip = zipfile.ZipFile(file)
		self.members = {info.filename: info for info in self.zip.infolist()}
		self._check()

	def _check(self) -> None:
		members = self.zip.infolist()
		if len(self.members) < len(members):
			refuse(_("The zip holds two files of the same name. Export the deck again."))
		if any(info.flag_bits & ENCRYPTED for info in members):
			refuse(_("The file is encrypted. Export the deck without a password."))
		if strange := {info.compress_type for info in members}.difference(METHODS):
			raise NotImplementedError(f"compression method {strange.pop()}")
		for one, other in pairwise(sorted(members, key=lambda info: info.header_offset)):
			if one.header_offset + HEADER_BYTES + one.compress_size > other.header_offset:
				refuse(
					_("The files {0} and {1} in the zip overlap. Export the deck again."),
					one.filename,
					other.filename,
				)

	def read(self, name: str, max_bytes: int, is_compressed: bool = False) -> bytes:
		"""Returns a file of the zip. `is_compressed`: by zstandard, within the zip. Raises TooBig."""
		return b"".join(self.chunks(name, max_bytes, is_compressed))

	def chunks(self, name: str, max_bytes: int, is_compressed: bool) -> Iterator[bytes]:
		"""Yields a file of the zip, in parts. Raises TooBig once there were `max_bytes`."""
		if self.members[name].file_size > max_bytes:
			raise TooBig
		with self.zip.open(name) as file:
			yield from _counted(_inflated(file) if is_compressed else file, max_bytes)


def _inflated(file: IO[bytes]) -> IO[bytes]:
	return zstandard.ZstdDecompressor(max_window_size=MAX_WINDOW_BYTES).stream_reader(file)


def _counted(file: IO[bytes], max_bytes: int) -> Iterator[bytes]:
	left = max_bytes
	while chunk := file.read(min(CHUNK_BYTES, left + 1)):
		left -= len(chunk)
		if left < 0:
			raise TooBig
		yield chunk


def _check_directory(file: IO[bytes]) -> None:
	"""Refuses a list of too many files before it is read. Python's zipfile reads all of it."""
	size = file.seek(0, 2)
	file.seek(-min(size, END_BYTES + MAX_COMMENT_BYTES), 2)
	tail = file.read()
	end = tail[tail.rfind(END) :] if END in tail else b""
	if len(end) < END_BYTES:
		raise zipfile.BadZipFile
	count, directory_bytes = struct.unpack_from("<HI", end, 10)
	if count > MAX_MEMBERS or directory_bytes > MAX_DIRECTORY_BYTES:
		refuse(_("The zip holds more than {0} files. Export a part of the deck."), MAX_MEMBERS)


def unpack(archive: Archive, name: str, path: Path, max_bytes: int, is_compressed: bool) -> None:
	"""Writes a file of the zip to a path. Refuses one that is larger than `max_bytes`."""
	with path.open("wb") as file, limited(name, max_bytes):
		for chunk in archive.chunks(name, max_bytes, is_compressed):
			file.write(chunk)


class limited:
	"""Refuses, by its name, a file that is too big."""

	def __init__(self, name: str, max_bytes: int) -> None:
		self.name, self.max_bytes = name, max_bytes

	def __enter__(self) -> None:
		pass

	def __exit__(self, kind: type[BaseException] | None, *_error: object) -> None:
		if kind is TooBig:
			refuse(_("{0} in the file is larger than {1} MB."), self.name, self.max_bytes // MB)
