"""Encodes and decodes keys and values of the store. The whole format is in docs/store-format.md.

A value is ``head (1 byte) | crc32 (4 bytes, little-endian) | body``. Head: low seven bits the format's version, top
bit set where the body is a zstd frame. The checksum covers head, key and body as stored, so that a flipped bit, a torn
value and a value stored under another key are all found. Payloads are deterministic: equal input, equal bytes.
"""

import zlib
from collections.abc import Sequence
from datetime import date, timedelta
from hashlib import sha256
from typing import Any, NamedTuple
from urllib.parse import quote

from jobs.common.errors import StoreError
from jobs.serving import format_pb2 as pb
from jobs.serving.models import Feed, FeedItem, PinCard, Pointer, Related, RelatedItem
from jobs.serving.reason_labels import REASONS

FORMAT = 1
ZSTD = 0x80
COMPRESS_FROM = 1024
MAX_PAYLOAD = 16 << 20
MAX_KEY = 40
SURFACES = {"hf": "home_feed", "rp": "related_pins", "pc": "pin_cards", "fb": "fallback"}
"""Prefix of a key, before its colon -> surface."""
FEED_PREFIX, RELATED_PREFIX, CARD_PREFIX, FALLBACK_PREFIX = (f"{name}:".encode() for name in SURFACES)
MANIFEST_KEY = b"m:"
POINTER_KEY = b"ptr"
DEFAULT_SEGMENT = "all"
_EPOCH = date(1970, 1, 1)
_SOURCES = {name.removeprefix("SOURCE_").lower(): number for name, number in pb.Source.items()}
_REASONS = {"none": 0} | {name: reason.number for name, reason in REASONS.items()}
_SOURCE_NAMES = {number: name for name, number in _SOURCES.items()}
_REASON_NAMES = {number: name for name, number in _REASONS.items()}


class Columns(NamedTuple):
    """A list as columns of equal length, in the order shown."""

    pin_ids: Sequence[int]
    scores: Sequence[float]
    sources: Sequence[str | None]
    reasons: Sequence[str | None]
    reason_ids: Sequence[int | None]


def feed_key(user_id: int) -> bytes:
    """Return the key of a user's home feed."""
    return FEED_PREFIX + b"%d" % user_id


def related_key(pin_id: int) -> bytes:
    """Return the key of a pin's related pins."""
    return RELATED_PREFIX + b"%d" % pin_id


def card_key(pin_id: int) -> bytes:
    """Return the key of a pin's card."""
    return CARD_PREFIX + b"%d" % pin_id


def fallback_key(segment: str) -> bytes:
    """Return the key of a segment's fallback feed: percent-encoded, or a digest where that is too long."""
    text = quote(segment.lower(), safe="")
    if len(text) > MAX_KEY - len(FALLBACK_PREFIX):
        text = "~" + sha256(segment.lower().encode()).hexdigest()[:16]
    return FALLBACK_PREFIX + text.encode()


def pack(key: bytes, payload: bytes) -> bytes:
    """Return the value that holds `payload` under `key`."""
    head, body = FORMAT, payload
    if len(payload) >= COMPRESS_FROM:
        import zstandard

        head, body = FORMAT | ZSTD, zstandard.ZstdCompressor(level=1).compress(payload)
    return bytes([head]) + _crc(head, key, body).to_bytes(4, "little") + body


def unpack(key: bytes, value: bytes) -> bytes:
    """Return the payload of a value found under `key`.

    Raises:
        StoreError: the value is truncated, changed, stored under another key, or of an unknown format.
    """
    if len(value) < 5:
        raise StoreError(f"{_show(key)}: a value has at least 5 bytes, got {len(value)}: load the generation again.")
    head, crc, body = value[0], int.from_bytes(value[1:5], "little"), value[5:]
    if head & ~ZSTD != FORMAT:
        raise StoreError(
            f"{_show(key)}: value of format {head & ~ZSTD}, this reader supports {FORMAT}: the value is damaged, "
            f"or the reader is too old."
        )
    if _crc(head, key, body) != crc:
        raise StoreError(f"{_show(key)}: checksum does not match, the value is damaged: roll back or load it again.")
    return _inflate(key, body) if head & ZSTD else body


def encode_feed(key: bytes, as_of: int, arm: str, columns: Columns) -> bytes:
    """Return the value of a home feed or fallback; `as_of` in days since 1970-01-01."""
    message = pb.Feed(
        as_of=as_of,
        arm=arm,
        pin_ids=columns.pin_ids,
        scores=columns.scores,
        sources=[_number(_SOURCES, name, "source") for name in columns.sources],
        reasons=[_number(_REASONS, name, "reason") for name in columns.reasons],
        reason_ids=[ident or 0 for ident in columns.reason_ids],
    )
    return pack(key, message.SerializeToString(deterministic=True))


