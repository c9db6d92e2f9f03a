"""Sources of candidates, one file each, all under one contract."""
