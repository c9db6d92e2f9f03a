"""The posters' model, figures and page, on a handful of images that are made here."""

import io
import time

import numpy as np
import pytest
from PIL import Image

from jobs.benchmarks.posters.dataset import Film, Given, given
from jobs.benchmarks.posters.figures import genres_shared, rated_together, share
from jobs.benchmarks.posters.model import HEIGHT, WIDTH, learn
from jobs.benchmarks.posters.page import chosen, doubled, shares, write_page
from jobs.benchmarks.posters.pipeline import Through
from jobs.common.errors import SourceError
from jobs.ingest.embeddings.model import Model, stored
from jobs.ingest.images.decode import Frame, decode, decode_framed
from jobs.ingest.images.features import features
from jobs.knn.join import knn_join
from jobs.settings.ingest import Embeddings
from tests.posters import KINDS, PIXELS, drawn, jpeg, packed

SEED = 20261101


@pytest.fixture
def posters(tmp_path):
    """A folder as --data names it: nine posters, the first under two films more, and a file that is none."""
    folder = tmp_path / "posters"
    folder.mkdir()
    files = {f"{number}.jpg": jpeg(drawn(kind, number)) for number, kind in KINDS.items()}
    packed(folder / "some.tar", files | {"20.jpg": files["1.jpg"], "readme.txt": b"words"})
    return folder


@pytest.fixture
def data(posters, tmp_path):
    (posters / "movies.dat").write_text("1::One & Two (1990)::Comedy|Drama\n4::Four::War\n", "latin-1")
    return given(posters, tmp_path / "images")


@pytest.fixture(scope="module")
def look(tmp_path_factory):
    path = tmp_path_factory.mktemp("look") / "look.onnx"
    path.write_bytes(learn(PIXELS, SEED))
    return Model(path, Embeddings())


def made_of(data, model, tmp_path):
    """Return what the jobs would: features, neighbours, the two films of one file together."""
    images = [decode((tmp_path / "images" / s[:2] / f"{s}.jpg").read_bytes(), 1 << 20) for s in data.signatures]
    told = features(images)
    rows = [
        {"pin_id": film, "image_signature": data.signatures[at], "phash": int(told.phash.view(np.int64)[at]),
         "style": told.style[at], "colors": told.colors[at], "saves": film}
        for at, film in enumerate(data.ids.tolist())
    ]  # fmt: skip
    where = [list(KINDS).index(film) if film in KINDS else 0 for film in data.ids.tolist()]
    near = knn_join(stored(model.embed(PIXELS[where]))[0], data.ids, 8, metric="cosine")
    related = {2: [{"related_pin_id": 3, "similarity": 0.5, "co_saves": 7, "reason": "both"}]}
    counts, seconds = {"embedded": len(rows)}, {"embed": 1.0}
    return Through(rows, near, {1: 1, 20: 1}, related, counts, seconds, model.version)


def test_the_look_tells_textures_apart_whatever_their_colors(tmp_path):
    kinds = np.array(["down", "across", "spots"] * 12)
    many = np.stack([drawn(kind, 100 + number) for number, kind in enumerate(kinds)])
    (tmp_path / "look.onnx").write_bytes(learn(many, SEED))
    assert learn(many, SEED) == (tmp_path / "look.onnx").read_bytes(), "the same images and seed, the same bytes"
    vectors = stored(Model(tmp_path / "look.onnx", Embeddings()).embed(many))[0].astype(np.float32)
    likeness = vectors @ vectors.T
    np.fill_diagonal(likeness, -1)
    assert (kinds[likeness.argmax(axis=1)] == kinds).mean() > 0.9


def test_a_poster_saved_again_is_nearer_than_any_other(look):
    again = np.asarray(Image.open(io.BytesIO(jpeg(PIXELS[0], 60))).convert("RGB"))
    vectors = stored(look.embed(np.stack([again, *PIXELS])))[0].astype(np.float32)
    likeness = vectors[1:] @ vectors[0]
    assert likeness[0] > 0.95 > likeness[1:].max()


