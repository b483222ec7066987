"""Be AWS on the laptop: one or more accounts over AWS's own wire protocol, a thin layer over moto.

Used by `sidecar dev`, by the tests and by the benchmarks. Must not be imported by the daemon.
"""
