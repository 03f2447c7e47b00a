"""Attacks its own differential privacy: can it be told whether one person took part?

    fedbrain membership --noise_multiplier=8.9 --people=58 --rounds=40 [--trials=1000]

Prints one page: how well an attacker does, the least epsilon that this shows, and the epsilon of
the account. `--noise_multiplier=0` is training without noise.
"""

from absl import flags

from fedbrain import cli

if __name__ == "__main__":
    NOISE = flags.DEFINE_float(
        "noise_multiplier", None, "As in dp_fedsgd(...); 0: no noise.", required=True
    )
    PEOPLE = flags.DEFINE_integer("people", 58, "People of a hospital, for training.")
    ROUNDS = flags.DEFINE_integer("rounds", 40, "Rounds of the experiment.")
    TRIALS = flags.DEFINE_integer("trials", 1000, "Trials with, and as many without, the person.")
    DELTA = flags.DEFINE_float("delta", 1e-5, "For which epsilon is told.")

    def _audit() -> None:
        from fedbrain.experiments.membership import audit

        how = {"people": PEOPLE.value, "rounds": ROUNDS.value, "trials": TRIALS.value}
        print(audit(NOISE.value, delta_dp=DELTA.value, **how), end="")

    cli.run_flags(_audit, interrupted="Nothing was lost.")
