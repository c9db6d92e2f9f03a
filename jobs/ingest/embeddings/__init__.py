"""Image embeddings by a user-supplied ONNX model."""
