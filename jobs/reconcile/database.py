"""One side of a comparison: a table of TiDB, MySQL or MariaDB, read at one moment over the MySQL protocol."""

import os
from collections.abc import Iterable, Sequence
from contextlib import suppress
from dataclasses import dataclass, field
from typing import Any
from urllib.parse import parse_qs, unquote, urlsplit

import pymysql

from jobs.common.errors import ConfigError, SourceError
from jobs.common.redaction import know
from jobs.reconcile.compare import Key, Range, Row, Sum
from jobs.reconcile.texts import Field, checksum_in_mysql, in_ledger, in_mysql, quoted

TOGETHER = 500
"""Rows asked for by their keys at once."""
_INTEGERS = {"tinyint", "smallint", "mediumint", "int", "bigint"}


@dataclass(frozen=True)
class Address:
    """Where a database is, and who asks."""

    host: str
    port: int
    user: str
    password: str = field(repr=False)
    tls: bool = False

    @classmethod
    def parse(cls, text: str, password_from: str) -> "Address":
        """Return the address that `mysql://user@host:port[?tls=true]` or `airflow:CONNECTION` says.

        Args:
            text: the address, without a password.
            password_from: environment variable that holds the password.

        Raises:
            ConfigError: it is of neither form, or carries a password.
        """
        if text.startswith("airflow:"):
            return cls._connection(text.removeprefix("airflow:"))
        parts = urlsplit(text)
        if parts.scheme not in {"mysql", "tidb"} or not parts.hostname:
            raise ConfigError(
                f"A source is mysql://user@host:4000 or airflow:CONNECTION, got {text.rsplit('@', maxsplit=1)[-1]!r}."
            )
        if parts.password is not None:
            know([unquote(parts.password)])
            raise ConfigError(f"A source's address must not carry its password: set {password_from} instead.")
        password = os.environ.get(password_from, "")
        know([password])
        tls = parse_qs(parts.query).get("tls", ["false"])[0] == "true"
        return cls(parts.hostname, parts.port or 4000, unquote(parts.username or "root"), password, tls)

    @classmethod
    def _connection(cls, name: str) -> "Address":
        try:
            from airflow.sdk import BaseHook

            found = BaseHook.get_connection(name)
        except Exception as error:
            raise ConfigError(f"airflow:{name}: there is no such connection ({type(error).__name__}).") from error
        know([found.password or ""])
        return cls(found.host or "", found.port or 4000, found.login or "root", found.password or "")


