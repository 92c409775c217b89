"""What a media file is, by its content: whatever its name says, a browser looks at the content."""

from collections.abc import Callable
from pathlib import PurePosixPath

# The kinds that learners' pages show and play. SVG is left out: an SVG that is opened on its own may run scripts.
PICTURES = (".png", ".jpg", ".jpeg", ".gif", ".webp", ".avif", ".bmp")
SOUNDS = (".mp3", ".ogg", ".oga", ".opus", ".wav", ".m4a", ".aac", ".flac")
MAX_PIXELS = 16_000_000  # a browser needs 4 bytes for each, whatever the file has
MAX_SIDE = 16_384
HEAD_BYTES = 1 << 20  # of a file, in which its kind and its size stand

Size = tuple[int, int]


def has_known_name(name: str) -> bool:
	return _suffix(name) in PICTURES + SOUNDS


def kind_of(name: str, head: bytes) -> str | None:
	"""Returns the suffix that fits a file's content, or None if it is not what its name says: a picture, or a sound."""
	if _suffix(name) in PICTURES:
		return next((suffix for suffix, size in SIZES.items() if size(head)), None)
	if any(head.startswith(magic) and head[at : at + len(more)] == more for magic, at, more in MAGIC):
		return _suffix(name)
	return None


def size_of(suffix: str, head: bytes) -> Size | None:
	"""Returns the width and the height of a picture in pixels; None of a sound."""
	return SIZES[suffix](head) if suffix in SIZES else None


def is_too_large(size: Size) -> bool:
	return max(size) > MAX_SIDE or size[0] * size[1] > MAX_PIXELS


def _suffix(name: str) -> str:
	return PurePosixPath(name).suffix.lower()


def _number(data: bytes, at: int, length: int, big: bool = False) -> int:
	return int.from_bytes(data[at : at + length], "big" if big else "little")


def _png(head: bytes) -> Size | None:
	if head.startswith(b"\x89PNG\r\n\x1a\n") and head[12:16] == b"IHDR":
		return _number(head, 16, 4, True), _number(head, 20, 4, True)
	return None


def _gif(head: bytes) -> Size | None:
	return (_number(head, 6, 2), _number(head, 8, 2)) if head[:6] in (b"GIF87a", b"GIF89a") else None


def _bmp(head: bytes) -> Size | None:
	if head[:2] != b"BM" or _number(head, 14, 4) < 40:
		return None
	height = int.from_bytes(head[22:26], "little", signed=True)  # negative: from the top down
	return _number(head, 18, 4), abs(height)


def _jpeg(head: bytes) -> Size | None:
	"""Walks over the segments to the frame's header."""
	at = 2 if head[:3] == b"\xff\xd8\xff" else len(head)
	while at + 9 <= len(head) and head[at] == 0xFF:
		kind = head[at + 1]
		if 0xC0 <= kind <= 0xCF and kind not in (0xC4, 0xC8, 0xCC):
			return _number(head, at + 7, 2, True), _number(head, at + 5, 2, True)
		at += 1 if kind == 0xFF else 2 + _number(head, at + 2, 2, True)
	return None


def _webp(head: bytes) -> Size | None:
	if head[:4] != b"RIFF" or head[8:12] != b"WEBP":
		return None
	kind = head[12:16]
	if kind == b"VP8X":
		return 1 + _number(head, 24, 3), 1 + _number(head, 27, 3)
	if kind == b"VP8L":
		bits = _number(head, 21, 4)
		return 1 + (bits & 0x3FFF), 1 + (bits >> 14 & 0x3FFF)
	return (_number(head, 26, 2) & 0x3FFF, _number(head, 28, 2) & 0x3FFF) if kind == b"VP8 " else None


def _avif(head: bytes) -> Size | None:
	"""Returns the largest of the sizes that the file names: it may have pictures within the picture."""
	if head[4:8] != b"ftyp" or head[8:12] not in (b"avif", b"avis", b"mif1"):
		return None
	places = [at for at in range(0, 4096) if head[at : at + 4] == b"ispe"]
	sizes = [(_number(head, at + 8, 4, True), _number(head, at + 12, 4, True)) for at in places]
	return max(sizes, key=lambda size: size[0] * size[1], default=None)


SIZES: dict[str, Callable[[bytes], Size | None]] = {
	".png": _png,
	".jpg": _jpeg,
	".gif": _gif,
	".webp": _webp,
	".avif": _avif,
	".bmp": _bmp,
}
# (the file begins with, at this place, is this) of sounds
MAGIC = [
	(b"ID3", 0, b""),
	*((bytes([0xFF, second]), 0, b"") for second in (0xFB, 0xFA, 0xF3, 0xF2, 0xE3, 0xE2, 0xF1, 0xF9)),
	(b"OggS", 0, b""),
	(b"RIFF", 8, b"WAVE"),
	(b"fLaC", 0, b""),
	(b"", 4, b"ftyp"),
]
