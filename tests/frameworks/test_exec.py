"""`runlane exec`: `import wandb` is runlane in the program and in all its children, in any environment."""

from __future__ import annotations

import json
import os
import subprocess
import sys
import venv
from pathlib import Path

import pytest
import runlane

PACKAGE = os.path.dirname(os.path.abspath(runlane.__file__))

CHILDREN = """
import json, multiprocessing, os, subprocess, sys, textwrap

def what():
    import runlane, wandb
    from wandb.sdk.wandb_run import Run
    return [wandb.__name__, wandb.__version__, os.path.dirname(runlane.__file__), Run is runlane.Run]

def worker(queue):
    queue.put(what())

def asked(*command):
    return json.loads(subprocess.run(command, capture_output=True, text=True, check=True).stdout)

if __name__ == "__main__":
    found = {"program": what()}
    for method in ("spawn", "fork", "forkserver"):
        context = multiprocessing.get_context(method)
        queue = context.Queue()
        process = context.Process(target=worker, args=(queue,))
        process.start()
        found[method] = queue.get(timeout=60)
        process.join()
    code = "import children, json; print(json.dumps(children.what()))"
    with open("as_module.py", "w") as file:
        file.write(code)
    with open("script", "w") as file:
        file.write(f"#!/usr/bin/env python3\\n{code}\\n")
    os.chmod("script", 0o755)
    found["python -c"] = asked(sys.executable, "-c", code)
    found["python -m"] = asked(sys.executable, "-m", "as_module")
    found["python -s -B"] = asked(sys.executable, "-s", "-B", "-c", code)
    found["shebang"] = asked("./script")
    found["shell"] = asked("sh", "-c", f"{sys.executable} -c '{code}'")
    print("FOUND " + json.dumps(found))
"""


def test_every_kind_of_child_gets_runlane(home):
    (home.work / "children.py").write_text(CHILDREN)
    done = home.runlane("exec", "--", sys.executable, "children.py")
    found = json.loads(next(line for line in done.stdout.splitlines() if line.startswith("FOUND "))[6:])
    assert len(found) == 9
    for kind, answer in found.items():
        assert answer == ["wandb", "0.31.0", PACKAGE, True], kind


@pytest.mark.parametrize(
    "options", [["-I"], ["-E"], ["-sE"], ["-X", "dev", "-I"], ["-W", "ignore", "-BI"]], ids=" ".join
)
def test_an_isolated_interpreter_is_refused(home, options):
    done = home.runlane("exec", "--", sys.executable, *options, "-c", "print('ran')", check=False)
    assert done.returncode == 1 and "ran" not in done.stdout
    assert f"`-{options[-1][-1]}` keeps Python from looking at PYTHONPATH" in done.stderr
    assert "hint:" in done.stderr


def test_an_isolated_script_is_refused_and_other_options_are_not(home):
    script = home.work / "tool"
    script.write_text("#!/usr/bin/env -S python3 -I\nprint('ran')\n")
    script.chmod(0o755)
    done = home.runlane("exec", "--", "./tool", check=False)
    assert done.returncode == 1 and "`-I` keeps Python" in done.stderr
    for words in (
        ["-c", "print('ran')", "-I"],
        ["-Wignore", "-c", "print('ran')"],
        ["-u", "-c", "print('ran')", "-E"],
    ):
        assert home.runlane("exec", "--", sys.executable, *words).stdout == "ran\n"


@pytest.fixture(scope="module")
def other(tmp_path_factory) -> Path:
    """An environment without runlane, in which a package `wandb` is installed."""
    root = tmp_path_factory.mktemp("other")
    venv.EnvBuilder(symlinks=True, with_pip=False).create(root)
    python = root / "bin" / "python"
    place = Path(
        subprocess.run(
            [python, "-c", "import sysconfig; print(sysconfig.get_path('purelib'))"],
            capture_output=True,
            text=True,
            check=True,
        ).stdout.strip()
    )
    (place / "wandb").mkdir()
    (place / "wandb" / "__init__.py").write_text("__version__ = '0.1.2'\n")
    (place / "wandb-0.1.2.dist-info").mkdir()
    (place / "wandb-0.1.2.dist-info" / "METADATA").write_text(
        "Metadata-Version: 2.1\nName: wandb\nVersion: 0.1.2\n"
    )
    command = root / "bin" / "wandb"
    command.write_text(f"#!{python}\nimport sys\nfrom wandb.cli.cli import cli\nsys.exit(cli())\n")
    command.chmod(0o755)
    return python


