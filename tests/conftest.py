"""What every test stands on: the virtual clock is installed before any loop is made."""

import asyncio

# looptime patches new event loops; pytest-asyncio would otherwise find one that was made before it.
asyncio.set_event_loop(None)
