"""Hand secrets to programs that cannot ask: files, whoever is to be told of them, and the environment of a child.

Must not decide what is fresh, nor ask AWS: values come from the engine, or from a daemon by way of its client.
"""
