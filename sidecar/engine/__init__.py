"""Keep declared secrets fresh in memory, asking AWS as rarely as possible.

Must not speak HTTP or AWS: it is handed Sources, a clock and dice, and hands out Lookups.
"""
