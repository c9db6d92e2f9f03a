"""What an online service installs: value format, stores, reader."""
