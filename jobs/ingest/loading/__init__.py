"""Taking source files into bronze exactly once: files, batches, manifest, rows for the ledger."""
