"""Change the core one expression or statement at a time, and name the changes that no test notices.

Run it as ``make mutants`` or ``python .ci/mutants.py [PATH ...] [--sample N] [--seed S]``. It works
on a copy of the checkout. A mutant is tested by the doctests and the mirrored test file of its
module; one that survives these is tested by the whole test folder of its package.

It exists although there are mutmut and cosmic-ray because neither deletes a statement, a keyword
argument or a ``with`` block, which is what a refactoring forgets; each runs one test command for
all modules.
"""

import argparse
import ast
import gc
import importlib
import os
import random
import shutil
import signal
import subprocess
import sys
import tempfile
import time
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import NoReturn

import pytest

ROOT = Path(__file__).resolve().parents[1]
STARTUP_SECONDS = 30.0
PRELOADED = (
    "torch._dynamo", "torch.distributed.fsdp", "pyarrow.parquet", "safetensors.torch", "tiktoken",
    "sentencepiece", "hypothesis.strategies", "peft",
)  # fmt: skip
COMPARISONS: dict[type[ast.cmpop], str] = {
    ast.Lt: "<=", ast.LtE: "<", ast.Gt: ">=", ast.GtE: ">", ast.Eq: "!=", ast.NotEq: "==",
    ast.Is: "is not", ast.IsNot: "is", ast.In: "not in", ast.NotIn: "in",
}  # fmt: skip
OPERATORS: dict[type[ast.operator], str] = {
    ast.Add: "-", ast.Sub: "+", ast.Mult: "/", ast.Div: "*", ast.FloorDiv: "*", ast.Mod: "*",
    ast.Pow: "*",
}  # fmt: skip
SPLITS = {"train": "validation", "validation": "train", "test": "validation"}
KEPT_DECORATORS = ("property", "dataclass", "override", "method", "overload", "contextmanager")

Located = ast.expr | ast.stmt | ast.keyword


@dataclass(frozen=True)
class Mutant:
    """A file with ``old`` replaced by ``new`` at a byte offset."""

    file: Path
    line: int
    start: int
    old: str
    new: str

    def source(self, original: bytes) -> bytes:
        """The content of the changed file."""
        end = self.start + len(self.old.encode())
        return original[: self.start] + self.new.encode() + original[end:]

    def __str__(self) -> str:
        old, new = (" ".join(text.split())[:90] for text in (self.old, self.new))
        return f"{self.file.relative_to(ROOT)}:{self.line}: {old} -> {new}"


