"""One page a run: `pinlake report`. Reads ops and gold tables by delta-rs and the store by its reader; no Spark.

tables.py opens tables, moment.py picks the runs a report is of, layout.py lays out the flow; quality.py, funnel.py,
intake.py and samples.py each fill one section; plots.py draws, headline.py says it in words, page.py puts it together.
"""
