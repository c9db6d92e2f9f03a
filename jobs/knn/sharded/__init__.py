"""Nearest neighbours of more vectors than one machine holds: shards of an inverted file, searched by Spark tasks."""
