"""How pins are cut into blocks, and what one block gives."""

import numpy as np
import pytest

from jobs.knn.index import Index
from jobs.knn.sharded.brute_force import block_edges, neighbour_batch


@pytest.mark.parametrize(("n", "most", "tasks"), [(1, 4096, 2), (1023, 4096, 8), (20_000, 4096, 2), (50_001, 4096, 16)])
def test_blocks_are_whole_even_over_tasks_and_not_too_small(n, most, tasks):
    edges = block_edges(n, most, tasks)
    sizes = np.diff(edges)
    assert edges[0] == 0
    assert edges[-1] == n
    assert sizes.max() <= most
    assert sizes.min() >= min(n, 1000)
    assert sizes.max() - sizes.min() <= 1
    assert n < 1024 * tasks or len(sizes) % tasks == 0


def test_more_copies_than_neighbours_still_leave_self_out_by_id():
    same = np.tile(np.array([[0.6, 0.8]], np.float32), (6, 1))
    batch = neighbour_batch(np.arange(10, 16), np.arange(6), Index(same), 3).to_pydict()
    lists = {pin: [] for pin in range(10, 16)}
    for pin, near in zip(batch["id"], batch["neighbour"], strict=True):
        lists[pin].append(near)
    assert lists == {
        10: [11, 12, 13],
        11: [10, 12, 13],
        12: [10, 11, 13],
        13: [10, 11, 12],
        14: [10, 11, 12],
        15: [10, 11, 12],
    }
    assert batch["rank"] == [1, 2, 3] * 6
    assert set(batch["score"]) == {1.0}


def test_fewer_pins_than_neighbours_give_fewer_rows():
    three = np.eye(3, dtype=np.float32)
    assert neighbour_batch(np.arange(3), np.arange(3), Index(three), 50).num_rows == 6
