"""The conversion of a column's values when its type changes: the rules by kind of the old and the new type.

In: a column before and after the statement. Out: the steps that jobs/history/conversions.py carries out on older
values, none where every value stays as it is, or None where TiDB's conversion is not supported.
"""

from collections.abc import Callable

from jobs.history.conversions import Step
from jobs.ingest.tidb.ddl.source_column import SourceColumn

Steps = tuple[Step, ...]
_BITS = {"TINYINT": 8, "SMALLINT": 16, "MEDIUMINT": 24, "INT": 32, "BIGINT": 64}
_BYTES = {"TINY": 255, "": 65_535, "MEDIUM": 16_777_215, "LONG": 4_294_967_295}
_LIMITS = {f"{size}{family}": most for size, most in _BYTES.items() for family in ("TEXT", "BLOB")}
_PLAIN_FLOAT = {"FLOAT": {None, 12}, "DOUBLE": {None, 22}}
"""Lengths in the schema file of FLOAT and DOUBLE without digits of their own."""
_UNKNOWN = 1 << 62


def conversion_steps(old: SourceColumn, now: SourceColumn) -> Steps | None:
    """Return what older values go through when `old` becomes `now`; None where the conversion is not supported."""
    if "VECTOR" in {old.type, now.type} or (now.type == "JSON" and old.type != "JSON"):
        return () if (old.type, old.length) == (now.type, now.length) or _is_looser_vector(old, now) else None
    between = _BETWEEN.get((old.kind, now.kind))
    return between(old, now) if between else None


def _is_looser_vector(old: SourceColumn, now: SourceColumn) -> bool:
    return old.type == now.type == "VECTOR" and now.length is None


def _range(column: SourceColumn) -> tuple[int, int]:
    bits = _BITS[column.type]
    return (0, 2**bits - 1) if column.unsigned else (-(2 ** (bits - 1)), 2 ** (bits - 1) - 1)


def _whole(now: SourceColumn) -> Steps:
    return (("whole", *_range(now)),)


def _int_to_int(old: SourceColumn, now: SourceColumn) -> Steps:
    (low, high), (least, most) = _range(old), _range(now)
    return () if least <= low and high <= most else _whole(now)


def _decimal(now: SourceColumn) -> Steps:
    return (("decimal", now.length or 10, now.scale or 0, now.unsigned),)


def _int_to_decimal(old: SourceColumn, now: SourceColumn) -> Steps:
    if now.scale:
        return _decimal(now)
    most = 10 ** (now.length or 10) - 1
    low, high = _range(old)
    least = 0 if now.unsigned else -most
    return () if least <= low and high <= most else (("whole", least, most),)


def _decimal_to_decimal(old: SourceColumn, now: SourceColumn) -> Steps:
    whole, kept = ((c.length or 10) - (c.scale or 0) for c in (old, now))
    same = (old.scale or 0) == (now.scale or 0) or (now.spark != "string" and (old.scale or 0) < (now.scale or 0))
    return () if same and whole <= kept and now.unsigned <= old.unsigned else _decimal(now)


def _decimal_text(old: SourceColumn) -> Steps:
    return (("rounded", old.scale or 0),)


def _real(now: SourceColumn) -> Steps | None:
    """Return how a number becomes FLOAT or DOUBLE; one with digits of its own is rounded in ways of its own."""
    if now.length not in _PLAIN_FLOAT[now.type] or now.scale:
        return None
    found: Steps = (("double",),) if now.type == "DOUBLE" else (("float",),)
    return (*found, ("positive",)) if now.unsigned else found


def _from_real(old: SourceColumn) -> Steps:
    return (("widened",),) if old.type == "FLOAT" else (("unscaled",),)


def _real_to_real(old: SourceColumn, now: SourceColumn) -> Steps | None:
    # a schema file tells the length alone of FLOAT(10,2)
    other = now.length != old.length or (now.scale and old.scale and now.scale != old.scale)
    if old.type == now.type and (now.length in _PLAIN_FLOAT[now.type] or not other):
        return () if now.unsigned <= old.unsigned else (("positive",),)
    found = _real(now)
    return None if found is None else (*_from_real(old), *found)


