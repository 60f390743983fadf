"""Runs several commands in one process: the imports take longer than the commands."""

SEVERAL = """
import contextlib, io, json, os, sys
from flows.__main__ import main
results, before = [], dict(os.environ)
for variables, arguments in json.load(sys.stdin):
    os.environ.clear()
    os.environ.update(before | variables)
    out, err, code = io.StringIO(), io.StringIO(), 0
    sys.argv = ["gptflow", *arguments]
    with contextlib.redirect_stdout(out), contextlib.redirect_stderr(err):
        try:
            main()
        except SystemExit as end:
            code = end.code
    results.append([code or 0, out.getvalue(), err.getvalue()])
json.dump(results, sys.stdout)
"""
"""The program: it reads pairs of variables and arguments, and writes exit codes and outputs, both
as JSON."""
