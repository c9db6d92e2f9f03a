"""Related pins: signals per pin pair, blended lists, evaluation."""
