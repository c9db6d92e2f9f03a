"""Candidate sources, one module each, all under one contract (contract.py)."""
