"""Roles of the columns of a table of interactions: by the header's names, else by the possible meanings of the values.

An ambiguous table is an error that names the options to decide it.
"""

import re
from collections.abc import Sequence
from dataclasses import dataclass

from jobs.common.errors import SourceError
from jobs.simulator.interactions.times import is_date, numbers, unit_of

USER, ITEM, RATING, TIME, NONE = "user", "item", "rating", "time", "-"
_NAMES = {
    USER: "user userid useridx uid u usr customer customerid visitor visitorid reviewer reviewerid member memberid "
    "profile profileid player playerid steamid account accountid author authorid from fromnodeid source src reader "
    "person client clientid session sessionid",
    ITEM: "item itemid itemidx iid i movie movieid mid pin pinid product productid parentasin asin book bookid isbn "
    "artist artistid song songid track trackid article articleid anime animeid business businessid game gameid content "
    "contentid post postid video videoid recipe recipeid joke jokeid place placeid venue venueid shop shopid poi poiid "
    "to tonodeid target dst sku goods goodsid news newsid app appid",
    RATING: "rating ratings rate r score scores star stars overall value weight count counts plays playcount feedback "
    "preference pref label vote votes like likes confidence strength interaction reward",
    TIME: "timestamp timestamps ts time t date datetime day unixtime unixreviewtime reviewtime createdat created "
    "createdon savedat eventtime eventtimestamp ratedat ratingtime updatedat at when epoch",
    NONE: "index idx row rownum rowid rownumber no number unnamed0 level0 rn",
}
_ROLES = {name: role for role, names in _NAMES.items() for name in names.split()}
_ROLES[""] = NONE
_PLAIN = {USER: "user userid", ITEM: "item itemid", RATING: "rating", TIME: "timestamp"}
"""Names that win over others of their role."""
FEW = 10
"""Rows from which on 0, 1, 2 … is the number of the row, not a user; and the end of the usual scales of ratings."""
_WIDEST = 4
"""Columns of a table without a header: user, item, rating, time."""
HEAVIEST = 1_000_000
"""A rating or count may be up to this where no header says that it is one."""


@dataclass(frozen=True)
class Roles:
    """The role of each column."""

    of: tuple[str, ...]
    """user, item, rating, time or - of each column."""
    by: str
    """How it was decided, for messages: "header", "position" or "--columns"."""

    def place(self, role: str) -> int | None:
        """Return the index of a role's column, None if there is none."""
        return self.of.index(role) if role in self.of else None


def role_of(name: str) -> str | None:
    """Return the role of a column's name, None if it has none."""
    return _ROLES.get(_bare(name))


def _bare(name: str) -> str:
    """Return a name normalized: lower case, no `_`, quotes, or type suffix as RecBole writes it."""
    return re.sub(r"[\W_]+", "", re.sub(r":(token|float)(_seq)?$", "", name.strip().strip("\"'")).lower())


def is_header(first: Sequence[str], rows: Sequence[Sequence[str]]) -> bool:
    """Return whether the first line is a header: by known names, or as words above columns of values."""
    if any(role_of(name) not in {None, NONE} for name in first if not _is_value(name)):
        return True
    if any(_is_value(name) for name in first):
        return False  # a row, if a damaged one: reading it says where
    words = [at for at, name in enumerate(first) if name.strip()]
    below = [[row[at] for row in rows if at < len(row)] for at in words]
    return bool(words) and any(column and all(map(_is_value, column)) for column in below)


def _is_value(text: str) -> bool:
    return numbers([text]) is not None or is_date(text)


def stated_roles(file: object, columns: str, width: int) -> Roles:
    """Return the roles that --columns states."""
    names = [name.strip().lower() for name in columns.split(",")]
    known = {name: role for name, role in ((n, n if n in {NONE, TIME} else role_of(n)) for n in names) if role}
    if any(name not in known for name in names) or any(known.get(n) != NONE and names.count(n) > 1 for n in names):
        raise SourceError(
            f"--columns must name each column once, of user, item, rating, time and - for others, got {columns!r}."
        )
    of = tuple(known[name] for name in names)
    if USER not in of or ITEM not in of or any(of.count(role) > 1 for role in (USER, ITEM, RATING, TIME)):
        raise SourceError(f"--columns must name one user and one item, at most one rating and time, got {columns!r}.")
    if len(of) != width:
        raise SourceError(f"{file} has {width} columns, --columns names {len(of)}, {columns!r}: use - for others.")
    return Roles(of, "--columns")


