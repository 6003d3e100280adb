"""Mutation score of the rules: how many small faults put into the kernel and the fold the tests notice.

    python tools/mutation.py [--sample N] [--seed S] [--only TEXT] [--workers N]

`cosmic-ray` makes the mutants: another comparison, a number that is one off, a condition turned round, a
loop that never runs. Each is put into a copy of the tree, and a fast part of the tests runs there on the
interpreted kernel until one fails. Annotations are not mutated, because nothing reads them.

Prints each survivor with its position, and the score. ``equivalent_mutants.toml`` lists the survivors that
no test can notice, with the reasons; they are printed apart. The exit status is 1 if the score without them
is below 95 %.
"""

import argparse
import ast
import os
import random
import resource
import shutil
import sys
import tempfile
import tomllib
from collections.abc import Iterator, Sequence
from pathlib import Path
from typing import Final, TypeAlias

import click  # noqa: F401  # what the tests import, once for all their processes
import hypothesis.stateful  # noqa: F401
import msgspec  # noqa: F401
import pytest
import rich.console  # noqa: F401
import transitions  # noqa: F401
import zstandard  # noqa: F401
from attrs import frozen
from cosmic_ray import plugins
from cosmic_ray.ast import ast_nodes, get_ast
from cosmic_ray.mutating import mutate_code

ROOT: Final = Path(__file__).parent.parent
SOURCE: Final = Path("src/recloser")
FILES: Final = (
    *(f"core/kernel/{path.name}" for path in sorted((ROOT / SOURCE / "core/kernel").glob("*.py"))),
    "core/edges.py",
    "core/rules.py",
    "core/stored_window.py",
    "core/fold.py",
    "core/state_machine.py",
)
TESTS: Final = (
    ("tests/core/test_every_sequence.py",),
    (
        "tests/core",
        "tests/live/test_half_open.py",
        "tests/simulate/test_simulation.py",
        "--deselect=tests/core/test_every_sequence.py",
        "--hypothesis-profile=unshrunk",
    ),
    (
        "tests/test_second_opinion.py",
        "tests/history/test_batches.py",
        "tests/whatif/test_comparison.py",
        "--hypothesis-profile=few",
    ),
)
"""The tests in the order in which they run: the first is the fastest and notices most mutants."""

EQUIVALENT: Final = ROOT / "tools/equivalent_mutants.toml"
NEEDED_SCORE: Final = 0.95

FAMILIES: Final = ("ReplaceComparisonOperator", "ReplaceUnaryOperator")
OPERATORS: Final = {
    "AddNot",
    "ExceptionReplacer",
    "NumberReplacer",
    "RemoveDecorator",
    "ReplaceAndWithOr",
    "ReplaceBinaryOperator_Add_Sub",
    "ReplaceBinaryOperator_BitAnd_BitOr",
    "ReplaceBinaryOperator_BitOr_BitAnd",
    "ReplaceBinaryOperator_FloorDiv_Mul",
    "ReplaceBinaryOperator_LShift_RShift",
    "ReplaceBinaryOperator_Mod_FloorDiv",
    "ReplaceBinaryOperator_Mul_Add",
    "ReplaceBinaryOperator_Mul_FloorDiv",
    "ReplaceBinaryOperator_RShift_LShift",
    "ReplaceBinaryOperator_Sub_Add",
    "ReplaceBreakWithContinue",
    "ReplaceContinueWithBreak",
    "ReplaceFalseWithTrue",
    "ReplaceOrWithAnd",
    "ReplaceTrueWithFalse",
    "ZeroIterationForLoop",
}
"""The operators that make likely faults; replacing ``+`` by ``**``, say, would only raise the score."""

CPU_SECONDS_LEAST: Final = 30
MEMORY_BYTES: Final = 3 << 30

Place: TypeAlias = tuple[int, int]
"""A position in a file: a line from 1, and a column from 0."""


@frozen
class Mutant:
    """One small fault.

    Attributes:
        file: The file, below ``src/recloser``.
        operator: The mutation, by its name in `cosmic-ray`.
        occurrence: The index of the place, among those where the operator can be applied.
        line: The line number, from 1.
    """

    file: str
    operator: str
    occurrence: int
    line: int

    def code(self) -> str:
        """The mutated file."""
        code = mutate_code(_source(self.file), _operator(self.operator), self.occurrence)
        assert isinstance(code, str)
        return code

    def change(self) -> str:
        """The lines that differ, before and after, each without its indentation."""
        before, after = _source(self.file).splitlines(), self.code().splitlines()
        ends = 1
        while before[-ends] == after[-ends] and ends < min(len(before), len(after)):
            ends += 1
        starts = 0
        while starts < len(before) - 1 and before[starts] == after[starts]:
            starts += 1
        lines = (each[starts : len(each) - ends + 1] for each in (before, after))
        return " -> ".join(" ".join(line.strip() for line in each) for each in lines)


