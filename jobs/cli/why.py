"""`pinlake why`: what became of one pin for one user, and what it was that kept it out. Needs no Spark."""

from collections.abc import Sequence
from dataclasses import dataclass, field
from datetime import date
from typing import TYPE_CHECKING, Annotated, Any

import typer

from jobs.cli.context import app, cli, out, print_json
from jobs.cli.grid import print_grid
from jobs.cli.inspect import Json, open_reader
from jobs.common.errors import TableError
from jobs.lake.query import Rows, Tables
from jobs.report.formatting import RULES

if TYPE_CHECKING:
    from jobs.serving.reader import Reader

UNKNOWN = 2
"""Exit code where the user or the pin is none that there is."""


@dataclass
class Answer:
    """Facts on a pin and a user, as of a day."""

    user: int
    pin: int
    as_of: date
    outcome: str
    """shown, dropped, beaten, not_proposed, fallback, unknown_user or unknown_pin."""
    sentences: list[str]
    ranked: dict[str, Any] | None = None
    candidates: Rows = field(default_factory=list)
    others: list[int] = field(default_factory=list)
    """Pins that a rule found in its stead."""

    def plain(self) -> dict[str, Any]:
        """Return what `--json` prints."""
        return {**vars(self), "ranked": [self.ranked] if self.ranked else []}


@app.command()
def why(
    user: int,
    pin: int,
    as_of: Annotated[
        str | None, typer.Option("--as-of", help="As-of date, YYYY-MM-DD. [that of the served generation]")
    ] = None,
    as_json: Json = False,
) -> None:
    """Explain why a pin is, or is not, in a user's feed: sources, score, positions, the rule that dropped it.

    `pinlake why 17 4711`
    """
    from jobs.cli.run import parse_day

    reader = open_reader()
    day = parse_day(as_of) or _served_day(reader)
    tables = Tables(cli.path(cli.loaded.settings.platform.lake))
    found = Question(tables, user, pin, day, cli.loaded.settings.ranking.owner_cap).answer()
    if found.outcome == "fallback":
        found.sentences.append(_in_fallback(reader, user, pin))
    if as_json:
        print_json(found.plain())
    else:
        for sentence in found.sentences:
            out.print(sentence, markup=False, highlight=False, soft_wrap=True)
        if found.candidates:
            _print_candidates(found.candidates)
    if found.outcome.startswith("unknown"):
        raise typer.Exit(UNKNOWN)


def _served_day(reader: "Reader") -> date:
    with reader.view() as view:
        return view.manifest().as_of


def _in_fallback(reader: "Reader", user: int, pin: int) -> str:
    feed = reader.home_feed(user)
    if feed is None or not feed.fallback:
        return "The store has no fallback to show instead." if feed is None else "The store has a feed of another day."
    place = next((item.position for item in feed.items if item.pin_id == pin), None)
    there = f"has pin {pin} at place {place}" if place else f"does not have pin {pin}"
    return f"The fallback shown instead, of {feed.as_of}, {there}."


def _print_candidates(candidates: Rows) -> None:
    cells = [
        (row["source"], f"{row['rank']:,}", f"{row['of']:,}", f"{row['score']:.4f}",
         f"{row['evidence_kind']} {row['evidence_id'] or ''}".strip())
        for row in candidates
    ]  # fmt: skip
    print_grid(out, ("source", "place", "of", "score", "went by"), cells)


