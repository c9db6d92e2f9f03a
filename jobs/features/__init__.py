"""Features: interactions, pin statistics, user profiles."""
