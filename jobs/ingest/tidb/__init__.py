"""TiDB exports and change feeds to bronze and silver."""
