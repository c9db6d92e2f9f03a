"""Kafka archives and brokers to bronze and silver."""
