"""What a source table is, and how it goes through its DDL."""
