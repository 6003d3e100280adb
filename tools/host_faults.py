"""Attacks a service at random: it must answer, and every outcome must be in a log or counted as lost.

    python tools/host_faults.py [--rounds N] [--seed S] [--python PATH ...] [--only ATTACK] [--jobs N]

Round N of a run with the seed S has the seed S + N, from which its log, breakers, load and attacks are
drawn; ``--rounds 1 --seed SEED`` repeats one round. After a round every process of it must still
answer within a second, its log must open and fold to the live snapshot, and each outcome must be in
a log or counted as lost. The exit status is 1 if a round violated this.
"""

import os
import shutil
import sys
import textwrap
import time
from collections import Counter
from pathlib import Path
from typing import Final

import click
import support_path  # noqa: F401  # the next import needs it
from host_rounds.judge import FAMILIES, Verdict
from host_rounds.plan import ATTACKS, NONE, draw
from host_rounds.planted import FAMILIES as PLANTED
from host_rounds.rounds import run_rounds

_SHOWN_LINES: Final = 150


@click.command(help=__doc__)
@click.option("--rounds", default=60, show_default=True, help="How many rounds to run.")
@click.option(
    "--seed",
    type=int,
    help="The seed of the first round; by default, a random one, which is printed.",
)
@click.option(
    "--python",
    "pythons",
    multiple=True,
    help="An interpreter to run rounds with; by default, this one. Can be repeated.",
)
@click.option(
    "--only",
    type=click.Choice([*ATTACKS, NONE]),
    help="The only attack to use; by default, attacks are drawn for each round.",
)
@click.option(
    "--jobs",
    default=os.cpu_count() or 1,
    show_default=True,
    help="How many rounds run at the same time.",
)
@click.option("--plant", type=click.Choice(list(PLANTED)), hidden=True)
@click.option("--quiet", is_flag=True, help="Print the summary only.")
def main(
    *,
    rounds: int,
    seed: int | None,
    pythons: tuple[str, ...],
    only: str | None,
    jobs: int,
    plant: str | None,
    quiet: bool,
) -> None:
    """Run the rounds; print each violation when it happens, and a summary at the end."""
    first = int.from_bytes(os.urandom(3), "big") if seed is None else seed
    interpreters = [_found(python) for python in pythons or (sys.executable,)]
    click.echo(f"{rounds} rounds from seed {first}, with {', '.join(interpreters)}")
    plans = (draw(first + number, only=only, plant=plant or "") for number in range(rounds))
    began = time.monotonic()
    verdicts = []
    for verdict in run_rounds(plans, interpreters, jobs):
        verdicts.append(verdict)
        if verdict.violations and not quiet:
            click.echo(_described(verdict, only))
    click.echo(summary(verdicts, time.monotonic() - began))
    sys.exit(any(verdict.violations for verdict in verdicts))


def _found(python: str) -> str:
    """The absolute path of an interpreter, because rounds run in other folders."""
    path = shutil.which(python)
    if path is None:
        raise click.BadParameter(
            f"{python!r} can't be run: there is no such program", param_hint="--python"
        )
    return str(Path(path).absolute())


def _described(verdict: Verdict, only: str | None) -> str:
    plan = verdict.plan
    option = "" if only is None else f" --only {only}"
    again = f"python tools/host_faults.py --rounds 1 --seed {plan.seed}{option}"
    lines = [
        f"seed {plan.seed}: {', '.join(sorted(verdict.families))}",
        f"  attacks {', '.join(plan.attacks)}; log {plan.log}, {plan.durability}, {plan.detail}",
        f"  again: {again} --python {verdict.python}",
    ]
    for family, what in verdict.violations:
        shown = textwrap.indent(f"{family}: {what}", "    ").splitlines()
        lines += shown[:_SHOWN_LINES]
    return "\n".join(lines)


def summary(verdicts: list[Verdict], seconds: float) -> str:
    """Summarize all rounds."""
    attacks = Counter(attack for verdict in verdicts for attack in verdict.plan.attacks)
    wrong = Counter(family for verdict in verdicts for family in verdict.families)
    failing = [verdict.plan.seed for verdict in verdicts if verdict.violations]
    outcomes, uncertain = sum(v.outcomes for v in verdicts), sum(v.uncertain for v in verdicts)
    raised, acted = sum(v.raised for v in verdicts), sum(v.acted for v in verdicts)
    lines = [
        f"{len(verdicts)} rounds in {seconds:.0f} s, {sum(v.processes for v in verdicts)} processes",
        "attacks: " + ", ".join(f"{name} {attacks[name]}" for name in ATTACKS if attacks[name]),
        f"outcomes: {outcomes:,} certain, {uncertain:,} interrupted or nested",
        f"events counted as lost: {sum(v.lost for v in verdicts):,}",
        f"attacks raised {raised:,} times in the load; handlers called {acted:,} times",
        f"slowest answer: {max((v.slowest for v in verdicts), default=0):.3f} s",
    ]
    lines += [f"rounds with {what}: {wrong[family]}" for family, what in FAMILIES.items()]
    if failing:
        lines.append(f"failing seeds: {', '.join(map(str, failing))}")
    return "\n".join(lines)


if __name__ == "__main__":
    main()
