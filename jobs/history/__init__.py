"""Tables as of a time: ledger, lineage, conversions."""
