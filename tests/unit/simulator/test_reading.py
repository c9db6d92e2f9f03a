"""Files of interactions as people have them: read as they are meant, or refused with the field and a next step."""

import bz2
import gzip
import lzma
from datetime import UTC, datetime
from pathlib import Path

import numpy as np
import pyarrow as pa
import pyarrow.parquet as pq
import pytest
import zstandard
from hypothesis import given
from hypothesis import strategies as st
from typer.testing import CliRunner

from jobs.benchmarks.quality import K, direct, filled, find, judge, read_pairs, settings_for
from jobs.common.errors import ConfigError, SourceError
from jobs.settings import Settings
from jobs.simulator.interactions.read import Layout, ReadOptions, read_interactions
from jobs.simulator.interactions.write import write_interactions

RNG = np.random.default_rng(0)
ROWS = [
    (user, int(item), int(RNG.integers(1, 6)), 1_600_000_000 + int(RNG.integers(0, 86_400 * 20)))
    for user in range(10, 40)
    for item in RNG.choice(np.arange(100, 160), 8, replace=False)
]
PAIRS = {(u, i) for u, i, _, _ in ROWS}
AT = {(u, i): t for u, i, _, t in ROWS}


def at(t, form="%Y-%m-%dT%H:%M:%S"):
    return datetime.fromtimestamp(t, UTC).strftime(form)


def text(rows, sep=",", head="", end="\n"):
    return "".join(line + end for line in ([head] if head else []) + [sep.join(map(str, row)) for row in rows])


def uit(of=lambda t: t, **how):
    return text([(u, i, of(t)) for u, i, _, t in ROWS], **how)


def uirt(of=lambda r: r, **how):
    return text([(u, i, of(r), t) for u, i, r, t in ROWS], **how)


def read(tmp_path, body, layout=Layout.AUTO, **asked):
    file = tmp_path / "file"
    file.write_bytes(body if isinstance(body, bytes) else body.encode())
    return read_interactions(file, layout, ReadOptions(**asked))


def pairs_of(found):
    return list(zip(found.user.tolist(), found.item.tolist(), strict=True))


