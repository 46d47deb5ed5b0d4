"""`make demo`: start a server, train three small models, and show them.

With a terminal it opens the web app and serves until Ctrl-C. Without one it checks over HTTP that the three runs and
all their rows arrived, stops what it started, and exits 0 if they did.
"""

from __future__ import annotations

import contextlib
import os
import signal
import subprocess
import sys
import tempfile
import webbrowser
from pathlib import Path

ROOT = Path(__file__).resolve().parent.parent.parent
LEARNING_RATES = (0.02, 0.1, 0.5)
STEPS = 600
PACE_SECS = 0.04


def environment(home: Path) -> dict[str, str]:
    """An environment of the demo's own: it neither reads nor changes the user's settings, keys and runs."""
    ours = {name: value for name, value in os.environ.items() if not name.startswith(("WANDB_", "RUNLANE_"))}
    ours["RUNLANE_CONFIG_DIR"] = str(home / "config")
    ours["RUNLANE_DIR"] = str(home)
    ours["RUNLANE_RUNTIME_DIR"] = str(home / "run")
    ours["NETRC"] = str(home / "netrc")
    for name in ("OMP_NUM_THREADS", "OPENBLAS_NUM_THREADS"):
        ours[name] = "1"
    return ours


def runlane(env: dict[str, str], *words: str) -> str:
    """Run the command line and return what it prints; its errors end the demo."""
    command = [sys.executable, "-m", "runlane", *words]
    result = subprocess.run(command, env=env, stdout=subprocess.PIPE, text=True, check=False)
    if result.returncode != 0:
        sys.exit(f"error: `runlane {' '.join(words)}` exited with {result.returncode}")
    return result.stdout


def exports(text: str) -> dict[str, str]:
    """The variables of `runlane server env`."""
    pairs = (
        line.removeprefix("export ").partition("=")
        for line in text.splitlines()
        if line.startswith("export ")
    )
    return {name: value.strip("'\"") for name, _, value in pairs}


def train(env: dict[str, str], pace: float) -> list[subprocess.Popen[bytes]]:
    """Start one training process per learning rate."""
    script = str(ROOT / "tools" / "demo" / "train.py")
    words = ["--steps", str(STEPS), "--pace", str(pace)]
    return [
        subprocess.Popen([sys.executable, script, "--lr", str(lr), *words], env=env) for lr in LEARNING_RATES
    ]


def check(server: dict[str, str]) -> list[str]:
    """What is wrong with the runs at the server; nothing if all is there."""
    os.environ.update(server)
    from runlane import Api

    faults = []
    runs = list(Api().runs("digits"))
    if len(runs) != len(LEARNING_RATES):
        faults.append(f"expected {len(LEARNING_RATES)} runs, found {len(runs)}")
    for run in runs:
        rows = list(run.scan_history())
        steps = [row["_step"] for row in rows]
        if run.state != "finished":
            faults.append(f"run {run.name} is {run.state}")
        if steps != list(range(STEPS)):
            faults.append(f"run {run.name} has {len(rows)} of {STEPS} rows")
        if not all("train/loss" in row and "gradient_norm/w1" in row for row in rows):
            faults.append(f"run {run.name} has rows without train/loss or gradient_norm/w1")
        if not {"val/predictions", "val/mistakes", "weights/w1"} <= rows[-1].keys():
            faults.append(f"the last row of run {run.name} lacks its images, table or histogram")
        if "model" not in {artifact.type for artifact in run.logged_artifacts()}:
            faults.append(f"run {run.name} has logged no model")
    return faults


def stop_daemon(env: dict[str, str]) -> None:
    """End the daemon that the training processes started; it has nothing left to upload."""
    from runlane import _core
    from runlane._cli._core_process import binary

    runtime = env["RUNLANE_RUNTIME_DIR"]
    if (Path(runtime) / "daemon-v1.sock").exists():
        os.kill(_core.Connection.open(runtime, binary(), 5.0).daemon_pid, signal.SIGTERM)


def train_and_check(env: dict[str, str], data: str, interactive: bool) -> int:
    """Train against the server of `data` and check what arrived; with a terminal, then serve until Ctrl-C."""
    server = exports(runlane(env, "server", "env", "--data-dir", data))
    link = runlane(env, "server", "link", "--data-dir", data).strip()
    print(f"\n  Watch the three runs live: {link}\n", flush=True)
    if interactive:
        webbrowser.open(link)
    processes = train({**env, **server}, PACE_SECS if interactive else 0.0)
    try:
        codes = [process.wait() for process in processes]
    finally:
        # Ctrl-C reaches them, too: they end their runs, and the server must live until they have.
        for process in processes:
            process.wait()
    faults = [f"training exited with {code}" for code in codes if code] + check(server)
    for fault in faults:
        print(f"error: {fault}")
    if faults:
        return 1
    print(f"\n  All {len(codes)} runs and their {STEPS * len(codes):,} rows are at the server.")
    if interactive:
        print(f"  Look at them at {server['WANDB_BASE_URL']} · Ctrl-C stops the demo.", flush=True)
        with contextlib.suppress(KeyboardInterrupt):
            signal.pause()
    return 0


def main() -> int:
    """Run the demo; the exit code says whether everything arrived."""
    interactive = sys.stdin.isatty() and sys.stdout.isatty()
    with tempfile.TemporaryDirectory(prefix="runlane-demo-") as folder:
        home = Path(folder)
        env = environment(home)
        data = str(home / "server")
        runlane(env, "server", "start", "--detach", "--port", "0", "--data-dir", data)
        try:
            return train_and_check(env, data, interactive)
        except KeyboardInterrupt:
            print("\n  Stopped before everything had arrived.")
            return 130
        finally:
            runlane(env, "server", "stop", "--data-dir", data)
            stop_daemon(env)


if __name__ == "__main__":
    sys.exit(main())
