"""Strips the metadata of an image file, and reads its orientation.

Pillow reads text, color profiles and EXIF while it opens a file, and rejects the file if they are invalid: text above a
megabyte, a broken profile, EXIF with a value of another type. The pixels are intact then, and every browser shows them.
So the metadata is removed before a decoder sees the file, unread and, in PNG, without being inflated. A file whose
structure cannot be parsed is left unchanged: the decoder reports the fault.
"""

import re
import struct
import zlib
from collections.abc import Iterator

JPEG, PNG = b"\xff\xd8", b"\x89PNG\r\n\x1a\n"
ORIENTATION = 0x0112
_WHOLE = {1: "B", 3: "H", 4: "I", 6: "b", 8: "h", 9: "i"}
"""EXIF's types of whole numbers, as `struct` writes them."""
_TEXT = 1 << 20
"""Bytes of a text that are inflated to look for an orientation."""
_SCAN, _BARE = 0xDA, {0x01, *range(0xD0, 0xD9)}
"""Markers of a JPEG: the pixels begin; those without a length."""
_METADATA = {*range(0xE1, 0xEE), 0xEF, 0xFE}
"""APP1 to APP13, APP15 and comments: APP0 and APP14 say how colors are stored."""
_EXIF, _XMP = b"Exif\0", b"http://ns.adobe.com/xap/1.0/\0"
_TURNED = re.compile(rb"tiff:Orientation(?:=[\"']|>)\s*([1-8])")


def strip_metadata(raw: bytes) -> tuple[bytes, int]:
    """Return an image file without metadata, and its orientation, 1 to 8 as EXIF numbers them."""
    if raw.startswith(PNG):
        return _png(raw)
    return _jpeg(raw) if raw.startswith(JPEG) else (raw, 1)


def orientation(exif: bytes) -> int:
    """Return the orientation that an EXIF block states, 1 where it states none that can be read.

    Only the first directory is looked into, and in it only the one entry.
    """
    body = exif
    while body.startswith(_EXIF):
        body = body[6:]
    order = {b"II": "<", b"MM": ">"}.get(body[:2], "")
    try:
        if not order or struct.unpack_from(f"{order}H", body, 2)[0] != 42:
            return 1
        (start,) = struct.unpack_from(f"{order}I", body, 4)
        (entries,) = struct.unpack_from(f"{order}H", body, start)
        for at in range(start + 2, start + 2 + 12 * entries, 12):
            tag, kind, count = struct.unpack_from(f"{order}HHI", body, at)
            if tag == ORIENTATION and count and (form := _WHOLE.get(kind)):
                (found,) = struct.unpack_from(order + form, body, at + 8)
                return found if 1 <= found <= 8 else 1
    except struct.error:
        pass  # ends early: whoever wrote it left no orientation
    return 1


def orientation_of_xmp(text: bytes) -> int:
    """Return the orientation that XMP states, 1 where it states none."""
    found = _TURNED.search(text)
    return int(found[1]) if found else 1


def _jpeg(raw: bytes) -> tuple[bytes, int]:
    kept, exif, xmp, rest = [raw[:2]], b"", b"", 2
    for marker, start, end in _segments(raw):
        body = raw[start + 4 : end]
        if marker == 0xE1 and body.startswith(_EXIF):
            exif = exif or body
        elif marker == 0xE1 and body.startswith(_XMP):
            xmp = xmp or body
        if marker not in _METADATA:
            kept.append(raw[start:end])
        rest = end
    return b"".join([*kept, raw[rest:]]), orientation(exif) if exif else orientation_of_xmp(xmp)


def _segments(raw: bytes) -> Iterator[tuple[int, int, int]]:
    """Yield marker, start and end of what stands before a JPEG's pixels; ends where that cannot be told."""
    at = 2
    while at + 4 <= len(raw) and raw[at] == 0xFF:
        marker = raw[at + 1]
        if marker == 0xFF:  # filling
            at += 1
            continue
        if marker == _SCAN or marker in _BARE:
            return
        end = at + 2 + int.from_bytes(raw[at + 2 : at + 4], "big")
        if end < at + 4 or end > len(raw):
            return
        yield marker, at, end
        at = end


def _png(raw: bytes) -> tuple[bytes, int]:
    kept, exif, xmp, rest = [raw[:8]], b"", b"", 8
    for kind, start, end in _chunks(raw):
        if kind[:1].isupper() or kind == b"tRNS":  # critical ones; a moving one's frames beside IDAT are not
            kept.append(raw[start:end])
        elif kind == b"eXIf":
            exif = raw[start + 8 : end - 4]
        elif kind in {b"tEXt", b"zTXt", b"iTXt"}:
            name, text = _text(kind, raw[start + 8 : end - 4])
            exif = exif or (_hex(text) if name == b"Raw profile type exif" else b"")
            xmp = xmp or (text if name == b"XML:com.adobe.xmp" else b"")
        rest = end
        if kind == b"IEND":
            return b"".join(kept), _either(exif, xmp)
    return b"".join([*kept, raw[rest:]]), _either(exif, xmp)


def _either(exif: bytes, xmp: bytes) -> int:
    return orientation(exif) if exif else orientation_of_xmp(xmp)


def _chunks(raw: bytes) -> Iterator[tuple[bytes, int, int]]:
    """Yield type, start and end of a PNG's chunks; ends where one reaches beyond the file."""
    at = 8
    while at + 12 <= len(raw):
        end = at + 12 + int.from_bytes(raw[at : at + 4], "big")
        if end > len(raw):
            return
        yield raw[at + 4 : at + 8], at, end
        at = end


def _text(kind: bytes, body: bytes) -> tuple[bytes, bytes]:
    """Return name and text of a text chunk, at most _TEXT bytes of it; nothing where it cannot be inflated."""
    name, _, text = body.partition(b"\0")
    if name not in {b"Raw profile type exif", b"XML:com.adobe.xmp"}:
        return name, b""
    packed = kind == b"zTXt"
    if kind == b"iTXt":
        packed, text = text[:1] == b"\1", text[2:].partition(b"\0")[2].partition(b"\0")[2]
    elif packed:
        text = text[1:]
    try:
        return name, zlib.decompressobj().decompress(text, _TEXT) if packed else text[:_TEXT]
    except zlib.error:
        return name, b""


def _hex(text: bytes) -> bytes:
    """Return the EXIF block in ImageMagick's text: a name, a length, then hexadecimal digits."""
    try:
        return bytes.fromhex(b"".join(text.split()[2:]).decode("ascii"))
    except ValueError:
        return b""
