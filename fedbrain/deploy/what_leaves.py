"""Writes docs/what_leaves.md from the code: python -m fedbrain.deploy.what_leaves >
docs/what_leaves.md.

A field that the code sends and that has no line here is an error; tests compare the lines with the
messages of a run.
"""

from fedbrain.deploy.protocol.what_leaves import render

if __name__ == "__main__":
    import jax

    from fedbrain import cli
    from fedbrain.deploy.protocol.job import agree
    from fedbrain.experiments.workdir import clean

    cli.configure()
    from configs.quickstart import get_config

    fields = {k: v for k, v in get_config().to_dict().items() if k not in ("sites", "cache")}
    agreement = agree(
        {"config": clean(fields), "target": "age", "sites": ["amber", "birch", "cedar"]}
    )
    numbers = {
        k: sum(x.size for x in jax.tree.leaves(v)) for k, v in agreement.terms.answer.items()
    }
    print(render(agreement.terms, model="configs/quickstart.py", sizes=numbers), end="")
