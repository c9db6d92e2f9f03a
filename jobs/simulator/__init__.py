"""A made-up Pinterest that writes real source files: TiDB snapshot and change feed, Kafka archives, images.

truth.py and names.py say what is hidden below; people.py and pins.py make who and what; behaviour.py lets them act,
block of hours by block; history.py turns all of it into rows and changes of the source tables; dumpling.py, ticdc.py
and kafka.py write the formats; images.py draws. write.py does it in order, interactions.py does it from a file of
saves instead. Everything is decided by one seed: the same settings give the same bytes.
"""