class Database:
    """A table, read at one moment."""

    def __init__(self, address: Address, name: str, at: int | None = None) -> None:
        """Connect, and find the table's columns and key.

        Args:
            address: where it is.
            name: schema.table.
            at: TSO to read TiDB at; MySQL and MariaDB are read as they are now.

        Raises:
            SourceError: it cannot be reached, or has no such table, or the table no key.
        """
        schema, _, table = name.partition(".")
        self.name = f"{name} at {address.host}:{address.port}"
        self._table = f"{quoted(schema)}.{quoted(table)}"
        self._link = self._connect(address)
        self._begin(at)
        self.fields, self.key = self._columns(schema, table)
        if not self.fields:
            raise SourceError(f"{self.name}: there is no such table, or {address.user} may not read it.")
        if not self.key:
            raise SourceError(f"{self.name}: a table is compared by its key, and this one has none.")
        self._shown: list[Field] = self.fields

    def show(self, fields: Sequence[Field]) -> None:
        """Compare these columns only."""
        self._shown = list(fields)

    @property
    def by_number(self) -> bool:
        """Return whether the key is one integer: then it is a row's place."""
        kinds = {one.name: one.type for one in self.fields}
        return len(self.key) == 1 and kinds[self.key[0]] in _INTEGERS

    def _connect(self, address: Address) -> Any:
        try:
            return pymysql.connect(
                host=address.host, port=address.port, user=address.user, password=address.password,
                charset="utf8mb4", connect_timeout=10, ssl={"check_hostname": True} if address.tls else None,
                init_command="SET time_zone = '+00:00', sql_mode = ''",
            )  # fmt: skip
        except pymysql.MySQLError as error:
            raise SourceError(f"{self.name}: cannot be reached as {address.user}: {_said(error)}.") from error

    def _begin(self, at: int | None) -> None:
        """Fix the moment that is read."""
        tidb = "TiDB" in str(self._ask("SELECT VERSION()")[0][0])
        self.as_of = at if tidb else None
        """commit_ts that is read; None: as it is now."""
        if tidb and at:
            self._ask(f"SET @@tidb_snapshot = '{int(at)}'")
        elif not tidb:
            self._ask("SET SESSION TRANSACTION ISOLATION LEVEL REPEATABLE READ")
            self._ask("START TRANSACTION WITH CONSISTENT SNAPSHOT")

    def _columns(self, schema: str, table: str) -> tuple[list[Field], tuple[str, ...]]:
        columns = self._ask(
            "SELECT COLUMN_NAME, LOWER(DATA_TYPE), COALESCE(DATETIME_PRECISION, 0), COALESCE(NUMERIC_SCALE, 0) "
            "FROM information_schema.COLUMNS WHERE TABLE_SCHEMA = %s AND TABLE_NAME = %s "
            "AND COALESCE(GENERATION_EXPRESSION, '') = '' ORDER BY ORDINAL_POSITION",
            (schema, table),
        )
        keys = self._ask(
            "SELECT INDEX_NAME, COLUMN_NAME, NULLABLE FROM information_schema.STATISTICS "
            "WHERE TABLE_SCHEMA = %s AND TABLE_NAME = %s AND NON_UNIQUE = 0 ORDER BY INDEX_NAME, SEQ_IN_INDEX",
            (schema, table),
        )
        found: dict[str, list[str]] = {}
        for index, column, nullable in keys:
            found.setdefault(index, []).append("" if nullable == "YES" else column)
        whole = {index: names for index, names in found.items() if all(names)}
        key = whole.get("PRIMARY") or next(iter(whole.values()), [])
        return [Field(name, kind, int(fsp), int(scale)) for name, kind, fsp, scale in columns], tuple(key)

    @property
    def _place(self) -> str:
        if self.by_number:
            return quoted(self.key[0])
        kinds = {one.name: one for one in self.fields}
        texts = ", ".join(in_mysql(kinds[name]) for name in self.key)
        return f"CAST(CONV(SUBSTRING(MD5(CONCAT_WS(',', {texts})), 1, 8), 16, 10) AS UNSIGNED)"

    def spread(self) -> Range | None:
        """Return the places there are rows at."""
        if not self.by_number:
            return Range(0, 1 << 32)
        sql = f"SELECT MIN({self._place}), MAX({self._place}) FROM {self._table}"  # noqa: S608 - names are quoted
        ((low, high),) = self._ask(sql)
        return None if low is None else Range(int(low), int(high) + 1)

    def sums(self, ranges: Sequence[Range]) -> dict[Range, Sum]:
        """Return what each range holds."""
        checksum = checksum_in_mysql(self._shown)
        rows = self._ask(
            f"SELECT {chunk_in_sql(self._place, ranges)} AS chunk, COUNT(*), {checksum} "  # noqa: S608 - quoted
            f"FROM {self._table} WHERE {within_sql(self._place, ranges)} GROUP BY chunk"
        )
        return {ranges[int(chunk)]: Sum(int(count), int(value)) for chunk, count, value in rows}

    def rows(self, ranges: Sequence[Range]) -> dict[Key, Row]:
        """Return the rows of ranges."""
        kinds = {one.name: one for one in self.fields}
        keys = [in_mysql(kinds[name]) for name in self.key]
        texts = ", ".join([*keys, *(in_mysql(one) for one in self._shown)])
        sql = f"SELECT {texts} FROM {self._table} WHERE {within_sql(self._place, ranges)}"  # noqa: S608 - names are quoted
        rows = self._ask(sql)
        return {tuple(row[: len(keys)]): tuple(row[len(keys) :]) for row in rows}

    def whole(self, keys: Sequence[Key]) -> dict[Key, tuple[Row, dict[str, str | None]]]:
        """Return rows by their keys: the fields compared, and every column as the ledger writes it.

        Args:
            keys: as `rows` tells them; one that is not there is left out.
        """
        kinds = {one.name: one for one in self.fields}
        texts = [in_mysql(kinds[name]) for name in self.key]
        names, width = [one.name for one in self.fields], len(texts) + len(self._shown)
        columns = ", ".join([*texts, *map(in_mysql, self._shown), *map(in_ledger, self.fields)])
        found = {}
        for at in range(0, len(keys), TOGETHER):
            some = set(keys[at : at + TOGETHER])
            sql = f"SELECT {columns} FROM {self._table} WHERE {self._among(texts, some)}"  # noqa: S608 - quoted
            for row in self._ask(sql):
                # texts may be equal to the server that are not the same: a and A
                if row[: len(texts)] in some:
                    plain = dict(zip(names, row[width:], strict=True))
                    found[row[: len(texts)]] = row[len(texts) : width], plain
        return found

    def _among(self, texts: Sequence[str], keys: Iterable[Key]) -> str:
        """Return the SQL of the condition that a row has one of the keys."""
        if self.by_number:  # as numbers, which an index tells
            return f"{quoted(self.key[0])} IN ({', '.join(str(int(key[0] or 0)) for key in keys)})"
        said = [f"({', '.join(self._link.literal(part) for part in key)})" for key in keys]
        return f"({', '.join(texts)}) IN ({', '.join(said)})"

    def _ask(self, sql: str, values: tuple[Any, ...] = ()) -> list[tuple[Any, ...]]:
        try:
            with self._link.cursor() as cursor:
                cursor.execute(sql, values or None)
                return list(cursor.fetchall())
        except pymysql.MySQLError as error:
            raise SourceError(f"{self.name}: {_said(error)}.") from error

    def traffic(self) -> tuple[int, int]:
        """Return how many bytes the server has sent over this connection, and how many questions it was asked."""
        rows = dict(self._ask("SHOW SESSION STATUS WHERE Variable_name IN ('Bytes_sent', 'Questions')"))
        return int(rows.get("Bytes_sent", 0)), int(rows.get("Questions", 0))

    def close(self) -> None:
        """Let the connection go."""
        with suppress(pymysql.MySQLError):
            self._link.close()


