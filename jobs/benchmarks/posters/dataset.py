"""Data set of the posters' benchmark: images of films by id, ratings, titles and genres if available.

In: a folder with a tar of `<film id>.jpg`; NCF's MovieLens files (`*.train.rating.gz` and
`item_index_to_movie_id.tsv.gz`); MovieLens' own `movies.dat`. Out: arrays, and files laid out as pins' images are.
"""

import hashlib
import tarfile
from dataclasses import dataclass, field
from pathlib import Path

import numpy as np
import pyarrow as pa
import pyarrow.csv as pcsv
from numpy.typing import NDArray

from jobs.common.errors import SourceError

Rows = NDArray[np.int64]
RATINGS, INDEX, MOVIES = "*.train.rating.gz", "item_index_to_movie_id.tsv.gz", "movies.dat"


@dataclass(frozen=True)
class Film:
    """Title and genres of a film."""

    title: str
    genres: frozenset[str]


@dataclass(frozen=True)
class Given:
    """The data set."""

    ids: Rows
    """[n] films with a poster, ascending."""
    signatures: list[str]
    """[n] digests of their files."""
    users: Rows
    """[m] who rated."""
    films: Rows
    """[m] what, of `ids` alone."""
    known: dict[int, Film] = field(default_factory=dict)


def given(data: Path, images: Path, ratings: Path | None = None) -> Given:
    """Return the data set, with its posters stored below `images` as `<first two digits>/<digest>.jpg`.

    Args:
        data: folder with the tar, and movies.dat if there is one.
        images: folder to write into.
        ratings: folder of NCF's files; None looks into `data` and into ml-1m-ncf beside it.

    Raises:
        SourceError: no tar, one without posters, or ratings that are named and not there.
    """
    tars = sorted(data.glob("*.tar"))
    if not tars:
        raise SourceError(f"{data} must hold a tar of posters named <film id>.jpg, and holds none. Name its folder.")
    signatures = _unpacked(tars[0], images)
    if not signatures:
        raise SourceError(f"{tars[0]} must hold posters named <film id>.jpg, and holds none. Name another folder.")
    ids = np.array(sorted(signatures), np.int64)
    users, films = _ratings(data, ratings)
    has = np.isin(films, ids)
    return Given(ids, [signatures[one] for one in ids.tolist()], users[has], films[has], _films(data / MOVIES))


def _unpacked(tar: Path, images: Path) -> dict[int, str]:
    found: dict[int, str] = {}
    with tarfile.open(tar) as archive:
        for member in archive:
            stem, _, ending = Path(member.name).name.rpartition(".")
            file = archive.extractfile(member) if ending == "jpg" and stem.isdigit() else None
            if file is None:
                continue
            raw = file.read()
            found[int(stem)] = name = hashlib.md5(raw, usedforsecurity=False).hexdigest()
            path = images / name[:2] / f"{name}.jpg"
            path.parent.mkdir(parents=True, exist_ok=True)
            path.write_bytes(raw)
    return found


def _ratings(data: Path, named: Path | None) -> tuple[Rows, Rows]:
    """Return users and films of the ratings, empty without any."""
    for folder in [named] if named else [data, data.parent / "ml-1m-ncf"]:
        files = sorted(folder.glob(RATINGS))
        if files and (folder / INDEX).is_file():
            index, pairs = _columns(folder / INDEX, 2), _columns(files[0], 4)
            film_of = np.full(int(index[0].max()) + 1, -1, np.int64)
            film_of[index[0]] = index[1]
            return pairs[0], film_of[pairs[1]]
    if named:
        raise SourceError(f"{named} must hold {RATINGS} and {INDEX}, and lacks one of them. Leave --ratings out.")
    return np.empty(0, np.int64), np.empty(0, np.int64)


def _columns(path: Path, count: int) -> list[Rows]:
    names = [str(number) for number in range(count)]
    told = pcsv.ReadOptions(column_names=names), pcsv.ParseOptions(delimiter="\t")
    kinds = pcsv.ConvertOptions(column_types={name: pa.int64() for name in names[:2]})
    table = pcsv.read_csv(path, *told, kinds)
    return [table[name].to_numpy() for name in names[:2]]


def _films(path: Path) -> dict[int, Film]:
    if not path.is_file():
        return {}
    lines = [line.split("::") for line in path.read_text("latin-1").splitlines() if line.count("::") == 2]
    return {int(number): Film(title, frozenset(genres.split("|"))) for number, title, genres in lines}
