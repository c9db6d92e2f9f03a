"""The page of a feed: complete, alone, and safe whatever pin makers typed."""

from contextlib import contextmanager
from datetime import date
from html.parser import HTMLParser

import pytest

from jobs.common.errors import StoreError
from jobs.report.feed_page import write_page
from jobs.report.tiles import safe_link
from jobs.serving.models import Feed, FeedItem, PinCard, Related, RelatedItem

EVIL = "</style></title><script>alert(1)</script><img src=x onerror=alert(2)>\"'&"
JPEG = b"\xff\xd8\xff\xe0 as good as an image"
DAY = date(2026, 11, 1)


def card(pin, title="a pin", link="https://example.org/a?b=1&c=2", **more):
    return PinCard(pin, title, link, "garden", "green", 7, f"{pin:032x}", **more)


FEED = tuple(
    FeedItem(n, 100 + n, 1 / n, "content", *reason)
    for n, reason in enumerate(
        [("save", 1), ("taste", None), ("trending", None), ("fresh", None), ("follow", 9), ("save", 2), ("odd", None)],
        1,
    )
)
BESIDE = (RelatedItem(1, 201, 0.9, "both", 3), RelatedItem(2, 202, 0.5, "looks_alike", 0))


class Served:
    """A reader over plain values, as the store would give them."""

    generation = "2026-11-01-abc"

    def __init__(self, feed=FEED, beside=BESIDE, cards=()):
        self.feed = None if feed is None else Feed(self.generation, DAY, "control", False, feed)
        self.beside = beside
        self.known = {c.pin_id: c for c in cards} or {p: card(p) for p in (1, *range(101, 108), 201, 202)}

    @contextmanager
    def view(self):
        yield self

    def home_feed(self, _user_id):
        return self.feed

    def related(self, pin_id):
        return Related(self.generation, DAY, pin_id, self.beside) if self.beside else None

    def cards(self, pins):
        return {p: self.known[p] for p in pins if p in self.known}


class Parsed(HTMLParser):
    def __init__(self, html):
        super().__init__()
        self.tags, self.attributes, self.text, self.style = [], [], "", ""
        self.feed(html)

    def handle_starttag(self, tag, attrs):
        self.tags.append(tag)
        self.attributes += [(tag, key, value) for key, value in attrs]

    def handle_data(self, data):
        if self.tags and self.tags[-1] == "style" and not self.style:
            self.style = data
        self.text += data


def page(tmp_path, reader, **more):
    path = write_page(tmp_path / "reports", reader, 17, 101, **more)
    assert path == tmp_path / "reports" / "feed-17.html"
    html = path.read_text(encoding="utf-8")
    return html, Parsed(html)


def test_every_place_of_both_lists_is_there_in_order_with_its_reason(tmp_path):
    html, parsed = page(tmp_path, Served(), saved=[1])
    places = [value for _, key, value in parsed.attributes if key == "data-pin"]
    assert places == [*(str(i.pin_id) for i in FEED), "201", "202"]
    for words in (
        "Home feed of user 17", "2026-11-01", "control", "2026-11-01-abc", "Because you saved “a pin”", "Your taste",
        "Rising", "New", "You follow the maker", "odd", "saved together on 3 boards", "Looks alike", "Saved lately",
    ):  # fmt: skip
        assert words in parsed.text, words
    assert "2 like what you saved" in " ".join(parsed.text.split())
    assert "prefers-color-scheme: dark" in html


def test_a_saved_pin_whose_card_is_gone_is_not_named(tmp_path):
    _, parsed = page(tmp_path, Served(), saved=[2])
    assert "Saved lately" not in parsed.text
    assert parsed.text.count("Because you saved") == 2
    assert parsed.text.count("Because you saved “") == 1


