"""Answer before anything runs: what a configuration will ask of AWS, what that costs, whether it fits, what to grant.

Pure: the configuration in, numbers and policies out. Must not ask AWS, nor start anything; the daemon reads the
numbers, commands print both.
"""
