"""From the outside world to bronze and silver."""
