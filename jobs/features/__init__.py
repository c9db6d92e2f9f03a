"""From silver to signals: interactions, pin statistics, user profiles."""
