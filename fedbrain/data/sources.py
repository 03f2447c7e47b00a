"""The table of sites: everything that `config.sites` can name."""

from fedbrain.data.sites import arrays, bids
from fedbrain.data.synthetic.site import synthetic

SITES = {"bids": bids, "arrays": arrays, "synthetic": synthetic}