def _limit(column: SourceColumn) -> tuple[int, int]:
    """Return the most characters and bytes that a text column's values have."""
    if column.type in _LIMITS:
        most = min(_LIMITS[column.type], column.length or _UNKNOWN)
        return most, most
    return column.length or _UNKNOWN, 4 * (column.length or _UNKNOWN)


def _fits(now: SourceColumn) -> Steps:
    """Return what text goes through that comes into a text column."""
    if now.type in _LIMITS:
        return (("bytes", _limit(now)[1]),)
    if now.length is None:
        return (("strip",),) if now.type == "CHAR" else ()
    return (("chars", now.length), ("strip",)) if now.type == "CHAR" else (("chars", now.length),)


def _text_to_text(old: SourceColumn, now: SourceColumn) -> Steps:
    if old.type == now.type and old.type in {"JSON", "VECTOR"}:
        return ()
    (chars, most), (room, space) = _limit(old), _limit(now)
    enough = most <= space if now.type in _LIMITS else chars <= room
    if enough:
        return (("strip",),) if now.type == "CHAR" != old.type else ()
    return tuple(step for step in _fits(now) if step != ("strip",) or old.type != "CHAR")


def _to_text(*before: Step) -> Callable[[SourceColumn, SourceColumn], Steps]:
    return lambda _, now: (*before, *_fits(now))


