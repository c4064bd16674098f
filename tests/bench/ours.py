"""What is compared with the others: the trainer pool on rounds of the default study; a setting is the workers."""

from __future__ import annotations

from sweep.execution.batches import BatchTrainer, tile_shape
from sweep.execution.local import Pool
from tests.bench.default_study import draw_candidates, read_default
from tests.bench.workload import Workload


class Ours:
    """Trains rounds of 64 candidates with 16 run seeds each."""

    settings = ("1", "2")

    def __init__(self, workload: Workload, setting: str) -> None:
        del workload
        pool = Pool(int(setting))
        pool.__enter__()  # its trainers end with this process
        study_file, problem = read_default()
        self.search = study_file.plan.search
        self.trainer = BatchTrainer(pool, problem, tile_shape(problem, self.search.round_size, self.search.replicates))
        self.candidates = draw_candidates(study_file.plan, self.search.round_size)

    def train(self, wanted: int) -> int:
        """Train one round, or fewer candidates if no more are wanted."""
        replicates = self.search.replicates
        chosen = self.candidates[: -(-wanted // replicates)]
        for _ in self.trainer.train(chosen, range(replicates)):
            pass
        return min(wanted, len(chosen) * replicates)

    def check(self) -> tuple[list[float], list[float]]:
        """Return correct rows and log-loss of each candidate after training with run seed 0."""
        found = dict(self.trainer.train(self.candidates, [0]))
        outcomes = [found[place] for place in range(len(found))]
        return [float(one.correct[0]) for one in outcomes], [float(one.log_loss[0]) for one in outcomes]
