"""Between hospitals: what crosses the network, and what is let in."""
