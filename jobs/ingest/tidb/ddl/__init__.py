"""SQL statements: their tokens, and the columns, keys and partitions that they define."""
