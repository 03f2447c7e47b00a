"""The way of a newcomer from three BIDS trees to a model of SDMT, a command after the other.

Each step is what is typed behind `fedbrain`, in a folder of one's own that holds `mine.py`, beside
the folder `data` with the trees of `trees`. `--site NAME=FOLDER,ARGUMENT=VALUE` says where a site
keeps what: the ages stand in another table at each of them, under another name.
"""

AGES = [
    "--site", "lyon=data/lyon,label=participants:age_at_scan,pipeline=hdbet",
    "--site", "bern=data/bern,label=sessions:age_years",
    "--site", "graz=data/graz,label=scans:Alter",
]  # fmt: skip

# The score of every site, and two further columns by the names that the baseline uses.
SCORES = [
    "--site",
    "lyon=data/lyon,label=sdmt:score,pipeline=hdbet,columns.age=age_at_scan,columns.sex=sex",
    "--site", "bern=data/bern,label=phenotype/sdmt:score,columns.age=age_years,columns.sex=sex",
    "--site", "graz=data/graz,label=phenotype/sdmt:score,columns.age=Alter,columns.sex=sex",
]  # fmt: skip

# step -> (the words behind `fedbrain`, what its output says among other things)
STEPS = {
    # Nothing is trained: which scans are used, what will be warned of, what it will take.
    "check": (
        ["check", "mine.py", *AGES, "--output=look"],
        "bern: 24 scans found, 24 kept, 0 left out",
    ),
    "train": (
        ["train", "mine.py", *AGES, "--workdir=runs/age"],
        "Results, figures and models: runs/age",
    ),
    "train, once more": (
        ["train", "mine.py", *AGES, "--workdir=runs/age", "--quiet"],
        "Results, figures and models: runs/age",
    ),
    "predict a tree": (
        ["predict", "runs/age", "--bids=data/graz", "--label=Alter", "--output=ages.tsv"],
        "12 predictions of 1 models in ages.tsv, in years",
    ),
    "predict one image": (
        ["predict", "runs/age", "--image=data/bern/sub-01/ses-1/anat/sub-01_ses-1_T1w.nii.gz"],
        " years",
    ),
    "transfer to SDMT": (
        [
            "train", "mine.py", *SCORES, "--workdir=runs/sdmt",
            "--config.initial=run('runs/age', head=False)", "--config.unit=points",
            "--config.trainable=only_head()", "--config.covariates=(\"scaled('sex')\",)",
            "--config.baselines=(\"linear('age', 'sex')\",)",
        ],
        "linear: age, sex",
    ),
    "predict the SDMT of one image": (
        ["predict", "runs/sdmt", "--image=data/graz/sub-01/anat/sub-01_T1w.nii.gz",
         "--covariates=sex=F"],
        " points",
    ),
    "export": (
        ["export", "runs/sdmt", "--output=sdmt.safetensors"],
        "predicts points from volumes of 10 x 12 x 10 voxels of 18 mm",
    ),
    # One page with tables and figures, to look at and to send.
    "report": (["report", "runs/sdmt"], "runs/sdmt/report.html"),
}  # fmt: skip
