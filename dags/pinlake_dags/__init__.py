"""What the DAG files are built from: assets, tasks, sentences, retries. Imports no Spark."""