@dataclass
class Question:
    """Queries the tables of one as-of date."""

    tables: Tables
    user: int
    pin: int
    day: date
    owner_cap: int

    def answer(self) -> Answer:
        """Return what became of the pin.

        Raises:
            TableError: there is no such partition.
        """
        self._require_cut()
        profile = self._one("gold.user_profile", f"user_id = {self.user}", "is_active, last_active")
        if profile is None:
            said = (
                f"There is no such user: {self.user} is not among those of {self.day}. Anyone new is shown the "
                f"fallback, `pinlake feed {self.user}`."
            )
            return self._answer("unknown_user", [said])
        ranked = self._one("gold.ranked", f"user_id = {self.user} and pin_id = {self.pin}")
        if ranked is not None:
            return self._of_candidate(ranked)
        facts = self._one("gold.pin_stats", f"pin_id = {self.pin}", "creator_id, visibility")
        if facts is None:
            return self._gone()
        if not profile["is_active"]:
            last = f", last on {profile['last_active']:%Y-%m-%d}" if profile["last_active"] else ""
            said = f"User {self.user} has no feed of their own on {self.day}: not active of late{last}, or suspended."
            return self._answer("fallback", [said])
        return self._answer("not_proposed", self._never(facts))

    def _answer(self, outcome: str, sentences: list[str], **more: Any) -> Answer:
        return Answer(self.user, self.pin, self.day, outcome, sentences, **more)

    def _ask(self, name: str, where: str, columns: str = "*", more: str = "") -> Rows:
        table = name.split(".", 1)[1]
        day_filter = f"as_of = date '{self.day}' and " if name.startswith("gold.") else ""
        return self.tables.ask(f"select {columns} from {table} where {day_filter}{where} {more}", {name: None})  # noqa: S608

    def _one(self, name: str, where: str, columns: str = "*") -> dict[str, Any] | None:
        rows = self._ask(name, where, columns, "limit 1")
        return rows[0] if rows else None

    def _require_cut(self) -> None:
        rows = self.tables.ask("select distinct as_of from ranked order by as_of", {"gold.ranked": None})
        days = [str(row["as_of"]) for row in rows]
        if str(self.day) not in days:
            there = f"there are {', '.join(days[-10:])}" if days else "none has been made yet"
            raise TableError(
                f"gold.ranked lacks partition {self.day}: {there}. Name one with --as-of, or run `pinlake flow --as-of "
                f"{self.day}`."
            )

    def _gone(self) -> Answer:
        row = self._one("silver.app_pins", f"id = {self.pin}", '"_deleted"')
        if row is None:
            said = f"There is no such pin: {self.pin} is not among those of {self.day}, nor among those deleted lately."
            return self._answer("unknown_pin", [said])
        what = "was deleted at the source" if row["_deleted"] else f"was not there yet on {self.day}, or is there again"
        return self._answer("not_proposed", [f"Pin {self.pin} {what}, so no source proposed it."])

    def _never(self, facts: dict[str, Any]) -> list[str]:
        """Say why a pin that is there was no candidate: as sources see it (jobs/candidates/contract.py)."""
        head = f"No source proposed pin {self.pin} to user {self.user} on {self.day}"
        signals = self._one(
            "gold.interactions", f"user_id = {self.user} and pin_id = {self.pin}", "saves, hides, last_ts"
        ) or {"saves": 0, "hides": 0}
        causes = []
        if signals["saves"]:
            causes.append("the user has it on a board already")
        if signals["hides"]:
            causes.append("the user hid or reported it")
        if facts["creator_id"] == self.user:
            causes.append("the user made it")
        if facts["visibility"] != "public":
            causes.append(f"it was made on a {facts['visibility']} board, and only public pins are proposed")
        if causes:
            return [f"{head}: {'; '.join(causes)}."]
        rows = self._ask("gold.candidates", f"user_id = {self.user}", "source, count(*) as n", "group by source")
        told = ", ".join(f"{row['source']} {row['n']:,}" for row in sorted(rows, key=lambda row: row["source"]))
        return [f"{head}: it was never a candidate, not among the best of any source ({told or 'none proposed any'})."]

    def _of_candidate(self, ranked: dict[str, Any]) -> Answer:
        mine = self._ask("gold.ranked", f"user_id = {self.user}", "pin_id, score, rule, position, creator_id")
        mine.sort(key=lambda row: (-row["score"], row["pin_id"]))
        place = next(at for at, row in enumerate(mine, 1) if row["pin_id"] == self.pin)
        better = [row for row in mine[: place - 1] if not row["rule"]]
        head = (
            f"Pin {self.pin} for user {self.user} on {self.day}: score {ranked['score']:.4f}, place {place:,} of "
            f"{len(mine):,} candidates by score"
        )
        others: list[int] = []
        if ranked["position"] is not None:
            outcome = "shown"
            reason = f"{ranked['reason']} {ranked['reason_id'] or ''}".strip()
            said = f"{head}, place {ranked['position']} in the feed, reason {reason}."
        elif ranked["rule"]:
            outcome, others = "dropped", self._others(ranked, better)
            said = f"{head}. Dropped by rule {ranked['rule']}: {_meaning(ranked['rule'], others)}."
        else:
            outcome = "beaten"
            length = sum(row["position"] is not None for row in mine)
            said = f"{head}. Not in the feed: its {length} places went to pins of higher score or more different ones."
        return self._answer(outcome, [said], ranked=ranked, candidates=self._proposals(), others=others)

    def _proposals(self) -> Rows:
        where = f"user_id = {self.user} and pin_id = {self.pin}"
        rows = self._ask("gold.candidates", where, "source, rank, score, evidence_kind, evidence_id")
        counts = self._ask("gold.candidates", f"user_id = {self.user}", "source, count(*) as n", "group by source")
        of = {row["source"]: row["n"] for row in counts}
        return sorted((row | {"of": of[row["source"]]} for row in rows), key=lambda r: (r["rank"], r["source"]))

    def _others(self, ranked: dict[str, Any], better: Rows) -> list[int]:
        """Return the pins that the rule found in this one's stead, best first."""
        rule = ranked["rule"]
        if rule == "owner_cap":
            return [row["pin_id"] for row in better if row["creator_id"] == ranked["creator_id"]][: self.owner_cap]
        if rule == "duplicate_image":
            return self._of_one_image([row["pin_id"] for row in better])[:1]
        if rule == "saved_image":
            saved = self._ask("gold.interactions", f"user_id = {self.user} and saves > 0", "pin_id")
            return self._of_one_image([row["pin_id"] for row in saved])
        return []

    def _of_one_image(self, pins: Sequence[int]) -> list[int]:
        """Return those of the pins that show this pin's image or a near-duplicate of it, in the same order."""
        if not pins:
            return []
        listed = ", ".join(map(str, {*pins, self.pin}))
        rows = self._ask("gold.pin_stats", f"pin_id in ({listed})", "pin_id, image_signature")
        signatures = {row["pin_id"]: row["image_signature"] for row in rows if row["image_signature"]}
        texts = ", ".join("'{}'".format(one.replace("'", "''")) for one in set(signatures.values()))
        where = f"image_signature in ({texts})"
        named = self._ask("gold.image_clusters", where, "image_signature, cluster_id") if texts else []
        cluster = {row["image_signature"]: row["cluster_id"] for row in named}
        image = {pin: cluster.get(one, one) for pin, one in signatures.items()}
        return [pin for pin in pins if pin in image and image[pin] == image.get(self.pin)]


def _meaning(rule: str, others: Sequence[int]) -> str:
    meaning = RULES.get(rule, rule)
    names = f" (pin{'s' if len(others) > 1 else ''} {', '.join(map(str, others))})" if others else ""
    return f"{meaning}{names}"
