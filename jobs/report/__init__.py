"""One page a run: `pinlake report`. Reads ops and gold tables by delta-rs and the store by its reader; no Spark.

page.py assembles the page: run_snapshot.py selects the runs, headline.py writes the first screen, layout.py and
flow_diagram.py draw the flow; quality.py, related.py, neighbours.py, funnel.py, input_faults.py and samples.py fill one
section each; plots.py draws charts. feed_page.py writes the page of one feed.
"""
