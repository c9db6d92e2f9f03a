"""Embeddings, nearest neighbours, related pins."""
