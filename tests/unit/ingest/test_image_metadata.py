"""Images whose pixels are whole, whatever stands beside them in the file; and samples of more than eight bits."""

import io
import struct
import zlib

import numpy as np
import pytest
from PIL import Image, PngImagePlugin

from jobs.ingest.images.decode import Frame, Unusable, decode_framed, eight_bits
from jobs.ingest.images.metadata import orientation, strip_metadata

SIDE = 16
RAMP = np.arange(SIDE * SIDE, dtype=np.uint16).reshape(SIDE, SIDE)


def pixels(raw):
    return decode_framed(raw, 10_000_000, Frame(SIDE, SIDE, "stretch"))


def saved(image, form="PNG", **how):
    body = io.BytesIO()
    image.save(body, form, **how)
    return body.getvalue()


def chunk(kind, body, crc=None):
    sound = zlib.crc32(kind + body) if crc is None else crc
    return struct.pack(">I", len(body)) + kind + body + struct.pack(">I", sound)


def png(depth, color, rows, *more):
    """Return a PNG of raw rows (bytes), chunks before its pixels."""
    head = struct.pack(">IIBBBBB", SIDE, SIDE, depth, color, 0, 0, 0)
    packed = zlib.compress(b"".join(b"\0" + row for row in rows))
    return b"\x89PNG\r\n\x1a\n" + b"".join([chunk(b"IHDR", head), *more, chunk(b"IDAT", packed), chunk(b"IEND", b"")])


def exif(*entries, order="<"):
    """Return an EXIF block of entries (tag, type, count, four bytes)."""
    body = b"".join(struct.pack(order + "HHI", *entry[:3]) + entry[3] for entry in entries)
    mark = b"II" if order == "<" else b"MM"
    return mark + struct.pack(order + "HIH", 42, 8, len(entries)) + body + bytes(4)


TURNED = (0x112, 3, 1, struct.pack("<HH", 6, 0))


def test_gray_of_sixteen_bits_is_its_upper_eight():
    deep = Image.fromarray(RAMP * 257)
    np.testing.assert_array_equal(pixels(saved(deep))[..., 0], RAMP)
    half_clear = png(16, 0, [struct.pack(">16H", *[700] * 8, *[30_000] * 8)] * SIDE, chunk(b"tRNS", b"\x02\xbc"))
    np.testing.assert_array_equal(pixels(half_clear)[0, :, 0], [255] * 8 + [30_000 >> 8] * 8)


@pytest.mark.parametrize(
    ("values", "wanted"),
    [
        (np.array([0, 255, 256, 65535], np.uint16), [0, 0, 1, 255]),
        (np.array([0, 255, 256, 65535], ">u2"), [0, 0, 1, 255]),
        (np.array([-5, 256, 65535], np.int32), [0, 1, 255]),
        (np.array([0, 1 << 23, (1 << 31) - 1], np.int32), [0, 1, 255]),
        (np.array([0, 0.5, 1, np.nan], np.float32), [0, 127, 255, 0]),
        (np.array([0, 100, 255], np.float32), [0, 100, 255]),
        (np.array([0, 257, 65535], np.float32), [0, 1, 255]),
    ],
)
def test_deep_values_are_scaled_not_clipped(values, wanted):
    assert eight_bits(values).tolist() == wanted


