"""Decisions of Optuna's MedianPruner on made trials, written to median_pruner.json beside this script.

    pip install optuna; python median_pruner.py
"""

import json
import math
import pathlib
import random

import optuna
from optuna.distributions import FloatDistribution
from optuna.trial import TrialState, create_trial

optuna.logging.set_verbosity(optuna.logging.ERROR)
generator = random.Random(0)
cases = []
for _ in range(400):
    higher = generator.random() < 0.5
    startup, warmup = generator.randrange(4), generator.randrange(3)

    def values(length, missing):
        drawn = [round(generator.random(), 1 if generator.random() < 0.5 else 6) for _ in range(length)]
        return [None if generator.random() < missing else value for value in drawn]

    missing = generator.choice([0.0, 0.0, 0.3, 0.8])
    complete = [values(generator.randrange(5), missing) for _ in range(generator.randrange(7))]
    epochs = values(1 + generator.randrange(4), missing)

    study = optuna.create_study(
        direction="maximize" if higher else "minimize",
        pruner=optuna.pruners.MedianPruner(n_startup_trials=startup, n_warmup_steps=warmup),
    )
    number = lambda value: math.nan if value is None else value
    for history in complete:
        # Steps from 0; an epoch without a value is a NaN.
        study.add_trial(
            create_trial(
                state=TrialState.COMPLETE,
                value=0.5,
                params={"x": 0.5},
                distributions={"x": FloatDistribution(0, 1)},
                intermediate_values={step: number(value) for step, value in enumerate(history)},
            )
        )
    trial = study.ask()
    for step, value in enumerate(epochs):
        trial.report(number(value), step)
    cases.append(
        {
            "higher_is_better": higher,
            "startup_trials": startup,
            "warmup_epochs": warmup,
            "complete": complete,
            "epochs": epochs,
            "prunes": bool(trial.should_prune()),
        }
    )
path = pathlib.Path(__file__).with_suffix(".json")
path.write_text("[\n" + ",\n".join(json.dumps(case) for case in cases) + "\n]\n")
print(f"optuna {optuna.__version__}: {len(cases)} cases, {sum(case['prunes'] for case in cases)} pruned")
