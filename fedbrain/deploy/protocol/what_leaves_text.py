"""The sentences around the tables of docs/what_leaves.md."""

DOCUMENT = """# What leaves a hospital

This page lists every field that fedbrain sends from a hospital. It is made from the code by
`fedbrain what-leaves`; `tests/deploy/test_what_leaves.py` compares it with the
code and with the messages of a run.

fedbrain sends nothing else: no image, no label, no prediction, no identifier, no path, no log. The
network engine adds its own fields: the site's name and certificate, job ids, times, and return
codes.

A site can check this itself. `fedbrain site dry_run --kit=KIT --job=JOB
--output=FILE` writes the exact bytes that a job would send until its first round is over, and says
what it asks beside its rounds; sums of voxels (`config.harmonise`) go to `FILE.averaged` and
`FILE.squared`. `fedbrain/audit.jsonl` in the site's kit has a line for every message that was sent
or received.

## When a site joins a run

{joined}
{note}

## Every answer

An answer consists of a magic word (4 bytes), the length of the header (4), a SHA-256 of all that
follows (32), a header in JSON that is filled up with spaces to a multiple of 16 bytes, and vectors.
An answer above 4 MB is fetched by the server in pieces of 1 MB. The header has these fields:

{envelope}

## Scalars

An answer is an `update` (after training), `validated` (after validation), or at the end of a run
`reported` (tests of the best model) and `alone` (the same numbers, of a model that the site trained
without the others, and keeps). A job with several splits (repeats, inner splits) asks these of
every split; until the last one `kept` and `kept_lone` come in place of `reported` and `alone`, with
no number, and the last ones are of the test people of all repeats. The last column says which of
them holds the number.

{scalars}

A row `fitted` has the same numbers, of a linear regression beside the network (`kept_fit` until the
last split).

## What a site must open

These answer one question each, and only where the site's `site.toml` names them; by default it does
not. Their numbers have names like these:

{beside}

In a job with `crossed`, and only where `site.toml` says `crossed = true`, a site answers `lent`:
the whole model that it trained alone, in the vectors `params` and `model_state` of float32. The
other sites test it, and answer `tried`, a row with the numbers of `reported`.

In a job with `config.harmonise`, and only where `site.toml` says `harmonise = ["voxelwise"]` in
`[allow]`, a site answers before the first round `averaged`: the vectors `covariates` (the number of
training scans, sums of the job's columns, of their squares and products), `total` (the sum of every
voxel over training scans) and `products` (likewise, times each column around its mean); `squared`:
the sum of squared residuals of every voxel; and `shifted`, with no number. The server can make the
mean image of the site's training people from it, and what of it changes with a column.

## Under secure aggregation

Under secure aggregation (`config.server.aggregator="masked_mean()"`) no `update` is sent. A site
answers `key`, a public key of 32 bytes with the site's certificate and signature, and then
`masked`: one vector of whole numbers of 64 bits, which are the update times the number of training
scans, that number and the sums, under masks. It has no scalars. The server can read the sum over
all sites and no part of it.

## Vectors

The sizes are those of {model}.

{vectors}

## Algorithms

What an algorithm sends beside the change of the weights, and what that tells. A site refuses some
of them unless its `site.toml` names them.

{algorithms}

## Refusals

A site that refuses a message answers with one sentence: which field, what was expected, what came.
The sentence never holds a path or an identifier. Errors about files are written to the site's own
log only; the server reads "the site cannot take part".

## What the numbers could still reveal

Weights that were trained on few people can reveal something about them: membership inference and
reconstruction from gradients are known attacks. These measures reduce the risk: least numbers of
people in training, validation and test parts, of scans in a step, of people in a step and of steps
in a round; one sum of validation losses a round, with two digits; a number of questions that the
agreement fixes; approval of every job by a person at the site. What remains is in
[threat_model.md](threat_model.md). Under differential privacy ([privacy.md](privacy.md)) sums
over training and validation people have noise; without it they have none.
"""
