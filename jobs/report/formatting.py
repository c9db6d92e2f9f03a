"""Formats numbers, dates and names for pages and the terminal. A name without a text here is shown as it is."""

import json
from datetime import date
from math import isnan

from jobs.serving.reason_labels import REASONS

RULES = {
    "length": "no place left in the feed",
    "saved": "on a board of the user already",
    "hidden": "hidden or reported by the user",
    "own": "made by the user",
    "deleted": "gone at the source",
    "secret": "made on a secret board",
    "protected": "made on a protected board",
    "not_public": "board not known to be public",
    "blocked": "user and creator block each other",
    "creator_inactive": "creator suspended or gone",
    "saved_image": "same image on a board already",
    "duplicate_image": "same image as a better pin",
    "owner_cap": "too many of one creator",
}
MODELS = {"home_feed": "home feed", "popularity": "popularity"}
RELATED_MODELS = {
    "related_pins": "related pins as shown",
    **{name: f"{reason.related}, alone" for name, reason in REASONS.items() if reason.related},
}
"""Names of the models in gold.related_evaluations: the lists as shown, and each source alone."""
METRICS = {
    "hr": "users whose list held a pin they went on to save",
    "ndcg": "NDCG: hits count more near the top",
    "recall": "share of what a user went on to save",
    "coverage": "share of all public pins shown to anybody",
}
GATE = {
    "coverage": "active users with a feed",
    "short_feeds": "feeds that are short",
    "rule_violations": "rows that break a rule",
    "fallback_pins": "pins shown to users without a feed of their own",
    "related_coverage": "public pins with related pins",
    "churn": "top places that changed since the served generation",
    "popularity_shift": "change of the mean popularity of what is shown",
    "ndcg_ratio": "NDCG@10 of the feed over that of popularity",
    "ndcg_ratio_lower": "lower end of the feed's NDCG@10 over popularity's",
}


def count(number: int, one: str, many: str | None = None) -> str:
    """Return "1 pin", "2,000 pins"."""
    return f"{number:,} {one if number == 1 else many or one + 's'}"


def short(number: int) -> str:
    """Return a number that fits a phone's row: 164,799 as it is, 32.1 M from ten millions on."""
    return f"{number:,}" if number < 10_000_000 else f"{number / 1e6:,.1f} M"


def size(number: float | None) -> str:
    """Return bytes in words, such as 5.6 MB."""
    if number is None:
        return ""
    for unit in ("B", "kB", "MB", "GB"):
        if abs(number) < 999.5:
            return f"{number:.0f} {unit}" if unit == "B" or number >= 99.5 else f"{number:.1f} {unit}"
        number /= 1000
    return f"{number:,.1f} TB"


def seconds(number: float | None) -> str:
    """Return a duration in words: 3.8 s, 24 s, 3 min 7 s, 2 h 5 min."""
    if number is None:
        return ""
    if number < 9.95:
        return f"{number:.1f} s"
    whole = round(number)
    if whole < 60:
        return f"{whole} s"
    if whole < 3600:
        return f"{whole // 60} min {whole % 60} s"
    return f"{whole // 3600} h {whole % 3600 // 60} min"


def percent(share: float) -> str:
    """Return a share in words: 25 %, 2.8 %, 0.002 %."""
    value = abs(share) * 100
    if value == 0 or value >= 9.95:
        return f"{share * 100:.0f} %"
    return f"{share * 100:.1f} %" if value >= 0.095 else f"{share * 100:.1g} %"


def share(value: float | None, lower: float | None = None, upper: float | None = None) -> str:
    """Return a share with its interval, in percent: "12.3 (11.0 to 13.6)"; a dash where there is none."""
    if value is None:
        return "-"
    ends = "" if lower is None or upper is None else f" ({max(lower, 0) * 100:.1f} to {upper * 100:.1f})"
    return f"{value * 100:.1f}{ends}"


def day(as_of: date) -> str:
    """Return a day in words, such as 1 November 2026."""
    return f"{as_of.day} {as_of:%B %Y}"


def measured(observed: str | None) -> str:
    """Return a measured estimate, rounded; a dash where there was nothing to measure."""
    try:
        number = float(observed or "nan")
    except ValueError:
        return str(observed)
    return "-" if isnan(number) else f"{number:,.0f}" if number.is_integer() else f"{number:,.4g}"


def bounds(expected: str | None) -> str:
    """Return the bounds of an expectation in words: at most 0.2, from 1 to 100; what has none as it is."""
    try:
        found = json.loads(expected or "")
        low, high = found.get("min_value"), found.get("max_value")
    except (ValueError, AttributeError):
        return expected or ""
    if low is not None and high is not None:
        return f"{low:g}" if low == high else f"from {low:g} to {high:g}"
    if low is None and high is None:
        return expected or ""
    return f"at least {low:g}" if high is None else f"at most {high:g}"
