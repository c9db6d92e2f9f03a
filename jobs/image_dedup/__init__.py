"""Images that are nearly the same: hashes that differ in few bits, confirmed, and clusters of them that last."""
