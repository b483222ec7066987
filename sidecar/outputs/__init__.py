"""Hand secrets to programs that cannot ask: files, and whoever is to be told that they have changed.

Must not decide what is fresh, nor ask AWS: it reads what the engine holds, and keeps to it.
"""