def main() -> int:
    """Run the command; returns its exit status."""
    options = _options()
    os.environ.update(RECLOSER_PURE="1", RECLOSER_SEQUENCE_DEPTH="3")
    mutants = [m for file in FILES for m in mutants_of(file) if options.only in m.file]
    print(f"{len(mutants)} mutants in {len(FILES)} files")
    if options.sample:
        mutants = random.Random(options.seed).sample(mutants, min(options.sample, len(mutants)))
        print(f"a sample of {len(mutants)}, seed {options.seed}")
    with tempfile.TemporaryDirectory(prefix="recloser-mutation-") as folder:
        trees = [Tree(Path(folder) / str(number)) for number in range(options.workers)]
        cpu_seconds = _cpu_seconds_of_tests(trees[0])
        survivors = _survivors(trees, mutants, cpu_seconds)
    return _report(mutants, survivors)


def mutants_of(file: str) -> Iterator[Mutant]:
    """Yield all mutants of a file, except those in annotations."""
    tree, unread = get_ast(_source(file)), list(_unread(_source(file)))
    for name in sorted(plugins.operator_names()):
        if not _is_used(name):
            continue
        operator = _operator(name)
        places = [place for node in ast_nodes(tree) for place in operator.mutation_positions(node)]
        for occurrence, (begin, _) in enumerate(places):
            if not any(first <= begin < last for first, last in unread):
                yield Mutant(file, name, occurrence, begin[0])


class Tree:
    """A copy of the tree, in which one mutant at a time is tested."""

    def __init__(self, folder: Path) -> None:
        self.folder = folder
        self.mutant: Mutant | None = None
        skipped = shutil.ignore_patterns("*.so", "*.pyd", "__pycache__")
        for name in ("src", "tests", "fixtures", "tools"):
            shutil.copytree(ROOT / name, folder / name, ignore=skipped)
        for name in ("pyproject.toml", "README.md"):
            shutil.copy(ROOT / name, folder / name)

    def put(self, mutant: Mutant) -> None:
        """Replace the mutant in the tree by another."""
        if self.mutant is not None:
            self._path(self.mutant).write_text(_source(self.mutant.file))
        self.mutant = mutant
        self._path(mutant).write_text(mutant.code())

    def _path(self, mutant: Mutant) -> Path:
        return self.folder / SOURCE / mutant.file

    def begin(self, arguments: Sequence[str], cpu_seconds: float) -> int:
        """Start tests in a forked child, because this process has already imported the slow modules.

        Returns:
            The child's id.
        """
        child = os.fork()
        if child == 0:
            code = 1
            try:
                code = self._run(arguments, cpu_seconds)
            finally:
                os._exit(code)
        return child

    def _run(self, arguments: Sequence[str], cpu_seconds: float) -> int:
        seconds = int(cpu_seconds)
        resource.setrlimit(resource.RLIMIT_CPU, (seconds, seconds + 5))
        resource.setrlimit(resource.RLIMIT_AS, (MEMORY_BYTES, MEMORY_BYTES))
        nowhere = os.open(os.devnull, os.O_RDWR)
        for stream in range(3):
            os.dup2(nowhere, stream)
        os.chdir(self.folder)
        sys.path.insert(0, str(self.folder / "src"))
        sys.dont_write_bytecode = True
        plain = ("-p", "no:asyncio", "-p", "no:cacheprovider", "--assert=plain", "-q", "-x", "-n0")
        return int(pytest.main([*plain, "--no-header", "--hypothesis-seed=0", *arguments]))


def _survivors(
    trees: Sequence[Tree], mutants: Sequence[Mutant], cpu_seconds: float
) -> list[Mutant]:
    """The mutants with which all tests pass; a run that does not end counts as noticed."""
    left, free = list(reversed(mutants)), list(trees)
    under_way: dict[int, tuple[Tree, Sequence[Sequence[str]]]] = {}
    survivors: list[Mutant] = []
    while left or under_way:
        while left and free:
            tree = free.pop()
            tree.put(left.pop())
            under_way[tree.begin(TESTS[0], cpu_seconds)] = tree, TESTS[1:]
        child, status = os.wait()
        tree, rest = under_way.pop(child)
        if status == 0 and rest:
            under_way[tree.begin(rest[0], cpu_seconds)] = tree, rest[1:]
            continue
        assert tree.mutant is not None
        if status == 0:
            survivors.append(tree.mutant)
            print(f"survived: {_described(tree.mutant)}", flush=True)
        free.append(tree)
        done = len(mutants) - len(left) - len(under_way)
        if done % 10 == 0:
            print(f"{done} of {len(mutants)}", file=sys.stderr, flush=True)
    return survivors


