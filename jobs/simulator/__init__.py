"""Simulates a Pinterest and writes it as source files: TiDB snapshot and change feed, Kafka archives, images.

    settings -> entities.py (people.py, pins.py) -> behaviour.py, in blocks of six hours -> events, saves
    -> history.py: rows and changes of the source tables -> dumpling.py, ticdc.py; archive.py, kafka.py; images.py

write.py runs it all; interactions/ writes source files from a file of real saves instead. truth.py writes the hidden
attributes for tests. One seed decides everything: the same settings give the same bytes.
"""