def _short_to_text(old: SourceColumn, now: SourceColumn) -> Steps:
    """Return how a value becomes text whose length its type limits."""
    widest = {"date": 10, "int": 20}.get(old.kind) or _longest_names(old)
    chars, space = _limit(now)
    return () if widest <= (space // 4 if now.type in _LIMITS else chars) else _fits(now)


def _longest_names(old: SourceColumn) -> int:
    return len(",".join(old.members)) if old.members else _UNKNOWN


def _names_to_names(rule: str) -> Callable[[SourceColumn, SourceColumn], Steps | None]:
    def steps(old: SourceColumn, now: SourceColumn) -> Steps | None:
        if not now.members:
            return () if old.members == now.members else None
        # values are kept by name; a SET lists its names in the order of the definition
        kept = [name for name in now.members if name in old.members] == list(old.members)
        if old.members and kept if rule == "set" else old.members and set(old.members) <= set(now.members):
            return ()
        return ((rule, *now.members),)

    return steps


def _numbered(rule: str) -> Callable[[SourceColumn, SourceColumn], Steps | None]:
    """Return how the name of an ENUM or SET becomes a number."""

    def steps(old: SourceColumn, now: SourceColumn) -> Steps | None:
        rest = _whole(now) if now.kind == "int" else _decimal(now) if now.kind == "decimal" else _real(now)
        return ((rule, *old.members), *rest) if old.members and rest is not None else None

    return steps


def _named(now: SourceColumn, *rule: str) -> Steps | None:
    return ((*rule, *now.members),) if now.members else None


def _bits(now: SourceColumn) -> Steps:
    return (("whole", 0, 2 ** (now.length or 1) - 1),)


def _bit_to_bit(old: SourceColumn, now: SourceColumn) -> Steps:
    return () if (old.length or 1) <= (now.length or 1) else _bits(now)


def _bytes_to_bytes(old: SourceColumn, now: SourceColumn) -> Steps:
    if (old.type, old.length) == (now.type, now.length):
        return ()
    if now.type == "BINARY":
        return (("padded", now.length or 1),)
    most = _limit(now)[0]
    return () if _limit(old)[0] <= most else (("hex", most),)


def _text_to_bytes(_: SourceColumn, now: SourceColumn) -> Steps:
    fits: Step = ("padded", now.length or 1) if now.type == "BINARY" else ("hex", _limit(now)[0])
    return (("to_bytes",), fits)


def _rescaled(rule: str) -> Callable[[SourceColumn, SourceColumn], Steps]:
    def steps(old: SourceColumn, now: SourceColumn) -> Steps:
        less, more = (now.scale or 0) < (old.scale or 0), (now.scale or 0) > (old.scale or 0)
        # TIME is text in silver, with as many digits as its type has
        return ((rule, now.scale or 0),) if less or (rule == "clock" and more) else ()

    return steps


def _stamped(_: SourceColumn, now: SourceColumn) -> Steps | None:
    rest = _whole(now) if now.kind == "int" else _decimal(now) if now.kind == "decimal" else _real(now)
    return None if rest is None else (("stamp",), *rest)


def _real_to(make: Callable[[SourceColumn], Steps | None], *more: Step) -> Callable[..., Steps | None]:
    def steps(old: SourceColumn, now: SourceColumn) -> Steps | None:
        rest = make(now)
        return None if rest is None else (*_from_real(old), *more, *rest)

    return steps


def _real_text(old: SourceColumn, now: SourceColumn) -> Steps:
    return (("single",) if old.type == "FLOAT" else ("unscaled",), *_fits(now))


_BETWEEN: dict[tuple[str, str], Callable[[SourceColumn, SourceColumn], Steps | None]] = {
    ("int", "int"): _int_to_int,
    ("int", "decimal"): _int_to_decimal,
    ("int", "float"): lambda _, now: _real(now),
    ("int", "text"): _short_to_text,
    ("int", "bit"): lambda _, now: _bits(now),
    ("int", "enum"): lambda _, now: _named(now, "named"),
    ("int", "year"): lambda *_: (("year",),),
    ("decimal", "decimal"): _decimal_to_decimal,
    ("decimal", "int"): lambda _, now: (("rounded",), *_whole(now)),
    ("decimal", "float"): lambda _, now: _real(now),
    ("decimal", "text"): lambda old, now: (*_decimal_text(old), *_fits(now)),
    ("float", "float"): _real_to_real,
    ("float", "decimal"): _real_to(_decimal),
    ("float", "int"): _real_to(_whole, ("even",)),
    ("float", "text"): _real_text,
    ("text", "text"): _text_to_text,
    ("text", "int"): lambda _, now: (("parsed",), *_whole(now)),
    ("text", "decimal"): lambda _, now: _decimal(now),
    ("text", "float"): lambda _, now: _real(now),
    ("text", "enum"): lambda _, now: _named(now, "members"),
    ("text", "set"): lambda _, now: _named(now, "set"),
    ("text", "binary"): _text_to_bytes,
    ("text", "date"): lambda *_: (("date",),),
    ("text", "datetime"): lambda _, now: (("real_moment", now.scale or 0),),
    ("text", "time"): lambda _, now: (("clock", now.scale or 0),),
    ("text", "year"): lambda *_: (("year",),),
    ("binary", "binary"): _bytes_to_bytes,
    ("binary", "text"): _to_text(("to_text",)),
    ("bit", "bit"): _bit_to_bit,
    ("bit", "int"): lambda _, now: _whole(now),
    ("bit", "decimal"): lambda _, now: _decimal(now),
    ("enum", "enum"): _names_to_names("members"),
    ("set", "set"): _names_to_names("set"),
    ("enum", "text"): _short_to_text,
    ("set", "text"): _short_to_text,
    **{("enum", kind): _numbered("index") for kind in ("int", "decimal", "float")},
    **{("set", kind): _numbered("mask") for kind in ("int", "decimal", "float")},
    ("year", "year"): lambda *_: (),
    ("year", "int"): lambda _, now: _whole(now),
    ("year", "decimal"): lambda _, now: _decimal(now),
    ("year", "text"): lambda _, now: (("year",), *_fits(now)),
    ("date", "date"): lambda *_: (),
    ("date", "datetime"): lambda _, now: (("midnight", now.scale or 0),),
    ("date", "text"): _short_to_text,
    ("datetime", "datetime"): _rescaled("moment"),
    ("datetime", "date"): lambda *_: (("date",),),
    ("datetime", "time"): lambda _, now: (("daytime",), ("clock", now.scale or 0)),
    ("datetime", "text"): lambda old, now: (("moment", old.scale or 0), *_fits(now)),
    ("timestamp", "timestamp"): _rescaled("moment"),
    ("time", "time"): _rescaled("clock"),
    ("time", "text"): lambda old, now: (("clock", old.scale or 0), *_fits(now)),
    **{(kind, number): _stamped for kind in ("date", "datetime", "time") for number in ("int", "decimal", "float")},
}