def roles_by_header(file: object, header: Sequence[str]) -> Roles | None:
    """Return the roles by a header's names; None if it has no known names.

    Raises:
        SourceError: two columns have one role, or only one of user and item is named.
    """
    found = [role_of(name) or NONE for name in header]
    shown = ", ".join(repr(name) for name in header)
    for role in (USER, ITEM, RATING, TIME):
        plain = [at for at, name in enumerate(header) if _bare(name) in _PLAIN[role].split()]
        if found.count(role) > 1 and len(plain) == 1:
            found = [NONE if one == role and at != plain[0] else one for at, one in enumerate(found)]
        if found.count(role) > 1:
            both = " and ".join(repr(name) for name, one in zip(header, found, strict=True) if one == role)
            raise SourceError(f"{file}: columns {both} can both be the {role}: say which, {example(found, role)}.")
    there = {USER, ITEM} & set(found)
    if len(there) == 2:
        return Roles(tuple(found), "header")
    if not there and not {RATING, TIME} & set(found):
        return None
    (missing,) = {USER, ITEM} - there if there else (f"{USER} and the {ITEM}",)
    left = [at for at, role in enumerate(found) if role == NONE and role_of(header[at]) is None]
    if len(left) == 1 and there:
        found[left[0]] = missing
        return Roles(tuple(found), "header")
    raise SourceError(
        f"{file}: the header names no column that is the {missing} ({shown}): say what each is, such as "
        "--columns user,item,rating,time, with - for others."
    )


def example(found: Sequence[str], role: str) -> str:
    """Return an option that keeps the first of several columns of a role."""
    seen, kept = False, []
    for one in found:
        kept.append(NONE if one == role and seen else one)
        seen = seen or one == role
    return f"such as --columns {','.join(kept)}"


def roles_by_position(file: object, rows: Sequence[Sequence[str]]) -> Roles | None:
    """Return the roles by the columns' values; None where the lines are lists of items.

    Args:
        file: for messages.
        rows: some, all of one length.

    Raises:
        SourceError: there is more than one reading, or none.
    """
    columns = [list(column) for column in zip(*rows, strict=True)]
    kinds = [_kind(column) for column in columns]
    width, counted = len(columns), len(rows) >= FEW and counts_up(columns[0])
    if width < 2:
        raise SourceError(f"{file}: a line must hold a user and an item at least, one reads {rows[0][0][:60]!r}.")
    if "text" in kinds[:2]:
        return Roles((USER, ITEM, *[NONE] * (width - 2)), "position")  # reading them says what is wrong
    start = int(counted and width > 3)
    tail = _TAILS.get(tuple(kinds[start + 2 :]))
    found = Roles((*[NONE] * start, USER, ITEM, *(tail or ())), "position")
    if tail == ():
        return found
    distinct, whole = len(set(columns[0])) == len(rows) > 1, not {"text", "fraction"} & set(kinds)
    if tail and TIME in tail and kinds[start + 1] != "time" and not (start and _like_ratings(columns[2])):
        return found
    if tail and TIME not in tail and not distinct:
        return found
    table = width <= _WIDEST and any(map(_like_ratings, columns[2:]))
    if distinct and whole and not table and not (counted and tail):
        return None
    raise SourceError(_unclear(file, rows[0], whole))


_TAILS = {
    (): (),
    ("time",): (TIME,),
    ("weight",): (RATING,),
    ("weight", "time"): (RATING, TIME),
    ("time", "weight"): (TIME, RATING),
}


def _kind(column: list[str]) -> str:
    found = numbers(column)
    if found is None:
        return "time" if all(map(is_date, column)) else "text"
    if unit_of(found):
        return "time"
    if (found != found.round()).any() or found.min() < 0:
        return "weight" if abs(found).max() <= HEAVIEST else "fraction"
    return "weight" if found.max() <= HEAVIEST else "number"


def counts_up(column: list[str]) -> bool:
    """Return whether a column numbers the rows, from 0 or 1."""
    found = numbers(column)
    return found is not None and found[0] in (0, 1) and bool((found[1:] - found[:-1] == 1).all())


def _like_ratings(column: list[str]) -> bool:
    """Return whether values can be ratings: none above the usual scales."""
    found = numbers(column)
    return found is not None and bool(found.max() <= FEW)


def _unclear(file: object, row: Sequence[str], whole: bool) -> str:
    usual, none = [USER, ITEM, RATING, TIME], [NONE] * len(row)
    options = [f"--columns {','.join([*usual, *none][: len(row)])}"]
    options.append(f"--columns {','.join([NONE, USER, ITEM, TIME, *none][: len(row)])} (- is for others)")
    if whole:
        options.append("--layout lists where a line is a user and the items saved")
    shown = " ".join(row)[:60]
    return (
        f"{file}: cannot determine the {len(row)} columns of lines such as {shown!r} without a header: "
        f"add {', or '.join(options)}."
    )
