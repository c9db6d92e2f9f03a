"""Runs jobs: plan, inputs, runner, run history, spark-submit."""
