"""Rows of any TiDB source as ledger batches."""
