"""The measurement of reconciling, on a small table: what it plants is found, and nearly nothing crosses the wire."""

import pytest

from jobs.benchmarks import reconcile
from jobs.reconcile.database import Address

pytestmark = pytest.mark.spark


def test_planted_differences_are_found_with_few_rows_fetched(lake, mariadb):
    address, rows = Address("127.0.0.1", mariadb, "reader", "pw-reader"), 12_000
    reconcile.prepare(address, rows)
    try:
        costs = reconcile.measure(lake, address, rows)
    finally:
        reconcile.clean(address)
    assert [(cost.rows, cost.found) for cost in costs] == [(rows, 3), (rows, 3)]
    for cost in costs:
        assert 0 < cost.fetched < rows / 100
        assert 0 < cost.sent < 200_000
    assert "| two databases | 12,000 |" in "\n".join(reconcile.table(costs))