def joined(ranges: Sequence[Range]) -> list[Range]:
    """Return ranges with neighbours put together."""
    whole: list[Range] = []
    for one in sorted(ranges):
        if whole and whole[-1].high == one.low:
            whole[-1] = Range(whole[-1].low, one.high)
        else:
            whole.append(one)
    return whole


def within_sql(place: str, ranges: Sequence[Range]) -> str:
    """Return the SQL of the condition that a place lies in one of the ranges."""
    return " OR ".join(f"({place} >= {one.low} AND {place} < {one.high})" for one in joined(ranges))


def chunk_in_sql(place: str, ranges: Sequence[Range]) -> str:
    """Return the SQL, MySQL's and Spark's alike, of the number of the range that a place lies in.

    Neighbours of one width are told by division, so that a thousand ranges are a few conditions.
    """
    cases, at = [], 0
    while at < len(ranges):
        width, end = ranges[at].high - ranges[at].low, at + 1
        # the last one of a row of neighbours may be narrower
        while end < len(ranges) and _follows(ranges[end], ranges[end - 1], width):
            end += 1
        low, high = ranges[at].low, ranges[end - 1].high
        number = f"{at} + ((CAST({place} AS DECIMAL(20, 0)) - {low}) DIV {width})"
        cases.append(f"WHEN {place} >= {low} AND {place} < {high} THEN {number}")
        at = end
    return f"CASE {' '.join(cases)} END"


def _follows(one: Range, before: Range, width: int) -> bool:
    return one.low == before.high and before.high - before.low == width


def _said(error: Exception) -> str:
    """Return what the server said, without the statement."""
    return str(error.args[1] if len(error.args) > 1 else error).strip().rstrip(".")
