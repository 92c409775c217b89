"""Protocol buffers: only the part of the wire format that Anki's messages use."""

from collections.abc import Iterator

MAX_VARINT_BYTES = 10  # of a number of 64 bits


def fields(data: bytes) -> Iterator[tuple[int, int | bytes]]:
	"""Yields (field number, value) for each field of a message. Raises ValueError, IndexError, KeyError."""
	at = 0
	value: int | bytes
	while at < len(data):
		key, at = _varint(data, at)
		kind = key & 7
		if kind == 0:
			value, at = _varint(data, at)
		else:
			length, at = _varint(data, at) if kind == 2 else ({1: 8, 5: 4}[kind], at)
			if at + length > len(data):
				raise ValueError(f"a field of {length} bytes is cut off")
			value, at = data[at : at + length], at + length
		yield key >> 3, value


def _varint(data: bytes, at: int) -> tuple[int, int]:
	value = 0
	for place in range(MAX_VARINT_BYTES):
		byte = data[at + place]
		value |= (byte & 0x7F) << (7 * place)
		if byte < 0x80:
			return value, at + place + 1
	raise ValueError(f"a number of more than {MAX_VARINT_BYTES} bytes at byte {at}")


def messages(data: bytes, number: int) -> Iterator[bytes]:
	return (value for field, value in fields(data) if field == number and isinstance(value, bytes))


def text(data: bytes, number: int) -> str:
	return "".join(value.decode() for value in [*messages(data, number)][-1:])


def number(data: bytes, field_number: int) -> int:
	found = (value for field, value in fields(data) if field == field_number and isinstance(value, int))
	return next(found, 0)
