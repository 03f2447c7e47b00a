"""A synthetic cohort for trying and testing the software.

Every number made from it is labelled synthetic.
"""
