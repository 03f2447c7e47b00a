"""A site's own file decides what runs there; what it does not allow is refused in a sentence."""

import inspect

import pytest

from fedbrain.algorithms import VARIANTS
from fedbrain.configs import base
from fedbrain.data.sites import SITES
from fedbrain.deploy.protocol.config_hash import config_hash
from fedbrain.deploy.protocol.reveals import ALGORITHMS
from fedbrain.deploy.protocol.wire import Refused
from fedbrain.deploy.site_side.limits import VALUES
from fedbrain.deploy.site_side.opened import CALLS
from fedbrain.deploy.site_side.opened_algorithms import RANGES
from fedbrain.deploy.site_side.policy import _fields, consent, read_policy, require_subjects
from fedbrain.experiments.spec import choose

FILE = """
name = "brussels"
minimum_subjects = 20

[data]
root = "/data/brussels"
pipeline = "hdbet"

[targets.age]
column = "age_at_scan"

[columns]
sex = "gender"

[allow]
model = ["densenet121", "adapted_sfcn"]
"client.transforms" = ["add_proximal_term"]

[at_most]
"client.batch_size" = 8
rounds = 200
"""


@pytest.fixture
def policy(tmp_path):
    path = tmp_path / "site.toml"
    path.write_text(FILE)
    return read_policy(path)


def _job():
    config = base.get_config().to_dict()
    return {name: value for name, value in config.items() if name not in ("sites", "cache")}


def test_a_job_runs_on_the_sites_own_data(policy):
    job = {**_job(), "covariates": ("scaled('sex', centre=0.5)",)}
    spec = consent(policy, job, "age")
    assert (
        spec == "bids('/data/brussels', label='age_at_scan', pattern='T1w', pipeline='hdbet',"
        " columns={'sex': 'gender'})"
    )
    assert callable(choose("sites.brussels", spec, SITES))
    require_subjects(policy, 20)


@pytest.mark.parametrize(
    ("change", "target", "sentence"),
    [
        ({}, "sdmt", "target: expected one that this site consents to, age, got 'sdmt'"),
        ({"sites": {"x": "bids('/etc')"}}, "age", "config.sites: expected none in a job"),
        ({"cache": "/tmp"}, "age", "config.cache: expected none in a job"),
        (
            {"model": "sfcn()"},
            "age",
            (
                "config.model: expected one that this site allows, densenet121, adapted_sfcn, got"
                " 'sfcn'"
            ),
        ),
        ({"model": "__import__('os')"}, "age", "got '__import__'"),
        ({"model": "a.b(1)"}, "age", "got 'a.b\\(1\\)'"),
        ({"model": "("}, "age", "got '\\('"),
        ({"rounds": 201}, "age", "config.rounds: expected at most 200 at this site, got 201"),
        ({"rounds": True}, "age", "config.rounds: expected at most 200 at this site, got True"),
        (
            {"rounds": float("nan")},
            "age",
            "config.rounds: expected at most 200 at this site, got nan",
        ),
        (
            {"client": {"transforms": ()}},
            "age",
            "config.client.batch_size: expected a value, since this site limits it",
        ),
        (
            {"covariates": ("scaled(",)},
            "age",
            "config.covariates: expected a call, got 'scaled\\('",
        ),
        (
            {"covariates": ("scaled('age')",)},
            "age",
            "config.covariates: expected columns that this site opens, \\['sex'\\]",
        ),
    ],
)
def test_what_the_site_does_not_allow_is_refused(policy, change, target, sentence):
    with pytest.raises(Refused, match=sentence):
        consent(policy, {**_job(), **change}, target)


def test_too_few_people_are_refused(policy):
    with pytest.raises(Refused, match="at least 20 training subjects at brussels, got 19"):
        require_subjects(policy, 19)