def decode_feed(key: bytes, value: bytes, generation: str) -> Feed:
    """Return a feed; StoreError if the value is damaged."""
    message = _parse(pb.Feed, key, value)
    columns = (message.pin_ids, message.scores, message.sources, message.reasons, message.reason_ids)
    _same_length(key, columns)
    items = tuple(
        FeedItem(
            place,
            pin,
            score,
            _SOURCE_NAMES.get(source, "none"),
            _REASON_NAMES.get(reason, "none"),
            ident or None,
        )
        for place, (pin, score, source, reason, ident) in enumerate(zip(*columns, strict=True), 1)
    )
    return Feed(generation, to_date(message.as_of), message.arm, key.startswith(FALLBACK_PREFIX), items)


def encode_related(
    key: bytes,
    as_of: int,
    pin_ids: Sequence[int],
    scores: Sequence[float],
    reasons: Sequence[str | None],
    co_saves: Sequence[int | None],
) -> bytes:
    """Return the value of a pin's related pins; `as_of` in days since 1970-01-01."""
    message = pb.Related(
        as_of=as_of,
        pin_ids=pin_ids,
        scores=scores,
        reasons=[_number(_REASONS, name, "reason") for name in reasons],
        co_saves=[count or 0 for count in co_saves],
    )
    return pack(key, message.SerializeToString(deterministic=True))


def decode_related(key: bytes, value: bytes, generation: str) -> Related:
    """Return related pins; StoreError if the value is damaged."""
    message = _parse(pb.Related, key, value)
    columns = (message.pin_ids, message.scores, message.reasons, message.co_saves)
    _same_length(key, columns)
    items = tuple(
        RelatedItem(place, pin, score, _REASON_NAMES.get(reason, "none"), count)
        for place, (pin, score, reason, count) in enumerate(zip(*columns, strict=True), 1)
    )
    return Related(generation, to_date(message.as_of), int(key[3:]), items)


def encode_card(card: PinCard) -> bytes:
    """Return the value of a pin's card."""
    message = pb.PinCard(
        title=card.title,
        link=card.link,
        category=card.category,
        color=card.color,
        creator_id=card.creator_id,
        image_signature=card.image_signature,
    )
    return pack(card_key(card.pin_id), message.SerializeToString(deterministic=True))


def decode_card(key: bytes, value: bytes) -> PinCard:
    """Return a pin's card; StoreError if the value is damaged."""
    m = _parse(pb.PinCard, key, value)
    return PinCard(int(key[3:]), m.title, m.link, m.category, m.color, m.creator_id, m.image_signature)


def decode(key: bytes, value: bytes, generation: str) -> Feed | Related | PinCard:
    """Return the value of a key of any surface; StoreError if it is damaged."""
    if key.startswith(CARD_PREFIX):
        return decode_card(key, value)
    if key.startswith(RELATED_PREFIX):
        return decode_related(key, value, generation)
    return decode_feed(key, value, generation)


def encode_pointer(pointer: Pointer) -> bytes:
    """Return the value of the pointer."""
    message = pb.Pointer(
        epoch=pointer.epoch,
        current=pointer.current,
        previous=pointer.previous,
        moved_at_ms=pointer.moved_at_ms,
    )
    return pack(POINTER_KEY, message.SerializeToString(deterministic=True))


def decode_pointer(value: bytes) -> Pointer:
    """Return the pointer; StoreError if it is damaged."""
    m = _parse(pb.Pointer, POINTER_KEY, value)
    return Pointer(m.epoch, m.current, m.previous, m.moved_at_ms)


def to_days(day: date) -> int:
    """Return days since 1970-01-01."""
    return (day - _EPOCH).days


def to_date(days: int) -> date:
    """Return the day that is `days` after 1970-01-01."""
    return _EPOCH + timedelta(days=days)


def _crc(head: int, key: bytes, body: bytes) -> int:
    return zlib.crc32(body, zlib.crc32(key, zlib.crc32(bytes([head]))))


def _inflate(key: bytes, body: bytes) -> bytes:
    import zstandard

    try:
        size = zstandard.get_frame_parameters(body).content_size
        if size > MAX_PAYLOAD:
            raise StoreError(f"{_show(key)}: a payload has at most {MAX_PAYLOAD} bytes, this one declares {size}.")
        return zstandard.ZstdDecompressor().decompress(body)
    except zstandard.ZstdError as error:
        raise StoreError(
            f"{_show(key)}: the value is not a zstd frame ({error}): load the generation again."
        ) from error


def _parse(kind: Any, key: bytes, value: bytes) -> Any:
    payload = unpack(key, value)
    try:
        return kind.FromString(payload)
    except Exception as error:  # protobuf's DecodeError lives in another module per backend
        raise StoreError(f"{_show(key)}: the payload is not a {kind.DESCRIPTOR.name} message ({error}).") from error


def _number(numbers: dict[str, int], name: str | None, what: str) -> int:
    if name is None:
        return 0
    try:
        return numbers[name]
    except KeyError:
        raise StoreError(
            f"{what} {name!r} has no number in jobs/serving/format.proto; there are {', '.join(numbers)}. Add it there."
        ) from None


def _same_length(key: bytes, columns: Sequence[Any]) -> None:
    lengths = [len(column) for column in columns]
    if len(set(lengths)) > 1:
        raise StoreError(f"{_show(key)}: columns of a list have equal length, got {lengths}.")


def _show(key: bytes) -> str:
    return key.decode("utf-8", "replace")
