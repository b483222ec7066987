"""Hand secrets to programs that cannot ask: files, and the environment of a child.

Must not decide what is fresh, nor ask AWS: values come from the engine, or from a daemon by way of its client.
"""
