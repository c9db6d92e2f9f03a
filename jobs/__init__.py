"""pinlake: TiDB change logs and Kafka archives in; checked, explained home feeds and related pins out.

    ingest      files of TiCDC, Dumpling, Kafka archives -> bronze (all that arrived) -> silver (state at a checkpoint)
    features    silver -> gold.interactions, pin_stats, user_profile
    candidates  features -> gold.cf_factors, trending, candidates (one partition a source)
    ranking     candidates -> gold.ranker, ranked -> home_feed, feed_drops; evaluations a horizon later
    neighbours, image_dedup, related   embeddings and co-saves -> gold.related_pins
    publish     home_feed, related_pins -> gate -> generation -> store, one pointer
    validate    every table, before its commit

The list of all jobs is jobs/flow.py, the registry of all tables jobs/schema/tables.py.
"""
