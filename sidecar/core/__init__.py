"""Decide: the data, the errors, the ports, and pure functions of (state, now, dice).

Must not wait, read a clock, draw a number, log, or touch the machine: whoever calls passes these in.
"""
