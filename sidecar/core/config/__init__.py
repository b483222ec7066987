"""Read the configuration: every text that sets something goes in, a `Config` or all problems at once come out.

Pure: files are read and users looked up by whoever calls. Import its modules by name: `models` and `loading`
need pydantic, which a client that only looks for the socket (`layers.socket_path`) does without.
"""
