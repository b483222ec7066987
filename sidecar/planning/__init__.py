"""Answer before anything runs: what a configuration will ask of AWS, what that costs, and whether it fits.

Pure: the configuration in, numbers out. Must not ask AWS, nor start anything; the daemon and `sidecar plan` read it.
"""
