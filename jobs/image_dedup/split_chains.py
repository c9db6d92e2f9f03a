"""Clusters from pairs of images, chains split. Numpy, on one executor.

That a is near b, and b near c, does not make a near c: connected components grow along chains until unlike images
share one. So a component is split greedily, as Pinterest's NearDup does (A. Gusev, "Detecting image similarity using
Spark, LSH and TensorFlow", 2018: transitive closure, then a greedy k-cut).

The rule: among the images not yet in a cluster, the one with the most pairs is the centre of the next cluster (the
lowest id on ties). Its partners are visited by (distance, id); each joins if it forms a pair with the centre and with
more than half of the members so far. The others wait for a later cluster.

So every member is within the radius of its centre, and any two members are within twice the radius. Of a ~ b ~ c where
a and c are no pair, two form a cluster and one stays alone. The result does not depend on components: any number may be
split at once, in any combination.
"""

import heapq
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

Ids = NDArray[np.int64]


@dataclass(frozen=True)
class Neighbours:
    """Partners of each image by (distance, number): those of i are at [starts[i]:starts[i + 1]]."""

    starts: Ids
    partners: Ids

    def of(self, one: int) -> Ids:
        """Return the partners of one image."""
        return self.partners[self.starts[one] : self.starts[one + 1]]


def split_chains(left: Ids, right: Ids, distance: NDArray[np.integer]) -> tuple[Ids, Ids]:
    """Return every image of the pairs, ascending, and the centre of its cluster; one left alone is its own centre.

    Args:
        left: [n] ids.
        right: [n] ids, each pair once, in either order.
        distance: [n]; of equal centres the nearer is asked first.
    """
    ids, numbers = np.unique(np.concatenate([left, right]), return_inverse=True)
    one, other = numbers[: len(left)], numbers[len(left) :]
    a, b = np.concatenate([one, other]), np.concatenate([other, one])
    order = np.lexsort((b, np.concatenate([distance, distance]), a))
    starts = np.searchsorted(a[order], np.arange(len(ids) + 1))
    return ids, ids[_centres(Neighbours(starts, b[order]))]


def _centres(near: Neighbours) -> Ids:
    count = len(near.starts) - 1
    centre = np.full(count, -1, np.int64)
    degree = np.diff(near.starts)
    links = np.zeros(count, np.int64)
    # degrees only fall: an image whose degree fell since it was put here is put back with what it has now
    heap = [(-d, i) for i, d in enumerate(degree.tolist())]
    heapq.heapify(heap)
    while heap:
        told, one = heapq.heappop(heap)
        if centre[one] >= 0:
            continue
        if -told != degree[one]:
            heapq.heappush(heap, (-int(degree[one]), one))
            continue
        members = _members(one, near, centre, links)
        centre[members] = one
        for member in members:
            degree[near.of(member)] -= 1
    return centre


def _members(centre: int, near: Neighbours, taken: Ids, links: Ids) -> list[int]:
    """Return the centre and its partners that join; `links` is zero before and after."""
    members = [centre]
    links[near.of(centre)] += 1
    for one in near.of(centre).tolist():
        if taken[one] < 0 and 2 * links[one] > len(members):
            members.append(one)
            links[near.of(one)] += 1
    for member in members:
        links[near.of(member)] = 0
    return members
