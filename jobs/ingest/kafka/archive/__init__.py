"""Kafka archives: layouts, file formats, from messages to event tables."""
