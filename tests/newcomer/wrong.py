"""What a newcomer types wrong, or has: the words, the exit code, what the one sentence names."""

from tests.newcomer.journey import AGES

CHECK = ["check", "mine.py", "--site"]
ONE = ["--site", "a=broken/good"]
TRAIN = ["train", "mine.py", *ONE]
TREE = ["--bids=broken/good", "--output=out.tsv"]
IMAGE = "predict runs/age --image=images/"

# name -> (the words behind `fedbrain`, exit code, texts that the sentence holds)
WRONG = {
    # The command line
    "command": ("trian mine.py", 2, ["trian", "Did you mean train"]),
    "flag": ("train mine.py --wrkdir=x", 2, ["wrkdir", "workdir"]),
    "flag of predict": ("predict runs/age --lable=age", 2, ["lable", "label"]),
    "configuration": ("train quikstart", 2, ["quikstart", "quickstart"]),
    "configuration file": ("train other.py", 2, ["other.py"]),
    "configuration of a grid": ("train paper_synthetic", 2, ["fedbrain grid"]),
    "two configurations": ("train mine.py brain_age", 2, ["brain_age"]),
    "field": ([*TRAIN, "--config.round=3"], 2, ["config.round", "config.rounds"]),
    "field in a group": ([*TRAIN, "--config.client.batchsize=3"], 2, ["client.batch_size"]),
    "nothing to predict": ("predict runs/age", 2, ["--bids", "--image"]),
    "covariates of a tree": (
        ["predict", "runs/age", *TREE, "--covariates=age=3"], 2, ["--covariates"]
    ),
    # Sites
    "site without a folder": ([*CHECK, "lyon"], 2, ["--site", "lyon"]),
    "site without a name": ([*CHECK, "=data/lyon"], 2, ["--site", "=data/lyon"]),
    "argument of a site": ([*CHECK, "a=broken/good,lable=age"], 2, ["--site a", "label"]),
    "a site twice": ([*CHECK, "a=broken/good", *ONE], 2, ["'a' twice"]),
    "no such folder": ([*CHECK, "a=data/lion"], 1, ["sites.a", "data/lion"]),
    "a file for a folder": ([*CHECK, "a=broken/note.txt"], 1, ["sites.a", "note.txt"]),
    "an empty folder": ([*CHECK, "a=broken/empty"], 1, ["sites.a", "broken/empty"]),
    "one level above": ([*CHECK, "a=broken/folder"], 1, ["sites.a", "broken/folder"]),
    "no sites": ("check mine.py", 1, ["config.sites"]),
    "column": (
        [*CHECK, "a=data/lyon,label=age_at_scam"], 1, ["sites.a", "age_at_scam", "age_at_scan"]
    ),
    "no label": ([*CHECK, "bern=data/bern"], 1, ["sites.bern", "'age'", "age_years"]),
    "no label at two of three sites": (
        [*CHECK, "bern=data/bern", *ONE, "--site", "graz=data/graz"],
        1, ["sites.bern", "age_years", "sites.graz", "Alter"],
    ),
    "table": ([*CHECK, "a=data/lyon,label=sdtm:score"], 1, ["sites.a", "sdtm", "sdmt"]),
    "pattern": ([*CHECK, "a=broken/good,pattern=T2w"], 1, ["sites.a", "T2w", "T1w"]),
    "pipeline": (
        [*CHECK, "a=data/lyon,label=age_at_scan,pipeline=hdbett"], 1, ["sites.a", "hdbett"]
    ),
    "excluded person": ([*CHECK, "a=broken/good,exclude=sub-99"], 1, ["sites.a", "sub-99"]),
    # Tables
    "no tables": ([*CHECK, "a=broken/no_tables"], 1, ["sites.a", "age"]),
    "UTF-16": ([*CHECK, "a=broken/utf16"], 1, ["sites.a", "participants.tsv", "UTF-8"]),
    "no participant_id": (
        [*CHECK, "a=broken/no_id"], 1, ["sites.a", "participants.tsv", "participant_id"]
    ),
    "people twice": ([*CHECK, "a=broken/twice"], 1, ["sites.a", "participants.tsv"]),
    "ages in words": ([*CHECK, "a=broken/words"], 1, ["sites.a", "old"]),
    "two people": ([*CHECK, "a=broken/two_people"], 1, ["a: Expected", "got 2", "config.splits"]),
    "a mask of another grid": (
        ["train", "mine.py", "--site", "a=data/masked,label=age_at_scan", "--workdir=runs/masked",
         "--config.prepare=conform(voxel_size_mm=18.0, shape=(10, 12, 10), mask='rough/mask')"],
        1, ["sites.a", "grid"],
    ),
    # Fields
    "krum with three sites": (
        ["check", "mine.py", *AGES, "--config.server.aggregator=krum(num_byzantine=1)"],
        1, ["config.server.aggregator", "5"],
    ),
    "rounds": ([*TRAIN, "--config.rounds=-1"], 1, ["config.rounds", "-1"]),
    "batch": ([*TRAIN, "--config.client.batch_size=0"], 1, ["config.client.batch_size"]),
    "seed": ([*TRAIN, "--config.seed=-1"], 1, ["config.seed", "-1"]),
    "rounds in words": ([*TRAIN, "--config.rounds=many"], 2, ["config.rounds", "many"]),
    "voxel size as text": (
        [*TRAIN, "--config.prepare=conform(voxel_size_mm='3', shape=(10, 12, 10), mask='nonzero')"],
        1, ["config.prepare", "voxel_size_mm"],
    ),
    "regime": ([*TRAIN, "--config.regimes=('federatd',)"], 1, ["config.regimes", "federated"]),
    "model": ([*TRAIN, "--config.model=densnet121()"], 1, ["config.model", "densenet121"]),
    "rule": ([*TRAIN, "--config.server.aggregator=medain()"], 1, ["server.aggregator", "median"]),
    "baseline": (
        [*TRAIN, "--config.baselines=(\"linear('income')\",)"], 1,
        ["config.baselines", "at a.", "columns.income=COLUMN"],
    ),
    "baseline of no model": (
        [*TRAIN, "--config.baselines=(\"linear(model='runs/none')\",)"], 1, ["runs/none"]
    ),
    # Starting points and work directories
    "start from nothing": ([*TRAIN, "--config.initial=run('runs/none')"], 1, ["runs/none"]),
    "start from no file": (
        [*TRAIN, "--config.initial=file('a.safetensors')"], 1, ["a.safetensors"]
    ),
    "start from another network": (
        [*TRAIN, "--config.initial=run('runs/age')",
         "--config.model=adapted_sfcn(channels=(4, 4))"],
        1, ["runs/age"],
    ),
    "workdir without a name": ([*TRAIN, "--workdir="], 2, ["workdir", "path"]),
    "workdir below a file": ([*TRAIN, "--workdir=mine.py/run"], 1, ["mine.py"]),
    "workdir of another experiment": ([*TRAIN, "--workdir=runs/age"], 1, ["runs/age", "--workdir"]),
    "workdir with a cut config.json": ([*TRAIN, "--workdir=runs/cut"], 1, ["config.json"]),
    # Models
    "predict by nothing": (["predict", "runs/none", *TREE], 1, ["runs/none"]),
    "predict by an empty folder": (["predict", "runs/nothing", *TREE], 1, ["runs/nothing"]),
    "predict by an unfinished run": (["predict", "runs/unfinished", *TREE], 1, ["unfinished"]),
    "predict by a cut config.json": (["predict", "runs/cut", *TREE], 1, ["config.json"]),
    "predict without scans": (
        "predict runs/age --bids=broken/empty --output=out.tsv", 1, ["broken/empty"]
    ),
    "predict a column that is not there": (
        ["predict", "runs/age", *TREE, "--columns=age"], 2, ["--columns", "NAME=VALUE"]
    ),
    "predict by another federation": (
        ["predict", "runs/age", *TREE, "--federation=centralized"], 1, ["centralized"]
    ),
    "predict without covariates": (
        "predict runs/sdmt --image=images/good.nii.gz", 1, ["sex", "--covariates"]
    ),
    "predictions below a file": (
        "predict runs/age --bids=broken/good --output=mine.py/out.tsv", 1, ["mine.py"]
    ),
    "export to .pt": ("export runs/age --output=model.pt", 1, ["model.pt", ".safetensors"]),
    "export nothing": ("export runs/none --output=model.safetensors", 1, ["runs/none"]),
    "export below a file": ("export runs/age --output=mine.py/m.safetensors", 1, ["mine.py"]),
    # Images
    "no image": (f"{IMAGE}none.nii.gz", 1, ["none.nii.gz"]),
    "damaged image": (f"{IMAGE}damaged.nii.gz", 1, ["damaged.nii.gz"]),
    "cut image": (f"{IMAGE}cut.nii.gz", 1, ["cut.nii.gz", "cut short"]),
    "empty image": (f"{IMAGE}empty.nii.gz", 1, ["empty.nii.gz"]),
    "web page": (f"{IMAGE}page.nii.gz", 1, ["page.nii.gz", "web page"]),
    "many volumes": (f"{IMAGE}film.nii.gz", 1, ["film.nii.gz"]),
    "NaN": (f"{IMAGE}nan.nii.gz", 1, ["nan.nii.gz", "NaN"]),
    "impossible header": (f"{IMAGE}huge.nii", 1, ["huge.nii", "30000"]),
    "a table for an image": (
        "predict runs/age --image=data/lyon/participants.tsv", 1, ["participants.tsv"]
    ),
}  # fmt: skip
