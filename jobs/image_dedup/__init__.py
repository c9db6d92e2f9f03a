"""Near-duplicate images: pairs of near perceptual hashes, confirmed by embeddings, in clusters with stable ids."""
