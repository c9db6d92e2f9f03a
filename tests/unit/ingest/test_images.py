"""Images to numbers: known hashes, colors that can be told by eye, damage by class."""

import io
import struct
import zlib

import numpy as np
import pytest
from PIL import Image, ImageDraw

from jobs.ingest.images.decode import Unusable, decode
from jobs.ingest.images.features import features

PIXELS = 10_000_000
# made by imagehash 4.3.2 (phash, its defaults) from the very same images
KNOWN = {"waves": 0xF8B560CAE64BE24C, "rings": 0xAFBB547916C038C5, "ramp": 0x825FA942A8572C7F,
         "noise": 0xF4B59316A098BF62}  # fmt: skip


def drawn(kind, w=120, h=80):
    y, x = np.mgrid[0:h, 0:w].astype(float)
    planes = {
        "waves": [127 + 120 * np.sin(x / 9), 127 + 120 * np.cos(y / 7), 127 + 100 * np.sin((x + y) / 13)],
        "rings": [127 + 120 * np.sin(np.hypot(x - 40, y - 30) / 5)] * 3,
        "ramp": [x * 255 / w, y * 255 / h, 255 - x * 255 / w],
        "noise": list(np.random.default_rng(7).integers(0, 256, (3, h, w))),
    }[kind]
    return Image.fromarray(np.stack(planes, -1).clip(0, 255).astype(np.uint8))


def stored(image, form="PNG", **how):
    body = io.BytesIO()
    image.save(body, form, **how)
    return body.getvalue()


def of(*images):
    return features([decode(stored(image), PIXELS) for image in images])


def test_hashes_are_those_that_others_compute():
    found = of(*map(drawn, KNOWN))
    assert dict(zip(KNOWN, map(int, found.phash), strict=True)) == KNOWN


@pytest.mark.parametrize("kind", ["waves", "rings"])
def test_a_image_saved_again_smaller_or_brighter_has_nearly_the_same_hash(kind):
    one = drawn(kind, 400, 300)
    others = [one.resize((160, 120)), Image.fromarray((np.asarray(one) * 0.9).astype(np.uint8))]
    others.append(Image.open(io.BytesIO(stored(one, "JPEG", quality=40))))
    hashes = of(one, *others).phash
    assert all(int(hashes[0] ^ other).bit_count() <= 6 for other in hashes[1:])
    assert min(int(hashes[0] ^ other).bit_count() for other in of(drawn("noise"), drawn("rings", 90, 90)).phash) > 12


def test_colors_and_style_are_what_one_sees():
    sky = Image.new("RGB", (90, 60), "#3050d0")
    ImageDraw.Draw(sky).rectangle((0, 45, 90, 60), fill="#20a040")
    night, snow = Image.new("RGB", (50, 50), "#101018"), Image.new("RGB", (50, 50), "#f4f4f4")
    found = of(sky, night, snow, drawn("noise"))
    assert found.colors[0] == ["#3050d0", "#20a040"]
    assert found.style == ["vivid-plain", "dark-plain", "light-plain", "muted-busy"]
    assert found.histogram.shape == (4, 256)
    np.testing.assert_allclose(found.histogram.sum(axis=1), 1, atol=2e-3)
    assert sorted(found.histogram[0])[-2:] == [pytest.approx(0.25, abs=0.01), pytest.approx(0.75, abs=0.01)]
    assert (found.histogram[1] > 0).sum() == 1


def test_transparent_turned_moving_and_gray_images_are_taken_as_people_see_them():
    clear = Image.new("RGBA", (40, 40), (0, 0, 0, 0))
    assert of(clear).colors == [["#ffffff"]]
    upright = drawn("ramp")
    exif = Image.Exif()
    exif[0x0112] = 6  # shown turned by a quarter
    turned = decode(stored(upright.rotate(90, expand=True), "PNG", exif=exif), PIXELS)
    assert (turned.width, turned.height) == upright.size
    assert int(features([turned]).phash[0]) == KNOWN["ramp"]
    frames = [drawn("rings"), drawn("ramp")]
    moving = stored(frames[0], "GIF", save_all=True, append_images=frames[1:])
    assert decode(moving, PIXELS).width == 120
    assert of(Image.new("L", (30, 30), 128), Image.new("CMYK", (30, 30)).convert("RGB")).colors[0] == ["#808080"]


def bomb():
    """Return a PNG of 60,000 by 60,000 black pixels: ten gigabytes from a few kilobytes."""

    def chunk(kind, body):
        return struct.pack(">I", len(body)) + kind + body + struct.pack(">I", zlib.crc32(kind + body))

    head = struct.pack(">IIBBBBB", 60_000, 60_000, 8, 2, 0, 0, 0)
    data = zlib.compress(bytes(1 << 20), 9)
    return b"\x89PNG\r\n\x1a\n" + chunk(b"IHDR", head) + chunk(b"IDAT", data) + chunk(b"IEND", b"")


WHOLE = stored(drawn("waves"), "JPEG")


@pytest.mark.parametrize(
    ("raw", "reason"),
    [
        (b"", "unknown_image"),
        (b"<html>not found</html>", "unknown_image"),
        (stored(drawn("ramp"), "TIFF"), "unknown_image"),
        (WHOLE[: len(WHOLE) // 2], "truncated_image"),
        (stored(drawn("noise"))[:1000], "truncated_image"),
        (WHOLE[:200] + bytes(len(WHOLE) - 200), "bad_image"),
        (bomb(), "too_many_pixels"),
    ],
)
def test_what_is_no_image_says_which_kind(raw, reason):
    with pytest.raises(Unusable) as caught:
        decode(raw, PIXELS)
    assert caught.value.reason == reason
    assert str(caught.value)