def test_data_is_read_with_what_there_is(data, tmp_path):
    assert data.ids.tolist() == [*KINDS, 20]
    assert data.signatures[0] == data.signatures[-1]
    assert data.known[1] == Film("One & Two (1990)", frozenset({"Comedy", "Drama"}))
    assert not len(data.users)
    assert len(list((tmp_path / "images").glob("*/*.jpg"))) == 9
    with pytest.raises(SourceError, match="tar of posters"):
        given(tmp_path, tmp_path / "images")
    with pytest.raises(SourceError, match="index_to_movie"):
        given(tmp_path / "posters", tmp_path / "images", ratings=tmp_path)


def test_what_is_shared_is_held_against_chance():
    ids = np.arange(40)
    genre = {film: Film("", frozenset({"War" if film < 20 else "Love"})) for film in range(40)}
    queries, others = (
        np.repeat(ids, 3),
        (np.repeat(ids, 3) + np.tile([2, 4, 6], 40)) % 20 + 20 * (np.repeat(ids, 3) >= 20),
    )
    found = share(queries, others, genres_shared(ids, genre), SEED)
    assert (found.found, found.pairs) == (1.0, 120)
    assert found.chance == pytest.approx(0.5, abs=0.1)
    users = np.repeat(np.arange(30), 4)
    films = (np.repeat(np.arange(30) % 10, 4) * 4 + np.tile(np.arange(4), 30)) % 40
    together = rated_together(Given(ids, [""] * 40, users, films))
    assert together(np.array([0, 0, 0]), np.array([1, 3, 4])).tolist() == [True, True, False]
    assert not rated_together(Given(ids, [""] * 40, users[:0], films[:0]))


def test_the_page_stands_alone_and_shows_each_film_with_and_without_its_double(data, look, tmp_path):
    made = made_of(data, look, tmp_path)
    assert doubled(made) == [1]
    assert set(chosen(made, [1])) == set(KINDS) - {1}
    figures = write_page(data, made, tmp_path / "images", tmp_path / "page.html")
    text = (tmp_path / "page.html").read_text()
    assert "<script" not in text
    assert "http" not in text.replace("http-equiv", "")
    assert text.count("data:image/jpeg;base64,") == 9, "each file once, however often it is shown"
    assert "One &amp; Two (1990)" in text
    with_double, without = text.split("Near-duplicates left out")[:2]
    assert with_double.count("the same<") == 1
    assert "Film 20" not in without.split("</ol>")[0]
    assert "look + 7" in text
    assert figures["groups"] == 1
    assert set(shares(data, made)) == {"genre"}


@pytest.mark.slow
def test_real_posters_twice_there_are_found_and_neighbours_are_rated_together_more_than_by_chance(shared, tmp_path):
    begun = time.process_time()
    found = given(shared / "data/ml-1m-posters", tmp_path / "images", shared / "data/ml-1m-ncf")
    assert (len(found.ids), len(found.known)) == (3256, 0)
    some = found.ids <= 1200
    shape = Frame(HEIGHT, WIDTH)
    files = [tmp_path / "images" / s[:2] / f"{s}.jpg" for s, take in zip(found.signatures, some, strict=True) if take]
    pixels = np.stack([decode_framed(file.read_bytes(), 1 << 20, shape) for file in files])
    (tmp_path / "look.onnx").write_bytes(learn(pixels, SEED))
    vectors, faults = stored(Model(tmp_path / "look.onnx", Embeddings()).embed(pixels))
    assert not any(faults)
    near = knn_join(vectors, found.ids[some], 10, metric="cosine")
    best = {film: (near.neighbours[at], near.scores[at]) for film, at in zip(near.ids, near.offsets, strict=False)}
    assert best[433] == (681, pytest.approx(1, abs=1e-3)), "one poster under two films"
    assert best[571] == (769, pytest.approx(0.97, abs=0.03)), "placeholders"
    queries = np.repeat(np.flatnonzero(some), np.diff(near.offsets))
    one = share(queries, np.searchsorted(found.ids, near.neighbours), rated_together(found), SEED)
    assert one.times > 1.5
    assert time.process_time() - begun < 60
