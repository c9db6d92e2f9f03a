"""Image files to features: decoding, metadata, perceptual hash, colors, style."""
