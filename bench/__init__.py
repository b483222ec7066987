"""Measure what the daemon promises, on this machine, against the fake AWS: `python -m bench`.

Each module is one figure. Counts are the fake's own request log, compared with the daemon's metrics.
"""
