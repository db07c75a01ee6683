"""The daemon's memory: a hash-chained journal and the tables made from it, in one SQLite file (ORD-1, CORE-12)."""
