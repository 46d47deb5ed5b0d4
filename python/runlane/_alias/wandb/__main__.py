"""`python -m wandb` under `runlane exec`: the command line of runlane, with the interpreter that runlane is installed for."""

import os
import sys

_python = os.environ.get("RUNLANE_EXEC_PYTHON")
if _python and _python != sys.executable:
    # Its dependencies may be missing here.
    os.execv(_python, [_python, "-m", "runlane", *sys.argv[1:]])  # noqa: S606 - our own command line

from runlane._cli import main  # noqa: E402 - only where it is needed

main()