@pytest.mark.parametrize(
    ("before", "after", "sentence"),
    [
        ('name = "brussels"', "", "expected name, got none"),
        ('name = "brussels"', "name = 3", "name: expected str, got int"),
        ("minimum_subjects = 20", "minimum_subject = 20", "expected one of name, minimum_subjects"),
        ('root = "/data/brussels"', "", "expected \\[data\\] root, got none"),
        ('column = "age_at_scan"', "", "expected \\[targets.age\\] column, got none"),
        ("[data]", "[data", "expected a TOML file"),
        ('pipeline = "hdbet"', "pipeline = 1", "\\[data\\] pipeline: expected str, got int"),
    ],
)
def test_a_mistake_in_the_file_is_one_sentence(tmp_path, before, after, sentence):
    path = tmp_path / "site.toml"
    path.write_text(FILE.replace(before, after))
    with pytest.raises(ValueError, match=sentence):
        read_policy(path)


def test_the_hash_of_a_configuration_ignores_what_is_the_sites_own():
    job = _job()
    assert config_hash(job) == config_hash(
        {**job, "sites": {"a": "bids('/data')"}, "cache": "/elsewhere"}
    )
    assert config_hash(job) == config_hash(dict(reversed(job.items())))
    assert config_hash(job) != config_hash({**job, "rounds": 99})


PLAIN = """
name = "brussels"
[data]
root = "/data/brussels"
[targets.age]
column = "age"
"""


@pytest.fixture
def plain(tmp_path):
    """A site that says nothing but its name, data and target."""
    path = tmp_path / "plain.toml"
    path.write_text(PLAIN)
    return read_policy(path)


def _changed(field, value):
    job = _job()
    table = job
    *path, last = field.split(".")
    for name in path:
        table[name] = dict(table[name])
        table = table[name]
    table[last] = value
    return job


def test_the_package_has_a_row_for_every_field_and_every_algorithm():
    fields = dict(_fields(_job()))
    assert set(fields) == {*VALUES, *CALLS}
    assert set(ALGORITHMS) == set(VARIANTS)
    for field, calls in CALLS.items():
        assert set(calls.bounds) <= set(calls.table), field


@pytest.mark.parametrize("name", VARIANTS)
def test_every_algorithm_has_the_range_of_each_argument(name):
    """Without a row no site could run it, whatever docs/what_leaves.md says."""
    assert name in RANGES, f"{name} needs a row in fedbrain/deploy/site_side/opened_algorithms.py"
    assert set(RANGES[name]) == set(inspect.signature(VARIANTS[name]).parameters)


def test_a_site_that_says_nothing_runs_the_default_experiment_above_the_floors(plain):
    assert consent(plain, _job(), "age").startswith("bids('/data/brussels'")
    floors = plain.minimum_subjects, plain.minimum_validation_subjects, plain.minimum_test_subjects
    assert floors == (20, 10, 10)


