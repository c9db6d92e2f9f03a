"""What every package may use: errors, logs, locks, redaction, intervals."""
