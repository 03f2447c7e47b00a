"""The network engine, behind a few files: a job's two classes, the kits of a consortium, a session
with the server.
"""
