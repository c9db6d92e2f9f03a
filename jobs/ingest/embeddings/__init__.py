"""Images to vectors, by a model that the user brings as an ONNX file."""