class Mutator:
    """Finds the mutants of one file.

    Args:
        file: A module.
    """

    def __init__(self, file: Path) -> None:
        self._file = file
        self._bytes = file.read_bytes()
        self._lines = [0]
        for line in self._bytes.splitlines(keepends=True):
            self._lines.append(self._lines[-1] + len(line))

    def mutants(self) -> list[Mutant]:
        """All mutants that are valid Python, in the order of the file."""
        found = {
            (mutant.start, mutant.old, mutant.new): mutant
            for mutant in self._visit(ast.parse(self._bytes))
            if mutant.old != mutant.new and self._is_valid(mutant)
        }
        return sorted(found.values(), key=lambda mutant: (mutant.start, mutant.old, mutant.new))

    def _is_valid(self, mutant: Mutant) -> bool:
        try:
            ast.parse(mutant.source(self._bytes))
        except SyntaxError:
            return False
        return True

    def _visit(self, node: ast.AST) -> Iterator[Mutant]:
        """Mutants of a node and of what is below it.

        Messages, type annotations and ``strict`` of ``zip``, an assertion, are left alone.
        """
        yield from self._of_statement(node)
        yield from self._of_branch(node)
        yield from self._of_expression(node)
        yield from self._of_constant(node)
        if isinstance(node, ast.Raise | ast.JoinedStr):
            return
        unread = {id(getattr(node, name, None)) for name in ("annotation", "returns")}
        for child in ast.iter_child_nodes(node):
            if id(child) not in unread and getattr(child, "arg", None) != "strict":
                yield from self._visit(child)

    def _of_statement(self, node: ast.AST) -> Iterator[Mutant]:
        match node:
            case ast.Expr(value=ast.Call()) | ast.AugAssign() | ast.Raise() | ast.Delete():
                yield self._replaced(node, "pass")
            case ast.Assign(targets=[ast.Attribute() | ast.Subscript()]):
                yield self._replaced(node, "pass")
            case ast.With(items=items):
                for item in items:
                    if item.optional_vars is None:
                        context = '__import__("contextlib").nullcontext()'
                        yield self._replaced(item.context_expr, context)
            case ast.FunctionDef(decorator_list=decorators):
                for each in decorators:
                    if not any(kept in self._text(each) for kept in KEPT_DECORATORS):
                        yield self._replaced(each, "(lambda function: function)")

    def _of_branch(self, node: ast.AST) -> Iterator[Mutant]:
        match node:
            case ast.Break():
                yield self._replaced(node, "continue")
            case ast.Continue():
                yield self._replaced(node, "break")
            case ast.If(test=test) | ast.IfExp(test=test) | ast.While(test=test):
                if not isinstance(test, ast.Compare | ast.UnaryOp):  # see below
                    yield self._replaced(test, f"(not ({self._text(test)}))")

    def _of_expression(self, node: ast.AST) -> Iterator[Mutant]:
        match node:
            case ast.Compare(left=left, ops=[op], comparators=[right]):
                yield self._replaced(node, self._joined(COMPARISONS[type(op)], left, right))
            case ast.BoolOp(op=op, values=values):
                same, other = ("and", "or") if isinstance(op, ast.And) else ("or", "and")
                yield self._replaced(node, self._joined(other, *values))
                for each in values:
                    rest = [value for value in values if value is not each]
                    yield self._replaced(node, self._joined(same, *rest))
            case ast.UnaryOp(op=ast.Not() | ast.USub(), operand=operand):
                yield self._replaced(node, self._joined("", operand))
            case ast.BinOp(left=left, op=op, right=right) if type(op) in OPERATORS:
                if not isinstance(left, ast.Constant | ast.JoinedStr):
                    yield self._replaced(node, self._joined(OPERATORS[type(op)], left, right))
            case ast.Call(keywords=keywords):
                for keyword in keywords:
                    if keyword.arg is not None and not self._is_bool(keyword.value):
                        yield self._without(keyword)

    def _of_constant(self, node: ast.AST) -> Iterator[Mutant]:
        match node:
            case ast.Constant(value=bool() as value):
                yield self._replaced(node, str(not value))
            case ast.Constant(value=int() as value):
                yield self._replaced(node, str(value + 1))
            case ast.Constant(value=float() as value):
                yield self._replaced(node, repr(value * 2 if value else 1.0))
            case ast.Constant(value=str() as value) if value in SPLITS:
                yield self._replaced(node, repr(SPLITS[value]))

    def _is_bool(self, node: ast.expr) -> bool:
        return isinstance(node, ast.Constant) and isinstance(node.value, bool)

    def _joined(self, operator: str, *operands: ast.expr) -> str:
        texts = (f"({self._text(each)})" for each in operands)
        return f"({f' {operator} '.join(texts)})"

    def _without(self, keyword: ast.keyword) -> Mutant:
        """A call without one keyword argument and the comma after it."""
        after = self._bytes[self._end(keyword) :]
        separator = after[: len(after) - len(after.lstrip(b" \n,"))]
        comma = separator.decode() if b"," in separator else ""
        return self._mutant(keyword, self._text(keyword) + comma, "")

    def _replaced(self, node: Located, new: str) -> Mutant:
        return self._mutant(node, self._text(node), new)

    def _mutant(self, node: Located, old: str, new: str) -> Mutant:
        return Mutant(self._file, node.lineno, self._start(node), old, new)

    def _start(self, node: Located) -> int:
        return self._lines[node.lineno - 1] + node.col_offset

    def _end(self, node: Located) -> int:
        assert node.end_lineno is not None
        assert node.end_col_offset is not None
        return self._lines[node.end_lineno - 1] + node.end_col_offset

    def _text(self, node: Located) -> str:
        return self._bytes[self._start(node) : self._end(node)].decode()


