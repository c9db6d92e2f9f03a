"""Bytes out of values and back; damage is found wherever it is."""

import subprocess
import sys
from datetime import date

import pytest
from hypothesis import given
from hypothesis import strategies as st

from jobs.common.errors import StoreError
from jobs.serving import format_pb2 as pb
from jobs.serving.codec import (
    MAX_KEY,
    Columns,
    card_key,
    decode_card,
    decode_feed,
    decode_pointer,
    decode_related,
    encode_card,
    encode_feed,
    encode_pointer,
    encode_related,
    fallback_key,
    feed_key,
    pack,
    related_key,
    to_date,
    to_days,
    unpack,
)
from jobs.serving.models import PinCard, Pointer
from tests.feeds import columns, feed

BIGINT = st.integers(-(2**63), 2**63 - 1)
FLOAT = st.floats(width=32, allow_nan=False)
SOURCES = ["collaborative", "content", "trending", "fresh", "popular", "board_walk", "search"]
REASONS = ["save", "taste", "trending", "fresh", "follow", "popular", "search"]
ITEM = st.tuples(
    BIGINT, FLOAT, st.sampled_from(SOURCES), st.sampled_from(REASONS), st.none() | BIGINT.filter(lambda i: i != 0)
)
DAY = st.dates(date(1970, 1, 1), date(2200, 1, 1))


@given(user=BIGINT, day=DAY, arm=st.text(max_size=20), items=st.lists(ITEM, max_size=60))
def test_a_feed_comes_back_as_it_went_in(user, day, arm, items):
    key = feed_key(user)
    value = encode_feed(key, to_days(day), arm, Columns(*zip(*items, strict=True)) if items else columns([]))
    found = decode_feed(key, value, "g1")
    assert (found.generation, found.as_of, found.arm, found.fallback) == ("g1", day, arm, False)
    assert [(i.pin_id, i.score, i.source, i.reason, i.reason_id) for i in found.items] == items
    assert [i.position for i in found.items] == list(range(1, len(items) + 1))


@given(pin=BIGINT, rows=st.lists(st.tuples(BIGINT, FLOAT, st.sampled_from(["looks_alike", "both"]), st.integers(0, 9))))
def test_related_pins_come_back_as_they_went_in(pin, rows):
    key = related_key(pin)
    value = encode_related(key, 20000, *(list(zip(*rows, strict=True)) or [[], [], [], []]))
    found = decode_related(key, value, "g1")
    assert (found.pin_id, found.as_of) == (pin, to_date(20000))
    assert [(i.pin_id, i.score, i.reason, i.co_saves) for i in found.items] == rows


TEXT = st.text(max_size=600)


@given(card=st.builds(PinCard, BIGINT, TEXT, TEXT, TEXT, TEXT, BIGINT, TEXT))
def test_a_card_comes_back_as_it_went_in(card):
    assert decode_card(card_key(card.pin_id), encode_card(card)) == card


@given(pointer=st.builds(Pointer, st.integers(0, 2**63), TEXT, TEXT, st.integers(0, 2**63)))
def test_a_pointer_comes_back_as_it_went_in(pointer):
    assert decode_pointer(encode_pointer(pointer)) == pointer


@pytest.mark.parametrize("length", [1, 10, 300])
def test_any_flipped_bit_is_found(length):
    key, value = feed(7, range(length))
    for place in range(len(value)):
        for bit in range(8):
            broken = bytearray(value)
            broken[place] ^= 1 << bit
            with pytest.raises(StoreError, match="hf:7"):
                decode_feed(key, bytes(broken), "g1")


@given(st.data())
def test_a_cut_or_grown_value_is_found(data):
    key, value = feed(7, range(200))
    cut = data.draw(st.integers(0, len(value) - 1))
    for broken in (value[:cut], value + data.draw(st.binary(min_size=1, max_size=9))):
        with pytest.raises(StoreError):
            decode_feed(key, broken, "g1")


@given(st.binary(max_size=80))
def test_bytes_that_are_no_value_are_refused(noise):
    with pytest.raises(StoreError):
        decode_feed(b"hf:1", noise, "g1")


def test_a_value_under_another_key_is_found():
    _, value = feed(7, [1, 2, 3])
    with pytest.raises(StoreError, match="hf:8"):
        decode_feed(b"hf:8", value, "g1")


