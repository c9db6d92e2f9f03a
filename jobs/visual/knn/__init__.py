"""Nearest rows of a matrix, exact or list by list: a library of the platform, and a command of its own."""
