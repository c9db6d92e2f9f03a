"""Nearest neighbours: exact and approximate, on one machine and sharded."""