TIMED = {
    "plain": uit(),
    "byte order mark": b"\xef\xbb\xbf" + uit().encode(),
    "byte order mark and header": b"\xef\xbb\xbf" + uit(head="user,item,ts").encode(),
    "utf-16": uit().encode("utf-16"),
    "utf-16 without a mark": uit(head="user,item,time").encode("utf-16-le"),
    "utf-16 big": uit(sep="\t").encode("utf-16-be"),
    "utf-32": uit().encode("utf-32"),
    "cr lf": uit(end="\r\n"),
    "cr": uit(end="\r"),
    "last line without an end": uit()[:-1],
    "blank lines": uit().replace("\n", "\n\n"),
    "tabs": uit(sep="\t"),
    "bars": uit(sep="|"),
    "semicolons": uit(sep=";", head="user;item;time"),
    "two colons": uirt(sep="::"),
    "blanks": uit(sep="   "),
    "comma and blank": uit(sep=", "),
    "a comma ends each line": uit(end=",\n"),
    "a comma ends the header too": uit(head="user,item,timestamp", end=",\n"),
    "a comma ends all but the header": "user,item,timestamp\n" + uit(end=",\n"),
    "a comma ends the header alone": "user,item,timestamp,\n" + uit(),
    "quotes": text([(f'"{u}"', f'"{i}"', f'"{t}"') for u, i, _, t in ROWS]),
    "quoted header": uit(head='"userId","movieId","timestamp"'),
    "rating": uirt(head="userId,movieId,rating,timestamp"),
    "half stars": uirt(lambda r: r - 0.5, head="userId,movieId,rating,timestamp"),
    "decimal commas": uirt(lambda r: f"{r},5", sep=";", head="user;item;score;date"),
    "time before rating": text([(u, i, t, r) for u, i, r, t in ROWS], head="user,item,timestamp,rating"),
    "other order": text([(t, i, r, u) for u, i, r, t in ROWS], head="ts\titem_id\trating\tuser_id", sep="\t"),
    "unnamed time before rating": text([(u, i, t, r) for u, i, r, t in ROWS]),
    "pandas index": text([(k, u, i, t) for k, (u, i, _, t) in enumerate(ROWS)], head=",user,item,timestamp"),
    "read twice by pandas": text([(k, u, i, t) for k, (u, i, _, t) in enumerate(ROWS)], head="Unnamed: 0,u,i,t"),
    "index without header": text([(k, u, i, t) for k, (u, i, _, t) in enumerate(ROWS)]),
    "names of rows as R writes": text(
        [(f'"{k}"', u, i, t) for k, (u, i, _, t) in enumerate(ROWS, 1)], sep=" ", head='"user" "item" "time"'
    ),
    "recbole": text([(u, i, r, t) for u, i, r, t in ROWS], sep="\t",
                    head="user_id:token\titem_id:token\trating:float\ttimestamp:float"),
    "konect": "% bip weighted\n% 240 30 60\n" + uirt(sep=" "),
    "a comment names the columns": "# user item timestamp\n" + uit(sep=" "),
    "a title in Latin-1": ("user,item,ts,title\n" + uit(end=",caf@\n")).encode().replace(b"@", b"\xe9"),
    "more columns": text([(f'"A, b {u}"', u, i, t) for u, i, _, t in ROWS], head="title,user,item,ts"),
    "floats": text([(float(u), float(i), float(t)) for u, i, _, t in ROWS], head="user,item,timestamp"),
    "seconds with parts": uit(lambda t: f"{t}.25"),
    "milliseconds": uit(lambda t: t * 1000 + 123),
    "microseconds": uit(lambda t: t * 10**6 + 1),
    "nanoseconds": uit(lambda t: t * 10**9 + 1),
    "iso": uit(at, head="u,i,t"),
    "iso with a zone": uit(lambda t: at(t + 7200) + "+02:00", head="u,i,t"),
    "iso with a blank": uit(lambda t: at(t, "%Y-%m-%d %H:%M:%S")),
    "digits": uit(lambda t: at(t, "%Y%m%d%H%M%S")),
    "gzip": gzip.compress(uit().encode()),
    "bzip2": bz2.compress(uit().encode()),
    "xz": lzma.compress(uit().encode()),
    "zstd": zstandard.ZstdCompressor().compress(uit().encode()),
}  # fmt: skip


