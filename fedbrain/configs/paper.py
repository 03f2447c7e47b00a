r"""The two published tables: brain age at three centres, then SDMT in multiple sclerosis.

The second one has a row for every starting point and depth.

Commands:
    fedbrain grid paper \
        --site brussels=/data/IXI --site greifswald=/data/SALD --site prague=/data/CamCAN \
        --second_site brussels=/data/MS1,label=sdmt:score,columns.age=age,columns.sex=sex \
        --second_site greifswald=/data/MS2,label=sdmt:score,columns.age=age,columns.sex=sex \
        --second_site prague=/data/MS3,label=sdmt:score,columns.age=age,columns.sex=sex
    fedbrain tables runs/paper

Time: not measured; docs/reproduction.md computes the first stage.

Expect, published: see `config.published` below. Not run by us: these data are not public.
configs/paper_synthetic.py is the same on synthetic hospitals.
"""

from fedbrain.configs import brain_age, grid, sdmt

CENTRES = ("brussels", "greifswald", "prague")


def get_config():
    """Three seeds of the first experiment and of six rows."""
    config = grid.get_config()
    config.first = brain_age.get_config()
    config.first.sites = {name: "bids('')" for name in CENTRES}
    config.second = sdmt.get_config()
    config.second.initial = "run('{first}', head=False)"
    columns = "columns={'age': 'age', 'sex': 'sex'}"
    config.second.sites = {
        name: f"bids('', label='phenotype/sdmt:score', {columns})" for name in CENTRES
    }
    config.second.baselines = ("linear('age', 'sex')", "linear('age', model='{first}')")
    config.rows.update(
        {
            "after_transition3": {"trainable": "after('transition3')"},
            "after_transition2": {"trainable": "after('transition2')"},
            "scratch_shallow": {"initial": "random()", "trainable": "only_head()"},
        }
    )
    config.published = {
        "first": {
            "federated": {
                "brussels": {"r": 0.88},
                "greifswald": {"r": 0.91},
                "prague": {"r": 0.93},
                "all": {"mae": 6.08},
            },
            "centralised": {"all": {"mae": 7.02}},
        },
        "deep": {
            "federated": {
                "brussels": {"mae": 10.71, "r": 0.25},
                "greifswald": {"mae": 9.67, "r": 0.40},
                "prague": {"mae": 8.98, "r": 0.50},
                "all": {"mae": 9.19},
            }
        },
        "shallow": {"federated": {"all": {"mae": 11.05}}},
    }
    article = "Frontiers in Digital Health 2026, doi 10.3389/fdgth.2026.1691088"
    config.source = f"{article}; other people, other images"
    return config
