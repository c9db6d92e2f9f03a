"""Gate, generations, stores, reader."""
