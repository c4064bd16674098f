"""Section `seeds`: the default study from search to verdict, once for each of ten sampler seeds.

A verdict is worth little if another search of the same space would have said the opposite.
"""

from __future__ import annotations

import tempfile
from collections import Counter
from pathlib import Path
from typing import Any

from sweep.stats.verdict import Word
from tests.bench import command
from tests.bench.default_study import STUDY
from tests.bench.report import Bar, Section
from tests.bench.verdict_simulation import BETTER, WORSE

QUESTIONS = {"on_these_rows": "on these rows", "on_new_rows": "on new rows"}
TINY = ("--trials", "12", "--replicates", "2")


def measure(quick: bool) -> Section:
    """Run the study with each sampler seed into a database of its own, and hold the verdicts side by side."""
    seeds = range(2 if quick else 10)
    found = {seed: run_once(seed, TINY if quick else ()) for seed in seeds}
    section = Section("seeds", {str(seed): {key: one[key] for key in QUESTIONS} for seed, one in found.items()})
    for key, asked in QUESTIONS.items():
        rows = [(str(seed), winner_of(one), one[key]["word"], effect_of(one[key])) for seed, one in found.items()]
        title = f"sweep run studies/ionosphere.toml --seed K: {asked}"
        section.add_table(title, ("sampler seed", "winner", "verdict", "rows (95 %)"), rows)
    for key, asked in QUESTIONS.items():
        words = Counter(Word(one[key]["word"]) for one in found.values())
        flips = min(sum(words[word] for word in said) for said in (BETTER, WORSE))
        section.bars.append(Bar(f"flips between better and worse {asked}", flips, 0))
    advised = Counter((one["recommendation"] or {}).get("role", "nothing") for one in found.values())
    ((role, same),) = advised.most_common(1)
    section.bars.append(
        Bar(f"of {len(seeds)} sampler seeds, recommend the {role}", same, len(seeds) - 1, at_least=True)
    )
    told = [(role, str(count)) for role, count in advised.most_common()]
    section.add_table("what is recommended", ("setting", "sampler seeds"), told)
    return section


def run_once(seed: int, options: tuple[str, ...]) -> dict[str, Any]:
    """Run the study into a new database and return its verdict."""
    with tempfile.TemporaryDirectory() as folder:
        storage = ("--storage", command.url(Path(folder) / "seeds.db"))
        command.run("run", str(STUDY), "--seed", str(seed), *options, *storage)
        return command.ask("compare", str(STUDY), *storage)


def winner_of(found: dict[str, Any]) -> str:
    """Return the winner's schedule."""
    schedule = found["winner"]["schedule"]
    return f"{schedule['name']} {schedule['learning_rate']:.3g}"


def effect_of(verdict: dict[str, Any]) -> str:
    """Return the effect in rows with its interval."""
    effect = verdict["effect_rows"]
    return f"{effect['mean']:+.2f} ({effect['interval']['low']:+.2f} to {effect['interval']['high']:+.2f})"
