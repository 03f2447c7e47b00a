"""Configurations that come with fedbrain: `fedbrain train quickstart`.

In a clone they are also at the top, as `configs/`.
"""
