"""Sites on the command line: any name and number, the arguments of `bids`, values with commas."""

import pytest
from ml_collections import ConfigDict

from fedbrain.data.sites import SITES
from fedbrain.experiments.catalogue import UsageError
from fedbrain.experiments.site_flags import ARGUMENTS, read_sites
from fedbrain.experiments.spec import call


@pytest.mark.parametrize(
    ("text", "spec"),
    [
        ("lyon=/data/lyon", "bids('/data/lyon')"),
        ("hôpital_2-b=~/my data", "bids('~/my data')"),
        (
            "bern=/data/bern,label=phenotype/sdmt:score,pipeline=hdbet",
            "bids('/data/bern', label='phenotype/sdmt:score', pipeline='hdbet')",
        ),
        ('a="/data/a, b",label="score, 1st"', "bids('/data/a, b', label='score, 1st')"),
        (r"a=/data/O\'Brien,label=x\,y", "bids(\"/data/O'Brien\", label='x,y')"),
        ("a=d,include=sub-01,include=sub-02", "bids('d', include=('sub-01', 'sub-02'))"),
        ("a=d,exclude='sub-01,ses-2 03'", "bids('d', exclude=('sub-01', 'ses-2', '03'))"),
        (
            "a=d,columns.age=Age,columns.sex=participants:sex=m",
            "bids('d', columns={'age': 'Age', 'sex': 'participants:sex=m'})",
        ),
        ("a=arrays('x.npz')", "arrays('x.npz')"),
    ],
)
def test_a_site(text, spec):
    assert list(read_sites([text]).values()) == [spec]
    assert callable(call(spec, SITES))


def test_several_sites_keep_their_order():
    sites = ConfigDict(read_sites([f"s{k}=/data/{k}" for k in (3, 1, 2)]))
    assert set(sites) == {"s1", "s2", "s3"}


def test_the_arguments_are_those_of_bids():
    assert ARGUMENTS == ["label", "pattern", "pipeline", "columns", "include", "exclude"]


@pytest.mark.parametrize(
    ("texts", "message"),
    [
        (["lyon"], "expected NAME=FOLDER, got 'lyon'"),
        (["lyon="], "expected NAME=FOLDER"),
        (["=/data"], "expected a name of letters, digits"),
        (["../up=/data"], "expected a name of letters, digits"),
        (["a=x", "a=y"], "every name once, got 'a' twice"),
        (["a=x,lable=age"], "--site a: unknown argument 'lable'. Did you mean label"),
        (["a=x,Pipeline=b"], "Did you mean pipeline"),
        (["a=x,zzz=b"], "Choose from: label, pattern"),
        (["a=x,label=age,label=Age"], "label once, got it twice"),
        (["a=x,include=sub-01,sub-02"], "ARGUMENT=VALUE after a comma, got 'sub-02'"),
        (["a=label=age"], "expected a folder first"),
        (["a=/data/O'Brien"], "no closing quotation"),
        (["a=x,columns=age"], "columns.NAME=COLUMN"),
        (["a=x,label.age=age"], "columns.NAME=COLUMN"),
    ],
)
def test_a_mistake_is_one_sentence(texts, message):
    with pytest.raises(UsageError, match=message):
        read_sites(texts)


@pytest.mark.parametrize("text", ["lyon", "=/data", "a=x,lable=age", "a=label=age", "a=/O'Brien"])
def test_a_mistake_names_the_flag(text):
    with pytest.raises(UsageError, match="^--second_site"):
        read_sites([text], "second_site")
