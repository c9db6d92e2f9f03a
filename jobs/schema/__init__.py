"""What a table, a column and a job are. Imports no Spark."""