def _cpu_seconds_of_tests(tree: Tree) -> float:
    """The limit of processor time for the tests of a mutant, from a run without one."""
    before = resource.getrusage(resource.RUSAGE_CHILDREN).ru_utime
    for tests in TESTS:
        _, status = os.waitpid(tree.begin(tests, 10 * CPU_SECONDS_LEAST), 0)
        if status:
            sys.exit(f"the tests fail without a mutant: {' '.join(tests)}")
    seconds = resource.getrusage(resource.RUSAGE_CHILDREN).ru_utime - before
    print(f"the tests take {seconds:.0f} s of the processor without a mutant", flush=True)
    return max(CPU_SECONDS_LEAST, 3 * seconds)


def _report(mutants: Sequence[Mutant], survivors: Sequence[Mutant]) -> int:
    reasons = _reasons()
    equivalent = [mutant for mutant in survivors if _key(mutant) in reasons]
    missed = [mutant for mutant in survivors if _key(mutant) not in reasons]
    for mutant in equivalent:
        print(f"equivalent: {_described(mutant)}\n    {reasons[_key(mutant)]}")
    for mutant in missed:
        print(f"missed: {_described(mutant)}")
    counted = len(mutants) - len(equivalent)
    score = 1 - len(missed) / counted if counted else 1
    print(
        f"{len(mutants)} mutants: {len(mutants) - len(survivors)} noticed, "
        f"{len(equivalent)} equivalent, {len(missed)} missed"
    )
    print(f"score {1 - len(survivors) / len(mutants):.1%}, {score:.1%} without the equivalent ones")
    return int(score < NEEDED_SCORE)


def _reasons() -> dict[tuple[str, str], str]:
    with EQUIVALENT.open("rb") as file:
        entries = tomllib.load(file)["mutant"]
    return {(each["file"], each["change"]): each["reason"] for each in entries}


def _key(mutant: Mutant) -> tuple[str, str]:
    return mutant.file, mutant.change()


def _described(mutant: Mutant) -> str:
    return f"{SOURCE / mutant.file}:{mutant.line}: {mutant.change()}"


def _unread(source: str) -> Iterator[tuple[Place, Place]]:
    """Yield the start and the end of every annotation and type alias."""
    for node in ast.walk(ast.parse(source)):
        parts: list[ast.expr | None] = []
        if isinstance(node, ast.FunctionDef):
            parts = [node.returns]
        elif isinstance(node, ast.arg):
            parts = [node.annotation]
        elif isinstance(node, ast.AnnAssign):
            is_alias = isinstance(node.annotation, ast.Name) and node.annotation.id == "TypeAlias"
            parts = [node.annotation, node.value if is_alias else None]
        for part in parts:
            if part is not None:
                assert part.end_lineno is not None
                assert part.end_col_offset is not None
                yield (part.lineno, part.col_offset), (part.end_lineno, part.end_col_offset)


def _is_used(name: str) -> bool:
    short = name.removeprefix("core/")
    if short.startswith("ReplaceComparisonOperator") and short.rpartition("_")[2] in {
        "Is",
        "IsNot",
    }:
        return "_Is_" in short or "_IsNot_" in short  # in place of ``==`` it may not be a fault
    if "_Is_" in short or "_IsNot_" in short:
        return False
    return short in OPERATORS or short.startswith(FAMILIES)


def _operator(name: str) -> "plugins.Operator":
    return plugins.get_operator(name)()


def _source(file: str) -> str:
    return (ROOT / SOURCE / file).read_text()


def _options() -> argparse.Namespace:
    parser = argparse.ArgumentParser(description=__doc__.partition("\n")[0])
    parser.add_argument("--sample", type=int, help="test this many mutants, drawn at random")
    parser.add_argument("--seed", type=int, default=0, help="seed of the sample")
    parser.add_argument("--only", default="", help="files with this text in their names")
    parser.add_argument("--workers", type=int, default=1, help="how many are tested at once")
    return parser.parse_args()


if __name__ == "__main__":
    sys.exit(main())
