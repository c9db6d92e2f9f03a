"""Real posters through hashing, embeddings, near-duplicates and related items, and a page to look at."""
