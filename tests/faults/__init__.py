"""Faults, injected into parts of the system and into the whole of it."""
