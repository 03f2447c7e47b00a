"""What the server and the sites share: jobs, messages, and the checks of messages."""
