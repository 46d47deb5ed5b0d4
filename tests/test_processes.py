"""One run, several processes, against the real daemon: spawned workers, forked workers, plain forks."""

from __future__ import annotations

import json
import sys

SCRIPT = """
import json, multiprocessing, os, sys
import runlane as wandb

def spawned(run):
    run.log({"spawned": 1})
    run.config.update({"from_child": True})

def forked():
    wandb.log({"forked": 2})
    wandb.finish()

if __name__ == "__main__":
    run = wandb.init(mode="offline", project="p")
    run.log({"parent": 0})
    codes = []
    for method, target, args in (("spawn", spawned, (run,)), ("fork", forked, ())):
        worker = multiprocessing.get_context(method).Process(target=target, args=args)
        worker.start()
        worker.join()
        codes.append(worker.exitcode)
    pid = os.fork()
    if pid == 0:
        run.log({"plain": 3})
        sys.exit(0)
    codes.append(os.waitpid(pid, 0)[1])
    values = {key: run.summary.get(key) for key in ("parent", "spawned", "forked", "plain")}
    print("STATE " + json.dumps([codes, run.step, values, wandb.run is run]))
    run.finish()
"""


def test_rows_of_all_processes_are_in_the_run(home):
    done = home.python(SCRIPT)
    (line,) = [line for line in done.stdout.splitlines() if line.startswith("STATE ")]
    codes, step, values, active = json.loads(line.removeprefix("STATE "))
    assert codes == [0, 0, 0]
    assert values == {"parent": 0, "spawned": 1, "forked": 2, "plain": 3}
    assert step == 4
    assert active is True
    # Only the process that opened the run ends it.
    assert done.stderr.count("Find logs at:") == 1
    assert len(home.run_dirs()) == 1


def test_exit_without_finish_closes_the_run(home):
    done = home.python(
        "import runlane as wandb\nrun = wandb.init(mode='offline')\nrun.log({'a': 1})\nraise SystemExit(0)"
    )
    assert "Run summary:" in done.stderr
    assert "a 1" in done.stderr


def test_import_and_exec_alias_with_the_real_core(home):
    (home.work / "train.py").write_text(
        "import wandb\n"
        "from wandb.sdk.wandb_run import Run\n"
        "run = wandb.init(mode='offline')\n"
        "assert isinstance(run, Run) and wandb.run is run\n"
        "wandb.log({'a': 1})\n"
        "print('summary', dict(wandb.run.summary)['a'])\n"
    )
    done = home.runlane("exec", "--", sys.executable, "train.py")
    assert "summary 1" in done.stdout
