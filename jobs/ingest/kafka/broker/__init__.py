"""Kafka topics read straight from brokers."""
