"""Raw scans to images that a network can compare: without bias field, without skull, in MNI space.

    raw scan -> N4 -> affine to a template -> brain mask -> one sampling onto a grid in MNI space

The result is a BIDS derivative, with numbers about the quality of every scan and a page to look at.
"""
