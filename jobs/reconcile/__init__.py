"""Reconciliation: whether a table of the lake, or of another database, is what its source is, by checksums of chunks.

In: a table of silver and its source over the MySQL protocol, or two such sources. Out: the rows that are missing, extra
or different. Only counts and checksums cross the wire, until chunks differ.
"""
