"""Pages as tests read them, and rows that a page is made of."""

from html.parser import HTMLParser


class Parsed(HTMLParser):
    """Tags, attributes and text of a page."""

    def __init__(self, html):
        super().__init__()
        self.tags, self.attributes, self.text = [], [], ""
        self.feed(html)
        self.text = " ".join(self.text.split())

    def handle_starttag(self, tag, attrs):
        self.tags.append(tag)
        self.text += " " if tag in {"td", "th"} else ""
        self.attributes += [(tag, key, value) for key, value in attrs]

    def handle_data(self, data):
        self.text += data


def beside():
    """Related pins found more of the next co-saves than one source and less than the other, which the log preferred."""
    recalls = {"related_pins": 0.2, "looks_alike": 0.1, "collaborative": 0.3}
    rows = [
        {"model": m, "segment": s, "metric": "recall", "k": 10, "value": v, "lower": v - 0.02, "upper": v + 0.02}
        for m, v in recalls.items()
        for s in ("all", "head", "torso", "tail")
    ]
    rows += [
        {"model": f"related_pins_minus_{m}", "segment": "all", "metric": "recall", "k": 10, "value": 0.2 - v}
        | {"lower": 0.19 - v, "upper": 0.21 - v}
        for m, v in recalls.items()
        if m != "related_pins"
    ]
    rows = [row | {"judged": 50, "hits": 5} for row in rows]
    saves = {"save_rate": (0.25, 40), "save_rate_others": (0.1, 60), "save_gain": (0.15, 40)}
    return (
        rows
        + [
            {"model": m, "segment": "all", "metric": metric, "k": 30, "value": v, "judged": n}
            for m in recalls
            for metric, (v, n) in saves.items()
            if m != "looks_alike"
        ]
        + [
            {"model": "looks_alike", "segment": "all", "metric": metric, "k": 30, "value": None, "judged": 0}
            for metric in saves
        ]
    )
