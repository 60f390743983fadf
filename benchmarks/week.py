"""Twenty scheduled runs on PostgreSQL and S3 while processes are killed at random.

Run from the checkout: ``python -m benchmarks.week [RUNS [SEED [AWAY]]]``, where AWAY is for how
many seconds a server is away. PostgreSQL, MLflow with passwords, an S3 server and ``gptflow up``
are started; a supervisor starts again what ends, and nothing else is done by hand. At the end every
run is compared with Prefect, with MLflow and with the weights of the same training by the core
alone, and after every fault it is measured how long Prefect or MLflow say of a run that it works
though nothing does. ``tests/security/test_databases.py`` is the short form.
"""

import sys
import tempfile
import threading
import time
from pathlib import Path

from benchmarks.report import ROOT, publish

sys.path.insert(0, str(ROOT / "tests" / "support"))

RUNS, SEED, AWAY_SECONDS = 20, 1, 20
GAP_SECONDS = 30.0
PAUSE_SECONDS = (15.0, 40.0)
LIMIT_SECONDS = 5400.0
TRUE_SECONDS = 120.0  # after a fault, until Prefect and MLflow say what is so
TIMES = 2  # each fault


def main() -> None:
    """Let the week pass, print the table and append it to the results."""
    from webhook import Hook
    from week import FAULTS, SECRETS, disturb, site, wait_until_finished
    from week_check import judge, orphans, seconds_until_true, table, train_undisturbed

    given = [int(value) for value in sys.argv[1:4]]
    runs, seed, away = (*given, *(RUNS, SEED, AWAY_SECONDS)[len(given) :])
    happened, untrue = list[str](), list[str]()
    with tempfile.TemporaryDirectory() as name, Hook().serving() as hook:
        folder = Path(name)
        undisturbed = train_undisturbed(ROOT, folder / "core", runs)
        with site(ROOT, folder, runs, GAP_SECONDS, hook, SECRETS, away) as made:
            started = time.monotonic()

            def disturbing() -> None:
                for fault in disturb(made, [*FAULTS] * TIMES, seed, PAUSE_SECONDS):
                    try:
                        after = f"true after {seconds_until_true(made, TRUE_SECONDS):.0f} s"
                    except AssertionError as error:
                        after = f"untrue after {TRUE_SECONDS:.0f} s: {error}"
                        untrue.append(after)
                    happened.append(f"{fault}, {after}")
                    print(happened[-1], flush=True)

            faults = threading.Thread(target=disturbing, daemon=True)
            faults.start()
            in_time = wait_until_finished(made, runs, LIMIT_SECONDS)
            seconds = time.monotonic() - started
            made.stopping.set()
            faults.join()
            judged = judge(made, undisturbed)
            print(made.up.log[-4000:])
        left = orphans(made)
    bad = [each for each in judged if each.problems]
    lines = [
        f"{runs} runs, {len(happened)} faults ({'; '.join(each[9:] for each in happened)}) in "
        f"{seconds:.0f} s; seed {seed}, servers away for {away} s. "
        f"Ended in time: {in_time}. Runs with a problem: {len(bad)}. "
        f"Processes left: {len(left)}. Notifications: {len(hook.texts)}.",
        "",
        *table(judged),
        *left,
    ]
    publish("The accelerated week", "week", "A supervisor restarts what ended.", lines)
    sys.exit(bool(bad or left or untrue or not in_time))


if __name__ == "__main__":
    main()
