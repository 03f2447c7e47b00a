"""One experiment by several processes: they start, talk and end together."""
