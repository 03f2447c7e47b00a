r"""Transfer on real scans: brain age, then two other targets of the same people.

The three hospitals are those of configs/ixi_hh.py. Five seeds are the five parts of a
cross-validation: everybody is tested once, by models of both experiments that were not trained on
them. `sex` is a class, so its MAE is the share of people put into the wrong one.

Commands:
    python -m tools.region_volumes --bids=TREE --pipeline=dlmuse --output=volumes.tsv \
        --region=ventricles_ml:4,11,49,50,51,52
    fedbrain grid ixi_hh_transfer:FILE.npz,volumes.tsv \
        --workdir=runs/ixi_hh_transfer
    fedbrain tables runs/ixi_hh_transfer

Time: half an hour on one core.

Expect, on 141 adults (range over seeds): brain age 8.16 years (6.70-10.24); ventricles, MAE in mL,
deep 1.94 (1.10-2.99), shallow 5.59 (4.80-7.44), scratch 1.88 (1.37-2.34), median predictor 7.03;
sex, share in the wrong class, deep .23 (.19-.26), shallow .41 (.23-.59), scratch .18 (.10-.30).
"""

from fedbrain.configs import grid, ixi_hh

TARGETS = {
    "ventricles": {
        "unit": "mL",
        "loss": "l1(centre=25.0, scale=15.0)",
        "baselines": ("linear('age', 'sex')", "linear('age', model='{first}')"),
    },
    "sex": {"loss": "cross_entropy(('F', 'M'))"},
}
LABELS = {"ventricles": "ventricles_ml", "sex": "sex"}


def get_config(files: str = ","):
    """Files: `FILE.npz,TABLE.tsv`."""
    volumes, table = files.split(",")
    config = grid.get_config()
    config.seeds = 5
    rows = config.rows.to_dict()
    config.rows = {}
    for experiment in (config.first, config.second):
        experiment.update(ixi_hh.get_config())
        experiment.rounds = 25
        experiment.splits.repeats = 1
        experiment.splits.stratify = "age"
        experiment.partition = "by_target(clients=3, overlap=1.0, column='age')"
        experiment.prepare = "conform(voxel_size_mm=6.0, shape=(28, 32, 28), mask='nonzero')"
        experiment.regimes = ("federated",)
    config.first.sites = {"hh": f"arrays({volumes!r})"}
    config.second.initial = "run('{first}', head=False)"
    for target, fields in TARGETS.items():
        sites = {"hh": f"arrays({volumes!r}, label={LABELS[target]!r}, table={table!r})"}
        for row, more in rows.items():
            config.rows[f"{target}_{row}"] = {**fields, "sites": sites, **more}
    return config
