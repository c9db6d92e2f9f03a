"""Source files from a file of saves: a real data set then goes through the same ingest as a simulated one."""
