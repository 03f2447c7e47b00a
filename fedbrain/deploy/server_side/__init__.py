"""The server of a run: its rounds, their supervision, the report at the end."""
