"""Answer local programs on the Unix socket, and probes and scrapes on the ops listener.

Must not decide what is fresh, nor ask AWS: it asks the engine and writes what it finds.
"""