DENIED = [
    (
        "algorithm",
        "mimelite()",
        "config.algorithm: expected one that this site allows, .*'mimelite'",
    ),
    ("algorithm", "mime(beta=0.5)", "got 'mime'"),
    ("algorithm", "report_fisher()", "got 'report_fisher'"),
    ("algorithm", "report_global_loss()", "got 'report_global_loss'"),
    ("algorithm", "feddyn(alpha=1e-9)", "alpha of feddyn: expected a number from 0.0001 to 10"),
    ("client.optimizer", "sgd(1e-12)", "learning_rate of sgd: expected a number from 1e-05 to 1"),
    ("client.optimizer", "sgd(float('nan'))", "Expected literal arguments"),
    ("client.optimizer", "adam(1e-3, mu_dtype='int8')", "no argument 'mu_dtype' of adam"),
    ("client.transforms", ["clip_by_global_norm(1e-9)"], "max_norm of clip_by_global_norm"),
    ("client.upload", "top_k(density=1e-7)", "density of top_k"),
    ("client.batch_size", 1, "config.client.batch_size: expected at least 4 at this site, got 1"),
    ("client.epochs", 11, "config.client.epochs: expected at most 10 at this site, got 11"),
    ("loss", "soft_bins(low=50.0, high=52.0)", "got 'soft_bins'"),
    ("loss", "l1(scale=1e-9)", "scale of l1: expected a number from 0.01"),
    ("model", "adapted_sfcn(channels=(9999,))", "channels of adapted_sfcn: expected 1 to 8 values"),
    (
        "prepare",
        "conform(mask='../../etc/passwd')",
        "mask of conform: expected foreground or nonzero",
    ),
    ("prepare", "conform(shape=(4000, 4000, 4000))", "shape of conform"),
    ("prepare", "registered(centre_mm=(0, 80, -40))", "no argument 'centre_mm' of registered"),
    ("covariates", ["scaled('sex')"], "expected columns that this site opens"),
    (
        "modalities",
        ["T1w", "FLAIR"],
        "config.modalities: expected images that this site opens, T1w",
    ),
    ("describe", ["histogram('target', 60, 61, 2)"], "allows, none, got 'histogram'"),
    ("norms", ["regression_norm('brussels', 1.0, at_least={'age': (60, 9)})"], "got 'regression_"),
    ("baselines", ["linear('age')"], "got 'linear'"),
    ("partition", "by_target(3)", "got 'by_target'"),
    ("splits.valid", 1e-6, "config.splits.valid: expected a number from 0.05 to 0.5, got 1e-06"),
    ("splits.stratify", "sex", "expected columns that this site opens"),
    ("splits.stratify", "sex,target", "expected columns that this site opens"),
    ("splits.stratify", "sex,../x", "config.splits.stratify: expected at most 64 letters"),
    ("server.links", ["sign_flip(1)"], "config.server.links: .* got 'sign_flip'"),
    ("server.aggregator", "krum(num_byzantine=1e9)", "num_byzantine of krum"),
    ("server.trusted", ["a/b"], "config.server.trusted"),
    ("rounds", 1461, "config.rounds: expected at most 200 at this site, got 1461"),
    ("seed", -1, "config.seed: expected a whole number from 0"),
    ("client.noise", 1.0, "config.client.noise: expected a field of an experiment, got another"),
    ("epsilon_at_most", 3.0, "config.epsilon_at_most: expected a field of an experiment"),
    ("covariates", "scaled('age')", "config.covariates: expected"),
]


@pytest.mark.parametrize(("field", "value", "sentence"), DENIED)
def test_what_a_site_does_not_name_is_denied(plain, field, value, sentence):
    with pytest.raises(Refused, match=sentence):
        consent(plain, _changed(field, value), "age")


@pytest.mark.parametrize("value", ["registered()", "conform(storage='int8')"])
def test_images_in_one_space_and_any_storage_are_open(plain, value):
    assert consent(plain, _changed("prepare", value), "age")


@pytest.mark.parametrize(
    ("allow", "value", "accepted"),
    [
        ('algorithm = ["mimelite"]', "mimelite(beta=0.5)", True),
        ('algorithm = ["mimelite"]', "mimelite(beta=0.9999)", False),
        ('algorithm = ["mimelite"]', "fedavg()", False),
        ('algorithm = ["mimelite(beta=0.9)"]', "mimelite()", True),
        ('algorithm = ["mimelite(beta=0.9)"]', "mimelite(0.8)", False),
        ('algorithm = ["mimelite(beta=0.9999)"]', "mimelite(beta=0.9999)", True),
    ],
)
def test_a_site_opens_a_name_within_its_range_or_one_exact_call(tmp_path, allow, value, accepted):
    path = tmp_path / "site.toml"
    path.write_text(f"{PLAIN}[allow]\n{allow}\n")
    try:
        consent(read_policy(path), _changed("algorithm", value), "age")
    except Refused:
        assert not accepted
    else:
        assert accepted


