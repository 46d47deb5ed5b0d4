"""`save`: the same calls with the real wandb and with runlane put the same files into the run."""

from __future__ import annotations

import json
from typing import Any

import pytest
from world import PYTHON, Home, Server

CALLS = {
    "relative": "run.save('a/x.txt')",
    "glob": "run.save('a/*.txt')",
    "again": "run.save('a/x.txt', policy='end')",
    "below": "run.save('a/b/*/z.txt')",
    "absolute": "run.save(here + '/a/b/y.txt')",
    "absolute with base": "run.save(here + '/a/b/y.txt', base_path=here + '/a')",
    "absolute pattern": "run.save(here + '/a/*/c/z.txt')",
    "base": "run.save('a/b/y.txt', base_path='a')",
    "path": "run.save(Path('a/b/c/z.txt'))",
    "paths": "run.save(Path('a/b/c/z.txt'), base_path=Path('a'))",
    "bytes": "run.save(b'd/q.bin')",
    "literal": "run.save('a/*', glob=False)",
    "odd name": "run.save('d/[x].txt', glob=False)",
    "existing": "run.save('made*.txt')",
    "missing": "run.save('nope.txt')",
    "s3": "run.save('s3://x/y')",
    "gs": "run.save('gs://x/y')",
    "policy": "run.save('a/x.txt', policy='sometimes')",
    "above": "run.save('../x')",
    "outside": "run.save('a/x.txt', base_path='d')",
    "nothing": "run.save()",
    "module": "wandb.save('a/x.txt', policy='now')",
}
SCRIPT = """
import glob, json, os, sys
from pathlib import Path
import {module} as wandb
for name in ("a/x.txt", "a/b/y.txt", "a/b/c/z.txt", "d/q.bin", "d/[x].txt"):
    os.makedirs(os.path.dirname(name), exist_ok=True)
    Path(name).write_text(name)
here = os.getcwd()
run = wandb.init(mode="offline", project="p", settings=wandb.Settings(symlink={symlink}, console="off"))
Path(run.dir, "made by hand.txt").write_text("made")
found = {{}}
for label, call in json.loads({calls!r}).items():
    try:
        answer = eval(call)
        answer = sorted(os.path.relpath(path, run.dir) for path in answer) if isinstance(answer, list) else answer
    except Exception as error:
        answer = type(error).__name__
    found[label] = answer
found["files"] = sorted(
    [os.path.relpath(path, run.dir), os.path.islink(path), os.stat(path).st_nlink > 1, Path(path).read_text()]
    for path in glob.glob(run.dir + "/**/*", recursive=True)
    if os.path.isfile(path) and os.path.basename(path) not in ("requirements.txt", "wandb-metadata.json")
)
run.finish()
Path("found.json").write_text(json.dumps(found))
"""


@pytest.mark.parametrize("symlink", [True, False])
def test_the_same_calls_save_the_same_files(home: Home, wandb_python: str, symlink: bool) -> None:
    answers: dict[str, Any] = {}
    for module, python in (("wandb", wandb_python), ("runlane", PYTHON)):
        code = SCRIPT.format(module=module, symlink=symlink, calls=json.dumps(CALLS))
        home.python(code, python=python)
        answers[module] = json.loads((home.work / "found.json").read_text())
    assert answers["runlane"] == answers["wandb"]


def test_how_files_got_there_is_said_once(home: Home) -> None:
    code = (
        "import runlane as wandb, os\nfor name in 'ab': open(name, 'w').write(name)\n"
        "run = wandb.init(mode='offline', project='p', settings=wandb.Settings(symlink={symlink}))\n"
        "run.save('a'); run.save('b'); run.save('*', glob=False)\nrun.finish()\n"
    )
    told = home.python(code.format(symlink=True)).stderr
    assert (
        told.count("Symlinked 1 file into the W&B run directory; call wandb.save again to sync new files.")
        == 1
    )
    assert told.count("`glob=True`") == 1
    told = home.python(code.format(symlink=False)).stderr
    assert told.count("Linked 1 file into the W&B run directory (hardlinks)") == 1


def test_restore_fetches_a_file_of_this_or_another_run(home: Home, server: Server, project: str) -> None:
    home.python(
        "import runlane as wandb\nopen('w.txt', 'w').write('first')\n"
        f"run = wandb.init(project={project!r}, id='one', save_code=False)\nrun.save('w.txt')\nrun.finish()\n",
        env=server.env,
    )
    told = home.python(
        "import json, os, runlane as wandb\nfound = []\n"
        f"run = wandb.init(project={project!r}, id='two', save_code=False)\n"
        f"path = run.entity + '/' + {project!r} + '/one'\n"
        "with run.restore('w.txt', run_path=path) as file: found.append([file.read(), os.path.relpath(file.name, run.dir)])\n"
        "open(os.path.join(run.dir, 'w.txt'), 'w').write('mine')\n"
        "found.append(wandb.restore('w.txt', run_path=path).read())\n"
        "found.append(wandb.restore('w.txt', run_path=path, replace=True).read())\n"
        "found.append(wandb.restore('w.txt', run_path=path, root='elsewhere').name)\n"
        "for call in (lambda: run.restore('none.txt', run_path=path), lambda: run.restore('w.txt', run_path=path + 'x', root='nowhere')):\n"
        "    try:\n        call()\n    except Exception as error:\n        found.append(type(error).__name__)\n"
        "run.finish()\n"
        f"run = wandb.init(project={project!r}, id='one', resume='must', save_code=False)\n"
        "found.append(wandb.restore('w.txt').read())\nrun.finish()\nprint(json.dumps(found))\n",
        env=server.env,
    )
    found = json.loads(told.stdout.splitlines()[-1])
    elsewhere = str(home.work / "elsewhere" / "w.txt")
    assert found == [["first", "w.txt"], "mine", "first", elsewhere, "ValueError", "CommError", "first"]
