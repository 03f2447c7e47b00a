"""A run between hospitals: messages, the server, the sites, the network engine."""
