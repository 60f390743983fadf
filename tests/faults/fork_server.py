"""Run Python code in forked processes: the imports, which take longer than the code, happen once.

What is imported is code in the first argument, else the core. Each line of the standard input is a
JSON object with ``code``, ``output`` (a file) and maybe ``limit`` (the largest file that may be
written, in bytes). The answers are two lines: the process id when it has begun, and its exit status
when it has ended, negative after a signal.
"""

import json
import os
import resource
import signal
import sys
import traceback
from pathlib import Path
from typing import Any

PRELOADED = """
import torch._dynamo
import gpt_core.__main__, gpt_core.data, gpt_core.evaluation, gpt_core.finetuning
import gpt_core.interop, gpt_core.prediction, gpt_core.text, gpt_core.tokenizers, gpt_core.training
import gpt_core.execution.cpu
"""


def serve() -> None:
    """Fork a process for each request, one after the other."""
    exec(sys.argv[1] if sys.argv[1:] else PRELOADED, {})
    answer("ready")
    for line in sys.stdin:
        request = json.loads(line)
        pid = os.fork()
        if pid == 0:
            os._exit(run(request))
        answer(pid)
        _, status = os.waitpid(pid, 0)
        answer(os.waitstatus_to_exitcode(status))


def answer(value: object) -> None:
    """Write a line that the tests read."""
    sys.stdout.write(f"{value}\n")
    sys.stdout.flush()


def run(request: dict[str, Any]) -> int:
    """Run the code of a request; a user's mistake is one line of output and code 2."""
    with Path(request["output"]).open("ab", buffering=0) as output:
        os.dup2(output.fileno(), 1)
        os.dup2(output.fileno(), 2)
    signal.signal(signal.SIGINT, signal.default_int_handler)
    if request.get("limit") is not None:
        signal.signal(signal.SIGXFSZ, signal.SIG_IGN)  # a write beyond the limit is an error
        resource.setrlimit(resource.RLIMIT_FSIZE, (request["limit"], resource.RLIM_INFINITY))
    code, said = execute(request["code"])
    resource.setrlimit(resource.RLIMIT_FSIZE, (resource.RLIM_INFINITY, resource.RLIM_INFINITY))
    os.write(2, said.encode())
    sys.stdout.flush()
    return code


def execute(code: str) -> tuple[int, str]:
    """Execute Python code; the exit code and the error to print."""
    from gpt_core.errors import GPTCoreError

    try:
        exec(code, {"__name__": "__main__"})
    except SystemExit as end:
        return (end.code if isinstance(end.code, int) else 0), ""
    except GPTCoreError as error:
        return 2, f"{error}\n"
    except KeyboardInterrupt:
        return 130, ""
    except BaseException:
        return 1, traceback.format_exc()
    return 0, ""


if __name__ == "__main__":
    serve()
