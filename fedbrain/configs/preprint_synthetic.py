"""Transfer where patients are few, on three synthetic hospitals.

Sizes are those of the authors' first study: 97, 104 and 100 images. The first experiment is that of
configs/paper_synthetic.py.

Commands:
    fedbrain grid preprint_synthetic
    fedbrain tables runs/preprint_synthetic

Time: not measured alone.

Expect, SYNTHETIC (SDMT, test MAE in points; range over three seeds): federated from brain age, all
layers 7.62 (7.17-7.99), the head alone 8.16 (8.01-8.24); from scratch 8.03 (7.59-8.35). Published,
other people (medRxiv 2023.04.22.23288741): shallow transfer from a model of Wood et al. (2022),
9.04, 10.59, 10.71, overall 10.13 points.
"""

from fedbrain.configs import paper_synthetic

PATIENTS = {"brussels": ("amber", 97), "greifswald": ("birch", 104), "prague": ("cedar", 100)}


def get_config():
    """As the large one, with fewer patients and more rounds."""
    config = paper_synthetic.get_config()
    patients = "synthetic({!r}, subjects={}, ms=True, label='sdmt')"
    config.second.sites = {name: patients.format(*site) for name, site in PATIENTS.items()}
    config.second.rounds = 20
    maes = {"brussels": 9.04, "greifswald": 10.59, "prague": 10.71, "all": 10.13}
    federated = {site: {"mae": mae} for site, mae in maes.items()}
    config.published = {"shallow": {"federated": federated}}
    config.source = "medRxiv 2023.04.22.23288741; other people, other images"
    return config
