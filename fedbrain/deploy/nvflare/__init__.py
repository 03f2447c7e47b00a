"""The network engine, behind four files: a job's two classes, the kits of a consortium, a session with the server."""
