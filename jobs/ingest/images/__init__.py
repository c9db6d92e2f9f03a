"""Images to numbers: hash, colors, style. The bytes stay where they are."""
