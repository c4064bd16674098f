"""Competitor: what the tutorial and most users do, Optuna's `study.optimize` around a Keras `fit`."""

from __future__ import annotations

import keras
import optuna

from tests.bench.workload import Workload


class KerasFit:
    """One trial and one training at a time."""

    settings = ("1",)

    def __init__(self, workload: Workload, setting: str) -> None:
        del setting
        self.workload = workload
        optuna.logging.set_verbosity(optuna.logging.WARNING)
        self.study = optuna.create_study(direction="maximize", sampler=optuna.samplers.TPESampler(seed=0))

    def train(self, wanted: int) -> int:
        """Run one trial."""
        self.study.optimize(self.objective, n_trials=1)
        return min(wanted, 1)

    def objective(self, trial: optuna.Trial) -> float:
        """Train one network with a time-based decay and return its final validation accuracy."""
        work = self.workload
        rate = trial.suggest_float("learning_rate", 1e-3, 1.0, log=True)
        decay = trial.suggest_float("decay", 1e-3, 1.0, log=True)
        momentum = trial.suggest_float("momentum", 0.0, 0.99)
        keras.backend.clear_session()
        hidden, output = keras.layers.Dense(34, "relu"), keras.layers.Dense(1, "sigmoid")
        model = keras.Sequential([keras.Input((work.inputs.shape[1],)), hidden, output])
        optimizer = keras.optimizers.SGD(rate, momentum=momentum)
        model.compile(optimizer=optimizer, loss="binary_crossentropy", metrics=["accuracy"])
        history = model.fit(
            work.inputs,
            work.targets,
            batch_size=work.batch_size,
            epochs=work.orders.shape[1],
            validation_data=(work.held_inputs, work.held_targets),
            callbacks=[keras.callbacks.LearningRateScheduler(lambda epoch: rate / (1 + decay * epoch))],
            verbose=0,
        ).history
        return float(history["val_accuracy"][-1])
