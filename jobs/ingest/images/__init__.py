"""Images to numbers: hash, colours, style. The bytes stay where they are."""
