"""Find words of the list in ``words.toml`` and say what to write instead.

Run it as ``python .ci/check_words.py [PATH ...]``; without a path it reads every .py, .md and .toml
file of the checkout that git does not ignore. It prints ``file:line: "words" -> what to write``,
then the number of findings in each folder, and exits with 1 if there is one. Only the standard
library is needed.
"""

import ast
import os
import re
import subprocess
import sys
import tokenize
import tomllib
from collections import Counter
from collections.abc import Iterable, Iterator
from dataclasses import dataclass
from pathlib import Path

ROOT = Path(__file__).resolve().parents[1]
LIST = Path(__file__).with_name("words.toml")
SUFFIXES = (".py", ".md", ".toml")
TEXTS = frozenset({"docstring", "comment", "string", "prose", "name"})


@dataclass(frozen=True)
class Text:
    """A stretch of words in a file, and the line on which it begins.

    ``kinds`` says what it is: docstring, comment, string, prose, name, function, constant.
    """

    kinds: frozenset[str]
    line: int
    words: str


@dataclass(frozen=True)
class Rule:
    """A pattern that is not to be written, and what is to be written instead."""

    pattern: re.Pattern[str]
    exceptions: tuple[re.Pattern[str], ...]
    kinds: frozenset[str]
    write: str

    def matches(self, text: Text) -> Iterator[re.Match[str]]:
        """The matches in a text that no exception overlaps."""
        if not self.kinds & text.kinds:
            return
        allowed = [m.span() for pattern in self.exceptions for m in pattern.finditer(text.words)]
        for match in self.pattern.finditer(text.words):
            if not any(start < match.end() and match.start() < end for start, end in allowed):
                yield match


def read_list(path: Path = LIST) -> tuple[list[Rule], tuple[str, ...]]:
    """The rules, and the beginnings of paths that are not read."""
    content = tomllib.loads(path.read_text(encoding="utf-8"))
    rules = [
        Rule(
            _compile(rule["pattern"]),
            tuple(_compile(pattern) for pattern in rule.get("unless", ())),
            frozenset(rule.get("in", TEXTS)),
            rule["write"],
        )
        for rule in content["rule"]
    ]
    return rules, tuple(content["skip"])


def _compile(pattern: str) -> re.Pattern[str]:
    return re.compile(rf"(?<!\w)(?:{pattern})(?!\w)".replace(" ", r"\s+"), re.IGNORECASE)


def texts_of(path: Path) -> Iterator[Text]:
    """Everything in a file that is written for a reader."""
    source = path.read_text(encoding="utf-8")
    if path.suffix == ".md":
        yield from _markdown(source)
    elif path.suffix == ".toml":
        yield from _toml(source)
    else:
        yield from _comments(path)
        yield from _strings(ast.parse(source))
        yield from _names(ast.parse(source))


def _markdown(source: str) -> Iterator[Text]:
    """Paragraphs without the code in their lines; code blocks stay, as they show messages."""
    without_code = re.sub(r"(?<!`)`[^`\n]+`(?!`)", lambda code: " " * len(code[0]), source)
    line = 1
    for paragraph in re.split(r"(\n\s*\n)", without_code):
        yield Text(frozenset({"prose"}), line, paragraph)
        line += paragraph.count("\n")


def _toml(source: str) -> Iterator[Text]:
    for number, line in enumerate(source.splitlines(), start=1):
        comment = re.search(r"(?:^|\s)#(.*)", line)
        if comment:
            yield Text(frozenset({"comment"}), number, comment[1])
        for quoted in re.findall(r'"([^"]*)"', line.split(" #")[0]):
            yield Text(frozenset({"string"}), number, quoted)


def _comments(path: Path) -> Iterator[Text]:
    """Comments; those of adjacent lines are one text, since a phrase may be broken over them."""
    block: list[str] = []
    first = last = 0
    with tokenize.open(path) as file:
        for token in tokenize.generate_tokens(file.readline):
            if token.type != tokenize.COMMENT:
                continue
            line = token.start[0]
            if block and (line != last + 1 or token.line.lstrip()[0] != "#"):
                yield Text(frozenset({"comment"}), first, "\n".join(block))
                block = []
            first = first if block else line
            block.append(token.string.lstrip("#"))
            last = line
    if block:
        yield Text(frozenset({"comment"}), first, "\n".join(block))


def _strings(tree: ast.AST) -> Iterator[Text]:
    docstrings = {
        id(node.value)
        for node in ast.walk(tree)
        if isinstance(node, ast.Expr) and isinstance(node.value, ast.Constant)
    }
    for node in ast.walk(tree):
        if isinstance(node, ast.Constant) and isinstance(node.value, str):
            kind = "docstring" if id(node) in docstrings else "string"
            yield Text(frozenset({kind}), node.lineno, _without_code(node.value))


def _without_code(text: str) -> str:
    """Blank out ``code`` in a docstring: names in it are checked where they are bound."""
    return re.sub(r"``[^`]+``", lambda code: re.sub(r"\w", "_", code[0]), text)


def _names(tree: ast.AST) -> Iterator[Text]:
    """Every name that the code binds, split into words."""
    for node in ast.walk(tree):
        for kind, name in _bound(node):
            spaced = re.sub(r"(?<=[a-z0-9])(?=[A-Z])", " ", name)
            constant = {"constant"} if name.isupper() else set()
            words = spaced.replace("_", " ").strip()
            yield Text(frozenset({"name", kind} | constant), getattr(node, "lineno", 1), words)


def _bound(node: ast.AST) -> Iterator[tuple[str, str]]:
    match node:
        case ast.FunctionDef(name=name) | ast.AsyncFunctionDef(name=name):
            yield "function", name
        case ast.ClassDef(name=name):
            yield "class", name
        case ast.arg(arg=name):
            yield "argument", name
        case ast.Name(id=name, ctx=ast.Store()) | ast.Attribute(attr=name, ctx=ast.Store()):
            yield "variable", name


def files_below(paths: Iterable[Path]) -> list[Path]:
    """The given files, and those that git does not ignore below the given folders."""
    files = []
    for path in paths:
        if path.is_file():
            files.append(path)
            continue
        command = ["git", "ls-files", "-z", "--cached", "--others", "--exclude-standard"]
        listed = subprocess.run(command, cwd=path, capture_output=True, text=True, check=True)
        files += [path / name for name in sorted(set(listed.stdout.split("\0")))]
    return [file for file in files if file.suffix in SUFFIXES and file.is_file()]


def findings(path: Path, rules: Iterable[Rule]) -> list[tuple[int, str, str]]:
    """Line, words and what to write instead, for each finding in a file, in order."""
    found = set()
    for text in texts_of(path):
        for rule in rules:
            for match in rule.matches(text):
                line = text.line + text.words.count("\n", 0, match.start())
                found.add((line, re.sub(r"\s+", " ", match[0]).strip(), rule.write))
    return sorted(found)


def main(paths: list[str]) -> int:
    """Print all findings and their number in each folder."""
    rules, skip = read_list()
    counts: Counter[str] = Counter()
    for file in files_below(Path(path).resolve() for path in paths or [ROOT]):
        name = os.path.relpath(file, ROOT)
        if name.startswith(skip):
            continue
        for line, words, write in findings(file, rules):
            print(f'{name}:{line}: "{words}" -> {write}')
            counts[str(Path(name).parent)] += 1
    if counts:
        folders = ", ".join(f"{folder} {n}" for folder, n in sorted(counts.items()))
        print(f"{counts.total()} words to replace: {folders}", file=sys.stderr)
    return 1 if counts else 0


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