@pytest.mark.parametrize("kind", TIMED)
def test_what_can_be_understood_is_read_as_it_is_meant(tmp_path, kind, monkeypatch):
    whole = read(tmp_path, TIMED[kind])
    assert pairs_of(whole) == [(u, i) for u, i, _, _ in ROWS]
    assert (whole.ts // 1000).tolist() == [t for _, _, _, t in ROWS]
    monkeypatch.setattr("jobs.simulator.interactions.text.BLOCK", 999)
    in_blocks = read(tmp_path, TIMED[kind])
    assert in_blocks.ts.tolist() == whole.ts.tolist()
    assert "240 rows" in in_blocks.notes


NAMES = {
    "user": ["user", "userId", "USER_ID", "uid:token", '"User ID"'], "item": ["item", "movieId", "product_id", "isbn"],
    "rating": ["rating", "Score", "stars"], "time": ["timestamp", "ts", "rated_at", "date"],
    "-": ["", "Unnamed: 0", "title", "comment"],
}  # fmt: skip
TIMES = {"s": lambda t: t, "ms": lambda t: t * 1000, "ns": lambda t: t * 10**9, "iso": at,
         "z": lambda t: at(t, "%Y-%m-%d %H:%M:%S") + "Z"}  # fmt: skip


@given(st.data())
def test_any_make_of_a_named_table_gives_the_same(tmp_path_factory, data):
    draw, folder = data.draw, tmp_path_factory.getbasetemp()
    more = draw(st.lists(st.sampled_from(["rating", "time", "-"]), unique=True))
    columns = draw(st.permutations(["user", "item", *more]))
    unit, sep = draw(st.sampled_from(sorted(TIMES))), draw(st.sampled_from([",", ";", "\t", "|", "::"]))
    quoted, least = draw(st.booleans()), draw(st.sampled_from([None, 2, 4]))
    rows = draw(st.lists(st.sampled_from(ROWS), min_size=3, max_size=40))
    shown = {"user": lambda r: r[0], "item": lambda r: r[1], "rating": lambda r: r[2] - 2, "-": lambda _: "x y",
             "time": lambda r: TIMES[unit](r[3])}  # fmt: skip
    fields = [[shown[column](row) for column in columns] for row in rows]
    if quoted:
        fields = [[f'"{field}"' for field in row] for row in fields]
    head = sep.join(draw(st.sampled_from(NAMES[column])) for column in columns)
    body = text(fields, sep, head, draw(st.sampled_from(["\n", "\r\n", "\r"])))
    raw = body.encode(draw(st.sampled_from(["utf-8", "utf-8-sig", "utf-16", "utf-16-le"])))
    has = "rating" in columns
    kept = [r for r in rows if not has or (r[2] > 2 if least is None else r[2] - 2 >= least)]
    packed = draw(st.sampled_from([bytes, gzip.compress]))(raw)
    if not kept:
        with pytest.raises(SourceError, match="no save"):
            read(folder, packed, min_rating=least if has else None)
        return
    found = read(folder, packed, min_rating=least if has else None)
    assert pairs_of(found) == [(r[0], r[1]) for r in kept]
    if "time" in columns:
        assert (found.ts // 1000).tolist() == [r[3] for r in kept]
    assert f"{len(rows):,} rows" in found.notes


def test_days_are_midnight(tmp_path):
    for form in ("%Y%m%d", "%Y-%m-%d"):
        found = read(tmp_path, uit(lambda t, form=form: at(t, form), head="u,i,day"))
        assert found.ts.tolist() == [t // 86_400 * 86_400_000 for _, _, _, t in ROWS]


@pytest.mark.parametrize(
    "body",
    [
        text([(u, i) for u, i, _, _ in ROWS]),
        text([(u, i, r) for u, i, r, _ in ROWS], head="user,item,rating"),
        text([(u, i, r) for u, i, r, _ in ROWS]),
        text([(u, i, r * 1000) for u, i, r, _ in ROWS], sep="\t"),
        text([(u, i, r, 0) for u, i, r, _ in ROWS], head="user,item,rating,timestamp"),
        text([(k, u, i) for k, (u, i, _, _) in enumerate(ROWS)], head=",user,item"),
    ],
)
def test_without_times_there_are_none(tmp_path, body):
    found = read(tmp_path, body)
    assert pairs_of(found) == [(u, i) for u, i, _, _ in ROWS]
    assert not found.ts.any()


def test_a_rating_of_zero_or_less_is_no_save_and_is_counted(tmp_path):
    for body in (
        text([(u, i, -1 if r < 3 else 1) for u, i, r, _ in ROWS]),
        text([(u, i, t, 0 if r < 3 else 0.5) for u, i, r, t in ROWS], head="user,item,time,rating"),
    ):
        found = read(tmp_path, body)
        assert pairs_of(found) == [(u, i) for u, i, r, _ in ROWS if r >= 3]
        assert f"{sum(r < 3 for _, _, r, _ in ROWS)} rows with a rating of 0 or less are no saves" in found.notes
    high = read(tmp_path, uirt(), min_rating=4)
    assert pairs_of(high) == [(u, i) for u, i, r, _ in ROWS if r >= 4]
    assert any("below 4" in line for line in high.notes)
    for body in (uit(), "1 2 3 4\n5 6\n7 8 9 10 11\n"):
        with pytest.raises(SourceError, match="--min-rating"):
            read(tmp_path, body, min_rating=1)
    unrated = read(tmp_path, "user,item,rating\n1,2,\n1,3,NaN\n1,4,-3\n")
    assert pairs_of(unrated) == [(1, 2), (1, 3)]


def test_lists_are_lists_whatever_their_lengths(tmp_path):
    of = {u: [i for v, i, _, _ in ROWS if v == u] for u in range(10, 40)}
    for lengths in (lambda _: 3, lambda u: 2 + u % 5, lambda u: u % 5, lambda _: 7):
        wanted = [(u, i) for u in of for i in of[u][: lengths(u)]]
        found = read(tmp_path, text([(u, *of[u][: lengths(u)]) for u in of], sep=" "))
        assert (pairs_of(found), found.layout) == (wanted, Layout.LISTS)
    assert any("6 users have no items" in line for line in
               read(tmp_path, text([(u, *of[u][: u % 5]) for u in of], sep=" ")).notes)  # fmt: skip
    packed = read(tmp_path, "".join(f"{u}\t{' '.join(map(str, of[u]))}\n" for u in of))
    assert pairs_of(packed) == [(u, i) for u in of for i in of[u]]


def test_the_caller_may_say_what_the_columns_are(tmp_path):
    body = text([(r, i, 7, u) for u, i, r, _ in ROWS])
    found = read(tmp_path, body, columns="rating,item,-,user")
    assert pairs_of(found) == [(u, i) for u, i, _, _ in ROWS]
    headed = read(tmp_path, "movie,product,user\n1,2,3\n4,5,6\n", columns="-,item,user")
    assert pairs_of(headed) == [(3, 2), (6, 5)]
    for columns, words in (("user,item", "has 4 columns"), ("user,thing,-,-", "name each column once"),
                           ("user,user,item,-", "once"), ("user,-,-,-", "one user and one item")):  # fmt: skip
        with pytest.raises(SourceError, match=words):
            read(tmp_path, body, columns=columns)


BASE = [f"{u},{i},{r},{t}" for u, i, r, t in ROWS]


def but(number, line, head=None):
    """Return the rows with another one at a line."""
    lines = [head, *BASE] if head else list(BASE)
    lines[number - 1] = line
    return "\n".join(lines) + "\n"


NAMED = "user,item,rating,timestamp"
REFUSED = {
    "one short line": (but(1, "10,100,4"), r"line 1 has 3 fields, others have 4"),
    "a short line far below": (but(200, "10,100", NAMED), r"line 200 has 2 fields, others have 4"),
    "a long line": (but(7, "10,100,4,1600000000,1"), r"line 7 has 5 fields"),
    "a word": (but(9, "10,abc,4,1600000000", NAMED), r"line 9: column 2 'item'.*item.*whole number, got 'abc'"),
    "half an id": (but(9, "10,4.5,4,1600000000", NAMED), r"line 9: column 2 'item'.*got '4\.5'"),
    "an id below zero": (but(3, "-1,100,4,1600000000", NAMED), r"line 3: column 1 'user'.*got -1"),
    "no id": (but(3, ",100,4,1600000000", NAMED), r"line 3: column 1 'user'.*got ''"),
    "a time of another unit": (but(5, "10,100,4,1600000000000", NAMED), r"line 5: column 4 'timestamp'.*in seconds"),
    "no time": (but(5, "10,100,4,", NAMED), r"line 5: column 4 'timestamp'.*got ''.*leave the times out"),
    "a time of zero": (but(5, "10,100,4,0"), r"line 5|cannot determine"),
    "a rating that is a word": (but(5, "10,100,good,1600000000", NAMED), r"line 5: column 3 'rating'.*'good'"),
    "a header in the middle": (but(50, NAMED, NAMED), r"line 50: column 1 'user'.*got 'user'"),
    "texts as ids": (text([(f"A{u}", f"B{i}", r) for u, i, r, _ in ROWS]), r"column 1.*'A10'.*number users and items"),
    "times that are none": (text([(u, i, k) for k, (u, i, _, _) in enumerate(ROWS)], head="user,item,timestamp"),
                            r"column 3 'timestamp'.*must be a time between 1980 and 2038"),
    "a damaged first line": (but(1, "abc,100,4,1600000000"), r"line 1: column 1.*'abc'"),
    "ticks of .NET": (uit(lambda t: (t + 62_135_596_800) * 10**7, head="u,i,t"), "must be a time between 1980"),
    "a day that is none": (uit(lambda t: 20_201_399 if t % 7 == 0 else 20_201_009, head="u,i,t"), "in yyyymmdd like"),
    "a date of another kind": (uit(lambda t: at(t, "%d.%m.%Y"), head="u,i,t"), r"ISO 8601\), got '\d\d\.\d\d\.2020'"),
    "an id in Latin-1": (but(4, "10,caf@,4,1600000000").encode().replace(b"@", b"\xe9"), r"line 4: column 2.*'caf.'"),
    "an open quote": (uit(head="user,item,ts", end=",x\n").replace(",x\n11,", ',"x\n11,', 1)[:-2] + '"x\n',
                      "line 9 has a quote that is not closed"),
    "a field of two lines": ('user,item,text\n1,2,"a\nb"\n1,3,c\n', "line 3 has 1 fields"),
    "tar": (bytes(257) + b"ustar" + bytes(99), "is a tar"),
    "two items": (text([(u, i, i) for u, i, _, _ in ROWS], head="user,movie,product"), r"'movie' and 'product'.*item"),
    "no item": (text([(u, i, i) for u, i, _, _ in ROWS], head="user,one,two"), r"no column that is the item.*'one'"),
    "shorter header": (text([(u, i, r, t) for u, i, r, t in ROWS], head="user,item"), r"names 2 columns.*have 4"),
    "one name too few": (text(ROWS, head="user,item,time"), r"names 3 columns.*have 4"),
    "rows or users": (text([(k, u, i) for k, (u, i, _, _) in enumerate(ROWS)]), r"cannot determine.*--columns -,user"),
    "lists or ratings": (text([(u, u + 1, u % 5) for u in range(20, 30)]), r"--columns user,item.*--layout lists"),
    "five columns": (text([(u, i, r, r, t) for u, i, r, t in ROWS]), r"5 columns.*--columns"),
    "one field": ("1\n2\n3\n", "a user and an item"),
    "all refused": ("user,item,rating\n1,2,0\n", "no save: all 1 rows"),
    "nothing": ("", "no pair"),
    "a header alone": ("user,item\n", "no pair"),
    "truncated gzip": (gzip.compress(uit().encode())[:-40], "ends early"),
    "damaged gzip": (b"\x1f\x8b" + bytes(300), "cannot be read|ends early"),
    "truncated xz": (lzma.compress(uit().encode())[:-40], "ends early"),
    "half a character": (uit().encode("utf-16")[:-1], "ends within a character"),
    "zip": (b"PK\x03\x04" + bytes(40), "is a zip"),
    "json": ('{"user": 1, "item": 2}\n', "is JSON"),
    "bytes": (bytes(range(256)) * 4, "no text"),
    "cut parquet": (b"PAR1" + bytes(50), "Parquet"),
}  # fmt: skip


@pytest.mark.parametrize("kind", REFUSED)
def test_what_is_damaged_or_has_two_readings_is_refused_with_the_field(tmp_path, kind):
    body, words = REFUSED[kind]
    with pytest.raises(SourceError, match=words) as caught:
        read(tmp_path, body)
    assert str(caught.value).isprintable()


def test_parquet_is_read_by_its_columns_whatever_its_name_and_types(tmp_path):
    u, i, r, t = (list(column) for column in zip(*ROWS, strict=True))
    moments = pa.array([one * 1_000_000 for one in t], pa.timestamp("us", "UTC"))
    tables = [
        pa.table({"item_id": i, "user_id": pa.array(u, pa.uint32()), "timestamp": t}),
        pa.table(
            {"__index_level_0__": range(240), "user": list(map(str, u)), "item": list(map(float, i)), "t": moments}
        ),
        pa.table({"user": u, "movie": i, "rating": r, "date": [at(one) for one in t]}),
    ]
    for table in tables:
        pq.write_table(table, tmp_path / "file.csv", row_group_size=50)
        found = read_interactions(tmp_path / "file.csv")
        assert pairs_of(found) == [(a, b) for a, b, _, _ in ROWS]
        assert (found.ts // 1000).tolist() == t
    pq.write_table(pa.table({"user": u, "item": [None, *i[1:]]}), tmp_path / "file")
    with pytest.raises(SourceError, match="row 1: column 2 'item'"):
        read_interactions(tmp_path / "file")


def test_a_world_tells_what_was_understood_and_leaves_nothing_where_it_fails(tmp_path, monkeypatch):
    file = tmp_path / "f.csv"
    file.write_text(uirt(head=NAMED) + "10,100,-1,1600000000\n" + BASE[0] + "\n")
    summary = write_interactions(file, Settings(), tmp_path / "out")
    assert summary.saves == 240
    told = "\n".join(summary.told)
    for words in ("commas", "'timestamp' is the time, in seconds", "242 rows", "1 rows with a rating of 0 or less",
                  "240 saves of 30 users", "1 pairs are repeated", "from 2020-09-13T"):  # fmt: skip
        assert words in told
    again = write_interactions(file, Settings(), tmp_path / "out")
    assert (again.found, again.told) == (True, summary.told)
    assert not write_interactions(file, Settings(), tmp_path / "out", options=ReadOptions(min_rating=4)).found

    def broken(*_, **__):
        raise OSError("no room")

    monkeypatch.setattr("jobs.simulator.interactions.write.write_feed", broken)
    for folder in ("new", "out"):
        with pytest.raises(OSError, match="no room"):
            write_interactions(file, Settings(), tmp_path / folder)
    assert [p for p in tmp_path.rglob("*") if p.is_file()] == [file]


def test_quality_reads_its_files_as_the_platform_does(tmp_path):
    (tmp_path / "train.csv").write_text(
        "userId,movieId,rating,timestamp\n1,2,5,978300760\n1,3,4,978300761\n2,3,-1,978300762\n"
    )
    (tmp_path / "test.txt").write_bytes(b"\xef\xbb\xbf1 4\r\n2 3\r\n")
    assert pairs_of(read_pairs(find(tmp_path, "train"))) == [(1, 2), (1, 3)]
    assert pairs_of(read_pairs(find(tmp_path, "test"))) == [(1, 4), (2, 3)]
    with pytest.raises(SourceError, match="no such file"):
        read_pairs(find(tmp_path / "none", "train"))


def test_places_that_implicit_could_not_fill_are_no_hits():
    rng = np.random.default_rng(0)
    train = np.array([(u, i) for u in range(10) for i in rng.choice(11, 6, replace=False)] + [(9, 11)])
    seen = set(map(tuple, train.tolist()))
    known = np.unique(train[:, 1]).tolist()
    test = np.array([(u, i) for u in range(10) for i in known if (u, i) not in seen])
    users, lists = direct(train, settings_for(Settings(), 8).candidates.collaborative, 1)
    assert lists.shape == (10, K)
    for user, line in zip(users, lists, strict=True):
        listed = line[line >= 0].tolist()
        assert len(listed) == len(set(listed)) == len(known) - len({i for u, i in seen if u == user})
        assert not {(int(user), i) for i in listed} & seen
    whole = judge("x", users, lists, test, 0)
    assert whole.recall == pytest.approx(1.0)
    assert 0 < whole.ndcg <= 1
    repeated = np.full((1, K), 3)
    assert judge("x", np.array([1]), repeated, np.array([(1, 3), (1, 4)]), 0).recall == pytest.approx(0.5)
    assert filled(np.array([[1, 2]])).tolist() == [[1, 2] + [-1] * (K - 2)]


def test_a_folder_of_this_name_is_not_a_file(tmp_path):
    with pytest.raises(SourceError, match="is not a file"):
        read_interactions(Path(tmp_path))


def test_the_command_says_what_it_read_and_takes_the_options_its_messages_name(tmp_path):
    import jobs.cli.run  # noqa: F401 - registers the command
    from jobs.cli.context import app

    (tmp_path / "f.txt").write_text("1 5 7\n2 5 6\n3 9 8\n")
    command = ["world", "--from-interactions", str(tmp_path / "f.txt"), "--out", str(tmp_path / "out")]
    unclear = CliRunner().invoke(app, command)
    assert isinstance(unclear.exception, SourceError)
    assert "--layout lists" in str(unclear.exception)
    assert not (tmp_path / "out").exists()
    lists = CliRunner().invoke(app, [*command, "--layout", "lists"])
    assert (lists.exit_code, "6 saves of 3 users and 5 items" in lists.output) == (0, True)
    rated = CliRunner().invoke(app, [*command, "--columns", "user,item,rating", "--min-rating", "7"])
    assert "2 saves of 2 users and 2 items" in rated.output
    assert isinstance(CliRunner().invoke(app, ["world", "--layout", "lists"]).exception, ConfigError)
