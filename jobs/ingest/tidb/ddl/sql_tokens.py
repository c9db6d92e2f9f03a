"""The words of a statement: names, texts, signs; and its parts, between parentheses and between commas.

In: a statement as MySQL, TiDB or TiCDC writes it. Out: tokens.
"""

import re
from collections.abc import Iterable, Iterator
from dataclasses import dataclass

TableName = tuple[str, str]

_TOKEN = re.compile(
    r"""(?P<skip>\s+|/\*.*?\*/|--[ ][^\n]*) | `(?P<name>(?:[^`]|``)+)` | '(?P<text>(?:[^'\\]|''|\\.)*)'
      | "(?P<quoted>(?:[^"\\]|""|\\.)*)" | (?P<word>[^\s`'"(),;=]+) | (?P<sign>[(),;=])""",
    re.VERBOSE | re.DOTALL,
)
_ESCAPES = {"n": "\n", "r": "\r", "t": "\t", "0": "\0", "b": "\b", "Z": "\x1a"}


@dataclass(frozen=True)
class Token:
    """One word of a statement; `kind` is name, text, word or sign."""

    kind: str
    value: str

    def __str__(self) -> str:
        return self.value.upper() if self.kind == "word" else ""


def tokens(sql: str) -> Iterator[Token]:
    """Yield the words of a statement, comments left out, up to its semicolon."""
    for match in _TOKEN.finditer(sql):
        kind = match.lastgroup or ""
        if kind == "skip":
            continue
        value = match[kind]
        if kind == "name":
            value = value.replace("``", "`")
        if kind in {"text", "quoted"}:
            kind, value = "text", _unescape(value, kind)
        yield Token(kind, value)
        if kind == "sign" and value == ";":
            return


def _unescape(text: str, kind: str) -> str:
    quote = "'" if kind == "text" else '"'
    found = text.replace(quote * 2, quote)
    return re.sub(r"\\(.)", lambda m: _ESCAPES.get(m[1], m[1]), found, flags=re.DOTALL)


def group(tokens: list[Token], start: int = 0) -> list[Token]:
    """Return the tokens inside the parentheses that open at or after `start`."""
    depth = 0
    inside: list[Token] = []
    for token in tokens[start:]:
        if token == Token("sign", ")"):
            depth -= 1
            if depth == 0:
                return inside
        if depth:
            inside.append(token)
        if token == Token("sign", "("):
            depth += 1
    return inside


def parts(words: list[Token]) -> Iterator[list[Token]]:
    """Yield the parts between commas outside parentheses, up to the semicolon."""
    part: list[Token] = []
    depth = 0
    for token in words:
        if token.kind == "sign":
            depth += (token.value == "(") - (token.value == ")")
            if token.value == ";":
                break
            if token.value == "," and depth == 0:
                if part:
                    yield part
                part = []
                continue
        part.append(token)
    if part:
        yield part


def outside(words: Iterable[Token]) -> list[Token]:
    """Return the words that stand outside parentheses."""
    found, depth = [], 0
    for word in words:
        if word.kind == "sign" and word.value in "()":
            depth += 1 if word.value == "(" else -1
        elif depth == 0:
            found.append(word)
    return found


def qualified(words: list[Token], at: int, schema: str) -> tuple[TableName, int]:
    """Return the table named at `at`, and the place after it; an empty name where the statement ends before."""
    while at < len(words) and str(words[at]) in {"IF", "EXISTS"}:
        at += 1
    words = [*words, *[Token("sign", "")] * (at + 3)]
    name = words[at].value
    if words[at].kind == "word" and "." in name.strip("."):
        owner, _, table = name.partition(".")
        return (owner, table), at + 1
    follow = words[at + 1].value
    if follow == ".":
        return (name, words[at + 2].value), at + 3
    if follow.startswith(".") and words[at + 1].kind == "word":
        return (name, follow[1:]), at + 2
    if name.endswith(".") and words[at].kind == "word":
        return (name[:-1], follow), at + 2
    return (schema, name), at + 1


def statement(sql: str) -> list[Token]:
    """Return the words of the first statement of a text, without the comments and signs before it."""
    text = re.sub(r"\A(\s*/\*.*?\*/)*[\s;]*", "", sql, flags=re.DOTALL)
    return [word for word in tokens(text) if word != Token("sign", ";")]


def alter_parts(words: list[Token]) -> Iterator[list[Token]]:
    """Yield what an ALTER TABLE does, part by part; nothing for any other statement."""
    if [str(word) for word in words[:2]] == ["ALTER", "TABLE"] and len(words) > 3:
        yield from parts(words[qualified(words, 2, "")[1] :])
