"""The network engine: the two classes of a job, the kits of a consortium, a session with the
server.
"""
