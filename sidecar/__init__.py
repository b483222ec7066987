"""Fetch, cache and serve AWS secrets to the program beside you."""

__version__ = "0.1.0"
