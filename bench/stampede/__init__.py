"""Start many daemons at once under one quota of AWS's, and count what it costs: `python -m bench.stampede`.

The limiter, the backoff, the poller and the allocation are the project's own, the retry modes beside them botocore's
own. Only AWS is a model (`cloud`), and only time is (`loop`). Must not measure how fast this machine is:
nothing here depends on it, and the same seed gives the same table.
"""
