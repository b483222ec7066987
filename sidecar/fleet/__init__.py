"""Share a quota among daemons: keeps a fleet's ledgers where all of them reach them.

Must not decide who gets how much (`core.leases` does) nor when to ask (`engine.leasing` does).
"""
