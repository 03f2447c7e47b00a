"""A site of a run: what it agrees to, its answers, its own record."""
