"""Dumpling's exports: what is in them, how their files are read."""