class Checkout:
    """A copy of the checkout in which files may be changed.

    Args:
        folder: An empty folder.
    """

    def __init__(self, folder: Path) -> None:
        self.root = folder / "checkout"
        self.output = folder / "output.txt"
        names = subprocess.run(
            ["git", "ls-files", "-z", "--cached", "--others", "--exclude-standard"],
            cwd=ROOT, capture_output=True, text=True, check=True,
        ).stdout.split("\0")  # fmt: skip
        for name in filter(None, names):
            if (ROOT / name).is_file():
                (self.root / name).parent.mkdir(parents=True, exist_ok=True)
                shutil.copy2(ROOT / name, self.root / name)
        if (ROOT.parent / "shared").is_dir():
            (folder / "shared").symlink_to(ROOT.parent / "shared")

    def passes(self, tests: list[str], seconds: float) -> bool:
        """Whether tests pass in time, in a fork of this process, which has imported much."""
        pid = os.fork()
        if pid == 0:
            os.setsid()  # so that what the tests start is ended with them
            self._test(tests)
        ended, status, deadline = 0, 0, time.monotonic() + seconds
        while not ended and time.monotonic() < deadline:
            time.sleep(0.02)
            ended, status = os.waitpid(pid, os.WNOHANG)
        if not ended:
            os.killpg(pid, signal.SIGKILL)
            os.waitpid(pid, 0)
        return ended != 0 and os.waitstatus_to_exitcode(status) == 0

    def _test(self, tests: list[str]) -> NoReturn:
        output = os.open(self.output, os.O_RDWR | os.O_CREAT | os.O_TRUNC)
        for stream in range(3):
            os.dup2(output, stream)
        os.chdir(self.root)
        sys.path.insert(0, str(self.root))
        os.environ["PYTHONPATH"] = str(self.root)
        os.environ["GPTFLOW_HOME"] = str(self.root.parent / "home")
        sys.dont_write_bytecode = True
        code = 1
        try:
            temporary = str(self.root.parent / "tmp")
            options = ["-q", "-x", "-m", "not long", "-p", "no:cacheprovider", "--assert=plain"]
            code = int(pytest.main([*options, "--basetemp", temporary, *tests]))
        finally:
            sys.stdout.flush()
            os._exit(code)

    def survives(self, mutant: Mutant, tests: list[str], seconds: float) -> bool:
        """Whether tests do not notice a mutant."""
        file = self.root / mutant.file.relative_to(ROOT)
        original = file.read_bytes()
        file.write_bytes(mutant.source(original))
        try:
            return self.passes(tests, seconds)
        finally:
            file.write_bytes(original)


def tests_of(file: Path) -> list[list[str]]:
    """The tests of a module: its doctests with the mirrored file, then the package's folder."""
    module = file.relative_to(ROOT)
    folder = Path("tests") / module.parent
    mirrored = folder / f"test_{module.stem.lstrip('_')}.py"
    package = [str(folder)]
    if module.parent.name == "gpt_core":  # its folder is that of all packages
        package = [str(each.relative_to(ROOT)) for each in (ROOT / folder).glob("test_*.py")]
    first = [[str(module), str(mirrored)]] if (ROOT / mirrored).is_file() else []
    return [*first, package]


class Timer:
    """Times the tests of the unchanged checkout, to know when a mutant hangs."""

    def __init__(self, checkout: Checkout) -> None:
        self._checkout = checkout
        self._seconds: dict[tuple[str, ...], float] = {}

    def limit(self, tests: list[str]) -> float:
        """Seconds after which a mutant counts as noticed.

        Raises:
            SystemExit: If the tests fail without any change.
        """
        key = tuple(tests)
        if key not in self._seconds:
            began = time.monotonic()
            if not self._checkout.passes(tests, 3600.0):
                print(self._checkout.output.read_text(encoding="utf-8")[-2000:])
                sys.exit(f"{' '.join(tests)}: these tests fail in the unchanged checkout")
            self._seconds[key] = time.monotonic() - began
        return 4 * self._seconds[key] + STARTUP_SECONDS


def modules(paths: list[str]) -> list[Path]:
    """The modules at or below some paths."""
    found = []
    for path in map(Path, paths):
        file = path.resolve()
        found += [file] if file.is_file() else sorted(file.rglob("*.py"))
    return [file for file in found if file.name != "__init__.py"]


def main() -> None:
    """Test a sample of mutants; print each as it is tested, then the survivors."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("paths", nargs="*", default=[str(ROOT / "gpt_core")])
    parser.add_argument("--sample", type=int, default=100, help="mutants to test; 0 for all")
    parser.add_argument("--seed", type=int, default=0)
    options = parser.parse_args()
    found = [mutant for file in modules(options.paths) for mutant in Mutator(file).mutants()]
    chosen = found
    if 0 < options.sample < len(found):
        chosen = random.Random(options.seed).sample(found, options.sample)
        chosen.sort(key=lambda mutant: (mutant.file, mutant.start))
    os.environ["OMP_NUM_THREADS"] = "1"
    for name in PRELOADED:
        importlib.import_module(name)
    gc.freeze()  # a fork's collections leave these modules alone
    print(f"{len(chosen)} of {len(found)} mutants", flush=True)
    survivors = []
    with tempfile.TemporaryDirectory(prefix="mutants-") as folder:
        checkout = Checkout(Path(folder))
        timer = Timer(checkout)
        for mutant in chosen:
            stages = tests_of(mutant.file)
            alive = all(checkout.survives(mutant, each, timer.limit(each)) for each in stages)
            print("survived" if alive else "noticed ", mutant, flush=True)
            survivors += [mutant] if alive else []
    print(f"\n{len(survivors)} of {len(chosen)} survived", *survivors, sep="\n")


if __name__ == "__main__":
    main()
