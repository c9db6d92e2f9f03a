"""Nearest neighbours of pins: index, lists, recall audit, and search by an image."""
