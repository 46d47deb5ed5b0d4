"""Run script bodies in forked children of one interpreter, with wandb or with runlane as `wandb`.

Usage: run_bodies.py MODULE JOBS RESULTS. JOBS is a JSON list of {"name", "code", "directory", "files", "argv", "env"}; RESULTS gets, by
name, the directory, the paths of the runs that a body started, its exit status and its output. Forking after the import costs a body
the start of an interpreter less. A body that hangs (wandb's ending now and then does) is killed and run again, once.
"""

from __future__ import annotations

import importlib
import json
import os
import random
import signal
import sys
import tempfile
import time

AT_ONCE = 4
DEADLINE_SECS = 45


def body(module: str, job: dict) -> None:
    """Run one body in this (forked) process as if it were a script; never returns."""
    os.mkdir(job["directory"])
    os.chdir(job["directory"])
    for name, text in job["files"].items():
        os.makedirs(os.path.dirname(name) or ".", exist_ok=True)
        with open(name, "w", encoding="utf-8") as file:
            file.write(text)
    os.environ.update(job["env"])
    output = os.open("output.txt", os.O_WRONLY | os.O_CREAT | os.O_TRUNC, 0o600)
    os.dup2(output, 1)
    os.dup2(output, 2)
    os.dup2(os.open(os.devnull, os.O_RDONLY), 0)
    wandb = sys.modules[module]
    media = sys.modules.get("wandb.sdk.data_types._private")
    if media is not None:
        # wandb's folder for media files goes away with the first child that ends: each gets its own.
        media.MEDIA_TMP.name = tempfile.mkdtemp("wandb-media", dir=os.path.dirname(job["directory"]))
    init = wandb.init
    paths = open("runs.txt", "a", encoding="utf-8")

    def noted(*words, **named):
        run = init(*words, **named)
        paths.write(f"{run.entity}/{run.project}/{run.id}\n")
        paths.flush()
        return run

    wandb.init = noted
    random.seed(0)
    sys.argv = ["train.py", *job["argv"]]
    sys.path.insert(0, job["directory"])
    with open("train.py", "w", encoding="utf-8") as script:
        script.write(job["code"])
    code = compile(job["code"], os.path.join(job["directory"], "train.py"), "exec")
    sys.modules["__main__"].__dict__.update(__file__=os.path.join(job["directory"], "train.py"))
    exec(code, sys.modules["__main__"].__dict__)


def start(module: str, job: dict) -> int:
    """Fork a child for a job; its process id."""
    sys.stdout.flush()
    sys.stderr.flush()
    child = os.fork()
    if child == 0:
        # Through the interpreter's own ending: exit hooks finish runs.
        body(module, job)
        sys.exit(0)
    return child


def main() -> None:
    """Run all jobs, a few at once."""
    module, jobs_path, results_path = sys.argv[1:4]
    sys.modules["wandb"] = importlib.import_module(module)
    with open(jobs_path, encoding="utf-8") as file:
        waiting = json.load(file)
    jobs = {job["name"]: job for job in waiting}
    running: dict[int, tuple[str, float]] = {}
    status: dict[str, int] = {}
    killed: set[str] = set()
    while waiting or running:
        while waiting and len(running) < AT_ONCE:
            job = waiting.pop(0)
            child = start(module, job)
            running[child] = (job["name"], time.monotonic())
        ended, how = os.waitpid(-1, os.WNOHANG)
        if ended:
            name = running.pop(ended)[0]
            status[name] = os.waitstatus_to_exitcode(how)
            if status[name] == -signal.SIGKILL and module == "wandb" and name not in killed:
                killed.add(name)
                jobs[name]["directory"] += "-again"
                waiting.append(jobs[name])
            continue
        for child, (_, since) in running.items():
            if time.monotonic() - since > DEADLINE_SECS:
                os.kill(child, signal.SIGKILL)
        time.sleep(0.02)
    results = {}
    for name, job in jobs.items():
        runs = os.path.join(job["directory"], "runs.txt")
        paths: list[str] = []
        if os.path.exists(runs):
            with open(runs, encoding="utf-8") as file:
                paths = list(dict.fromkeys(file.read().split("\n")[:-1]))
        with open(os.path.join(job["directory"], "output.txt"), encoding="utf-8", errors="replace") as file:
            output = file.read()
        results[name] = {
            "directory": job["directory"],
            "status": status[name],
            "runs": paths,
            "output": output,
        }
    with open(results_path, "w", encoding="utf-8") as file:
        json.dump(results, file)


if __name__ == "__main__":
    main()
