"""Publishes a generation: gate, load, verify, promote; the fallback feeds; rollback and diff."""