@pytest.mark.parametrize(
    ("field", "value", "sentence"),
    [
        ("baselines", ["linear('sex', 'age')"], ""),
        ("baselines", ["linear('income')"], r"config.baselines: expected columns .*'income'"),
        ("describe", ["histogram('target', 0, 90, 9)", "classes('sex', 0, 1)"], ""),
        ("describe", ["classes('income', 0, 1)"], "config.describe: expected columns .*'income'"),
        ("describe", ["histogram('target', 0, 90, 900)"], "bins of histogram: expected a whole"),
        ("report_by", ["classes('sex', 0, 1)"], ""),
        ("report_by", ["classes('income', 0, 1)"], "config.report_by: expected columns"),
    ],
)
def test_sums_beside_the_rounds_are_of_columns_that_a_site_opens(tmp_path, field, value, sentence):
    path = tmp_path / "site.toml"
    names = {"baselines": ["linear"], "describe": ["histogram", "classes"]}
    opened = {**names, "report_by": names["describe"]}
    path.write_text(f"{PLAIN}[allow]\n{field} = {opened[field]}\n[columns]\nsex = 's'\nage = 'a'\n")
    if sentence:
        with pytest.raises(Refused, match=sentence):
            consent(read_policy(path), _changed(field, value), "age")
    else:
        assert "bids(" in consent(read_policy(path), _changed(field, value), "age")


@pytest.mark.parametrize(
    ("more", "sentence"),
    [
        ("[allow]\nmodels = ['sfcn']", "\\[allow\\] models: expected one of prepare"),
        ("[allow]\nmodel = ['sfnc']", "\\[allow\\] model: expected one of adapted_sfcn, .*'sfnc'"),
        ("[allow]\nmodel = ['sfcn(layers=3)']", "\\[allow\\] model: 'sfcn\\(layers=3\\)'"),
        ("[allow]\nnorms = ['regression_norm']", "expected 'regression_norm' with its arguments"),
        ("[allow]\nmodel = 'sfcn'", "\\[allow\\] model: expected list, got str"),
        ("[at_most]\nround = 3", "\\[at_most\\] round: expected one of"),
        ("[at_most]\nrounds = true", "\\[at_most\\] rounds: expected a number, got bool"),
        ("[at_least]\n'batch_size' = 3", "\\[at_least\\] batch_size: expected one of"),
        (
            "[at_least]\nlocal_steps = nan",
            "local_steps: expected a finite number from 1 on, got nan",
        ),
        ("[at_least]\n'client.batch_size' = -4", "batch_size: expected a finite number from 1 on"),
        ("[at_least]\npeople_in_a_step = 0", "people_in_a_step: expected a finite number from 1"),
        ("[at_most]\nmemory_gib = nan", "memory_gib: expected a finite number from 0 on, got nan"),
        ("[at_most]\nrounds = inf", "rounds: expected a finite number from 0 on, got inf"),
        ("[columns]\nsex = 3", "\\[columns\\] sex: expected str, got int"),
        ("[targets.sdmt]\ncolumn = 'sdmt'\nunit = 'x'", "\\[targets.sdmt\\] unit: expected one of"),
        ("[privacy]\nepsilon = 3", r"\[privacy\] epsilon: expected one of epsilon_at_most, delta"),
    ],
)
def test_a_key_that_nothing_reads_is_an_error_in_every_table(tmp_path, more, sentence):
    path = tmp_path / "site.toml"
    path.write_text(PLAIN + more + "\n")
    with pytest.raises(ValueError, match=sentence):
        read_policy(path)


@pytest.mark.parametrize("text", [PLAIN.replace("/data/brussels", "").encode(), b"\xff"])
def test_a_file_without_a_folder_or_of_no_letters_is_one_sentence(tmp_path, text):
    (tmp_path / "site.toml").write_bytes(text)
    with pytest.raises(ValueError, match=r"site.toml: (\[data\] root: )?expected"):
        read_policy(tmp_path / "site.toml")


def test_a_site_that_opens_sums_of_voxels_still_takes_jobs_without(tmp_path):
    (tmp_path / "site.toml").write_text(f"{PLAIN}[allow]\nharmonise = ['voxelwise']\n")
    assert "bids(" in consent(read_policy(tmp_path / "site.toml"), _job(), "age")


def test_a_floor_of_nobody_is_an_error(tmp_path):
    path = tmp_path / "site.toml"
    path.write_text("minimum_validation_subjects = 0\n" + PLAIN)
    with pytest.raises(ValueError, match="minimum_validation_subjects: expected at least 1, got 0"):
        read_policy(path)