@pytest.mark.parametrize(
    ("raw", "wanted"),
    [
        (png(8, 2, [bytes([9, 8, 7]) * SIDE] * SIDE, chunk(b"tRNS", b"\0\x09\0\x08\0\x07")), 255),
        (png(16, 2, [b"\x09\xff\x08\0\x07\0" * SIDE] * SIDE, chunk(b"tRNS", b"\x09\xff\x08\0\x07\0")), 255),
        (png(4, 0, [b"\xff" * (SIDE // 2)] * SIDE, chunk(b"tRNS", b"\0\x0f")), 255),
        (png(4, 0, [b"\x33" * (SIDE // 2)] * SIDE, chunk(b"tRNS", b"\0\x0f")), 0x33),
        (png(8, 0, [b"\x33" * SIDE] * SIDE, chunk(b"tRNS", b"\0\x33")), 255),
    ],
)
def test_a_transparent_color_is_white_whatever_the_depth(raw, wanted):
    assert set(pixels(raw).ravel().tolist()) == {wanted}


def test_large_odd_and_damaged_metadata_of_a_png_is_left_out():
    plain = Image.fromarray(RAMP.astype(np.uint8))
    text = PngImagePlugin.PngInfo()
    text.add_itxt("XML:com.adobe.xmp", "a b " * 600_000, zip=True)
    text.add_text("comment", "c " * 600_000, zip=True)
    files = [saved(plain, pnginfo=text), saved(plain, icc_profile=bytes(2 << 20))]
    rows = [row.tobytes() for row in RAMP.astype(np.uint8)]
    files += [png(8, 0, rows, chunk(b"iCCP", b"x\0\0no zlib")), png(8, 0, rows, chunk(b"zTXt", b"a\0\0b", crc=1))]
    files += [png(8, 0, rows, chunk(b"eXIf", b"junk")), png(8, 0, rows, chunk(b"tEXt", b"Raw profile type exif\0zz"))]
    for raw in files:
        np.testing.assert_array_equal(pixels(raw)[..., 0], RAMP)


def jpeg_with(*segments):
    sides = np.zeros((SIDE, SIDE, 3), np.uint8)
    sides[: SIDE // 2] = 255  # white above; turned by 6 it is white on the right
    raw = saved(Image.fromarray(sides), "JPEG", quality=95)
    return raw[:2] + b"".join(segments) + raw[2:]


def app(number, body):
    return struct.pack(">BBH", 0xFF, 0xE0 + number, len(body) + 2) + body


def is_turned(raw):
    found = pixels(raw)[..., 0].astype(int)
    return (found[:, SIDE // 2 + 2 :].mean() > 200) and (found[:, : SIDE // 2 - 2].mean() < 50)


@pytest.mark.parametrize(
    "block",
    [
        exif(TURNED),
        exif((0x112, 3, 1, struct.pack(">HH", 6, 0)), order=">"),
        exif((0x112, 4, 1, struct.pack("<I", 6))),
        exif((0x11A, 2, 4, b"72\0\0"), TURNED),
        exif((0x10E, 4, 1, b"\5\0\0\0"), (0x13B, 3, 1, b"\7\0\0\0"), TURNED, (0x100, 9, 1, b"\xfb\xff\xff\xff")),
        exif(TURNED, (0x8769, 2, 4, b"abc\0"), (0x8825, 4, 1, b"\xff\xff\0\0")),
    ],
)
def test_a_image_is_turned_upright_whatever_else_its_exif_holds(block):
    assert is_turned(jpeg_with(app(1, b"Exif\0\0" + block)))
    rows = Image.fromarray(np.asarray(Image.open(io.BytesIO(jpeg_with()))))
    assert is_turned(saved(rows, "PNG", exif=b"Exif\0\0" + block))
    assert is_turned(saved(rows, "WEBP", exif=b"Exif\0\0" + block, lossless=True))


@pytest.mark.parametrize(
    "block",
    [b"", b"II*\0", b"\xde\xad\xbe\xef" * 9, exif((0x112, 3, 1, b"\x09\0\0\0")), exif((0x112, 2, 2, b"6\0\0\0")),
     exif(TURNED)[:12], struct.pack("<2sHI", b"II", 42, 1 << 31)],
)  # fmt: skip
def test_exif_that_says_nothing_turns_nothing(block):
    assert orientation(b"Exif\0\0" + block) == 1
    assert not is_turned(jpeg_with(app(1, b"Exif\0\0" + block)))


def test_xmp_turns_where_there_is_no_exif():
    xmp = b'http://ns.adobe.com/xap/1.0/\0<x tiff:Orientation="6"/>'
    assert is_turned(jpeg_with(app(1, xmp), app(13, b"Photoshop 3.0\0junk"), app(2, b"MPF\0junk")))
    assert not is_turned(jpeg_with(app(1, b"Exif\0\0" + exif((0x112, 3, 1, b"\1\0\0\0"))), app(1, xmp)))


def test_colors_of_cmyk_stay_and_what_is_cut_is_still_cut():
    four = saved(Image.new("CMYK", (SIDE, SIDE), (0, 255, 255, 0)), "JPEG")
    assert pixels(four)[0, 0, 0] > 200
    assert pixels(four)[0, 0, 1] < 60
    whole = saved(Image.fromarray(np.random.default_rng(1).integers(0, 256, (64, 64, 3)).astype(np.uint8)))
    for cut in (whole[: len(whole) // 2], jpeg_with()[:250]):
        with pytest.raises(Unusable):
            pixels(cut)
    for raw in (b"", b"\xff\xd8", b"\xff\xd8\xff", b"\x89PNG\r\n\x1a\n", b"\x89PNG\r\n\x1a\n\0\0"):
        assert strip_metadata(raw) == (raw, 1)
