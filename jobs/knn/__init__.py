"""Nearest neighbours: exact and approximate, on one machine; sharded on Spark in jobs.knn.sharded."""