def test_images_are_inside_once_and_only_images(tmp_path):
    images = tmp_path / "images" / "00"
    images.mkdir(parents=True)
    (images / f"{101:032x}.jpg").write_bytes(JPEG)
    (images / f"{102:032x}.jpg").write_bytes(b"<svg onload=alert(1)>")
    html, parsed = page(tmp_path, Served(), images=tmp_path / "images")
    assert html.count("data:image/jpeg;base64,/9j/") == 1
    assert parsed.text.count("data:image") == 1
    classes = [value for _, key, value in parsed.attributes if key == "class" and "image" in value]
    assert sum(f"p{101:032x}" in c for c in classes) == 2, "in the feed and as the subject of the related pins"
    assert not any(f"p{102:032x}" in c for c in classes)


@pytest.mark.parametrize("field", ["title", "category", "color", "image_signature"])
def test_what_pin_makers_typed_is_text_and_nothing_else(tmp_path, field):
    bad = [PinCard(**{**card(p).__dict__, field: EVIL}) for p in (1, 101, 102, 201)]
    html, parsed = page(tmp_path, Served(cards=bad), images=tmp_path, saved=[1])
    assert "<script" not in html
    assert not {"script", "img", "iframe", "link", "object"} & set(parsed.tags)
    assert not [key for _, key, _ in parsed.attributes if key.startswith("on")]
    if field == "title":
        assert EVIL in parsed.text


def test_nothing_is_fetched_and_links_lead_to_web_pages_only(tmp_path):
    links = ["javascript:alert(1)", "https://example.org/x", "data:text/html,x", "//example.org/y", "http://[", ""]
    cards = [card(100 + n, link=link) for n, link in enumerate(links, 1)]
    html, parsed = page(tmp_path, Served(cards=cards))
    loads = [(tag, key) for tag, key, _ in parsed.attributes if key in {"src", "srcset", "data", "action", "poster"}]
    assert loads == []
    assert {value for _, key, value in parsed.attributes if key == "href"} == {"https://example.org/x"}
    assert all(tag == "a" for tag, key, _ in parsed.attributes if key == "href")
    assert "@import" not in html
    assert "url(" not in html.replace("url(data:", "")
    assert "default-src 'none'" in html


@pytest.mark.parametrize("learned", [True, False, None])
def test_a_learned_ranker_is_claimed_only_where_there_is_one(tmp_path, learned):
    _, parsed = page(tmp_path, Served(), learned=learned)
    assert ("a learned ranker put them in order" in parsed.text) is (learned is True)
    assert ("too few labels" in parsed.text) is (learned is False)


def test_a_fallback_claims_neither_a_ranker_nor_sources(tmp_path):
    reader = Served()
    reader.feed = Feed(Served.generation, DAY, "", True, FEED)
    _, parsed = page(tmp_path, reader, learned=True)
    assert "ranker" not in parsed.text
    assert "sources proposed" not in parsed.text


def test_a_maker_that_is_not_known_is_not_named(tmp_path):
    cards = [PinCard(101, "t", "", "", "green", 0, "0" * 32)]
    _, parsed = page(tmp_path, Served(cards=cards))
    assert "user 0" not in parsed.text


def test_nothing_is_cut_at_the_width_of_a_phone(tmp_path):
    """Titles and reasons wrap, what was saved lately wraps to rows: nothing has to be scrolled sideways."""
    html, _ = page(tmp_path, Served(), saved=[1])
    assert "nowrap" not in html
    assert "overflow-x" not in html


def test_a_pin_without_related_pins_and_a_store_without_cards_still_make_a_page(tmp_path):
    _, parsed = page(tmp_path, Served(beside=(), cards=[card(999)]))
    assert "Beside one pin" not in parsed.text
    assert "Pin 104" in parsed.text


def test_without_feed_and_fallback_the_message_says_so(tmp_path):
    with pytest.raises(StoreError, match="Generation 2026-11-01-abc has neither a feed of user 17 nor a fallback"):
        write_page(tmp_path, Served(feed=None), 17, 101)


@pytest.mark.parametrize(
    ("link", "kept"),
    [
        ("https://example.org/a?b=c#d", True),
        ("HTTP://example.org", True),
        ("ftp://example.org", False),
        ("https:///nowhere", False),
        (" javascript:alert(1)", False),
        ("java\nscript:alert(1)", False),
    ],
)
def test_only_web_addresses_are_links(link, kept):
    assert safe_link(link) == (link if kept else None)