def test_a_payload_that_is_whole_but_no_feed_is_refused():
    with pytest.raises(StoreError, match="not a Feed"):
        decode_feed(b"hf:1", pack(b"hf:1", b"\xff\xff\xff"), "g1")


def test_columns_of_unequal_length_are_refused():
    message = pb.Feed(pin_ids=[1, 2], scores=[1.0]).SerializeToString()
    with pytest.raises(StoreError, match="equal length"):
        decode_feed(b"hf:1", pack(b"hf:1", message), "g1")


def test_a_later_format_is_refused_by_its_number():
    with pytest.raises(StoreError, match="format 2"):
        unpack(b"hf:1", b"\x02" + pack(b"hf:1", b"x")[1:])


def test_a_frame_that_would_swell_is_refused(monkeypatch):
    monkeypatch.setattr("jobs.serving.codec.MAX_PAYLOAD", 5000)
    assert unpack(b"k", pack(b"k", bytes(5000))) == bytes(5000)
    with pytest.raises(StoreError, match="at most 5000"):
        unpack(b"k", pack(b"k", bytes(5001)))


def test_small_payloads_stay_plain_and_large_ones_are_compressed():
    assert pack(b"k", b"a" * 1023)[0] == 0x01
    packed = pack(b"k", b"a" * 1024)
    assert packed[0] == 0x81
    assert len(packed) < 100


def test_a_known_value_keeps_its_bytes():
    """The format is a promise to readers in other languages: these bytes may never change."""
    value = encode_feed(
        b"hf:42", 20758, "control", Columns([7, 9], [1.5, 0.25], ["content", "fresh"], ["save", "follow"], [3, None])
    )
    assert value.hex() == (
        "01dc02365f0896a201120" + "7636f6e74726f6c1a10" + "0700000000000000" + "0900000000000000"
        "22080000c03f0000803e" + "2a020204" + "32020105" + "3a10" + "0300000000000000" + "0000000000000000"
    )


def test_equal_input_gives_equal_bytes():
    assert feed(7, range(500)) == feed(7, range(500))


def test_a_name_without_a_number_says_where_to_add_it():
    with pytest.raises(StoreError, match=r"'astrology'.*format\.proto"):
        encode_feed(b"hf:1", 1, "", columns([1], sources=["astrology"]))


@given(st.text(min_size=1, max_size=80))
def test_keys_are_short_and_printable(segment):
    key = fallback_key(segment)
    assert len(key) <= MAX_KEY
    assert all(33 <= byte <= 126 for byte in key)


@pytest.mark.parametrize("number", [0, 1, 2**63 - 1, -(2**63)])
def test_numbers_stand_in_keys_as_text(number):
    for make, prefix in ((feed_key, "hf"), (related_key, "rp"), (card_key, "pc")):
        assert make(number) == f"{prefix}:{number}".encode()
        assert len(make(number)) <= MAX_KEY


def test_segments_differ_by_more_than_case_and_length():
    assert fallback_key("Garden") == b"fb:garden"
    assert fallback_key("diy & crafts") == b"fb:diy%20%26%20crafts"
    long = [fallback_key("x" * 60), fallback_key("x" * 61)]
    assert long[0] != long[1]


def test_the_reader_starts_without_heavy_libraries():
    """`pinlake feed` has under a second, and an online service has no Spark."""
    code = (
        "import sys, jobs.cli.views, jobs.publish.diff, jobs.serving.reader, jobs.serving.rocks\n"
        "heavy = {'pyspark', 'pandas', 'numpy', 'pyarrow', 'great_expectations', 'deltalake'} & set(sys.modules)\n"
        "sys.exit(','.join(sorted(heavy)) or 0)"
    )
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=False)
    assert done.returncode == 0, done.stderr


def test_the_generated_code_is_that_of_the_proto():
    """After a change to format.proto, generate again: the command stands in its header."""
    grpc_tools = pytest.importorskip("grpc_tools", reason="grpcio-tools is of the dev group")
    import tempfile
    from pathlib import Path

    from grpc_tools import protoc

    root = Path(__file__).resolve().parents[3]
    with tempfile.TemporaryDirectory() as folder:
        args = ["", f"-I{root}", f"--python_out={folder}", str(root / "jobs/serving/format.proto")]
        assert protoc.main(args) == 0
        made = (Path(folder) / "jobs/serving/format_pb2.py").read_text()
    assert grpc_tools
    assert made == (root / "jobs/serving/format_pb2.py").read_text()