def test_it_wins_over_an_installed_wandb_in_an_environment_without_runlane(home, other):
    code = (
        "import importlib.metadata, importlib.util, sys\n"
        "assert importlib.util.find_spec('wandb') is not None\n"
        "assert importlib.metadata.version('wandb') == '0.31.0'\n"
        "import wandb, runlane\n"
        f"assert runlane.__file__ == {PACKAGE + '/__init__.py'!r}, runlane.__file__\n"
        f"assert not any(path == {os.path.dirname(PACKAGE)!r} for path in sys.path), sys.path\n"
        "assert importlib.util.find_spec('click') is None and importlib.util.find_spec('numpy') is None\n"
        "with wandb.init(mode='offline', project='p', config={'a': 1}) as run:\n"
        "    run.log({'loss': 0.5})\n"
        "    assert run.summary['loss'] == 0.5\n"
        "print('VERSION', wandb.__version__)\n"
    )
    done = home.runlane("exec", "--", str(other), "-c", code)
    assert "VERSION 0.31.0" in done.stdout
    plain = home.run([str(other), "-c", "import wandb; print(wandb.__version__)"], check=True)
    assert plain.stdout == "0.1.2\n"


def test_a_run_of_another_environment_is_uploaded(home, other, server):
    code = "import wandb\nwith wandb.init(project='other-env', id='r1') as run: run.log({'loss': 0.5})"
    home.runlane("exec", "--", str(other), "-c", code, env=server.env)
    run = runlane.Api(overrides={"base_url": server.base_url}, api_key=server.api_key).run(
        f"{server.entity}/other-env/r1"
    )
    assert run.state == "finished" and [row["loss"] for row in run.scan_history()] == [0.5]


@pytest.mark.parametrize(
    "command", [["wandb"], ["wb"], ["sh", "-c", 'wandb "$@"', "sh"], [sys.executable, "-m", "wandb"]]
)
def test_the_command_is_that_of_runlane(home, command):
    done = home.runlane("exec", "--", *command, "--version")
    assert done.stdout == f"runlane, version {runlane.__version__}\n"


def test_the_command_of_another_environment_is_that_of_runlane(home, other, server):
    home.runlane(
        "exec",
        "--",
        sys.executable,
        "-c",
        "import wandb\nwandb.init(mode='offline', id='synced').log({'a': 1})",
    )
    done = home.runlane(
        "exec", "--", str(other), "-m", "wandb", "sync", "--project", "by-command", "wandb", env=server.env
    )
    assert "synced" in done.stdout + done.stderr
    api = runlane.Api(overrides={"base_url": server.base_url}, api_key=server.api_key)
    assert api.run(f"{server.entity}/by-command/synced").state == "finished"


def test_commands_of_later_versions_say_so(home):
    done = home.runlane("exec", "--", "wandb", "sweep", "x.yaml", check=False)
    assert done.returncode == 1 and "later version" in done.stderr


def test_own_paths_come_behind_and_nothing_is_added_twice(home):
    code = "import os; print(os.environ['PYTHONPATH']); print(os.environ['PATH'])"
    env = {"PYTHONPATH": f"{os.pathsep}/some/where", "PATH": f"/usr/bin{os.pathsep}/bin"}
    nested = ["exec", "--", sys.executable, "-m", "runlane", "exec", "--", sys.executable, "-c", code]
    found, path = home.runlane(*nested, env=env).stdout.splitlines()
    # The empty entry is the working directory, and stays.
    assert found == f"{PACKAGE}/_alias{os.pathsep}{os.pathsep}/some/where"
    assert path == f"{PACKAGE}/_alias_bin{os.pathsep}/usr/bin{os.pathsep}/bin"


def test_exit_status_and_signals_are_those_of_the_program(home):
    assert (
        home.runlane("exec", "--", sys.executable, "-c", "raise SystemExit(7)", check=False).returncode == 7
    )
    assert home.runlane("exec", "--", "sh", "-c", "kill -TERM $$", check=False).returncode == -15


def test_pip_shows_the_version_that_programs_see(home):
    done = home.runlane("exec", "--", sys.executable, "-m", "pip", "show", "wandb")
    assert "Version: 0.31.0" in done.stdout
