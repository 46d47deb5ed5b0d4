"""PyTorch's `SummaryWriter`, where torch is installed."""

from __future__ import annotations

import subprocess
from typing import TYPE_CHECKING

import pytest
from event_world import mirrored, values
from world import REPOSITORY

if TYPE_CHECKING:
    from world import Home


@pytest.fixture(scope="session")
def torch_python() -> str:
    """An interpreter that has torch with its writer, and runlane."""
    path = str(REPOSITORY / ".venv-torch" / "bin" / "python")
    # Without importing them, which takes seconds.
    look = "from importlib.util import find_spec; raise SystemExit(not (find_spec('torch') and find_spec('tensorboard')))"
    try:
        subprocess.run([path, "-c", look], check=True, capture_output=True)
    except (OSError, subprocess.CalledProcessError):
        pytest.skip("no torch with TensorBoard's writer: `make setup` installs it where it can")
    return path


def test_a_script_that_only_writes_to_torchs_writer_is_mirrored(home: Home, torch_python: str) -> None:
    """Neither the writer nor the run is closed by the script; `add_scalars` and `add_hparams` make directories of their own."""
    home.python(
        """
import runlane as wandb
wandb.init(sync_tensorboard=True, settings=dict(console="off"))
import torch
from torch.utils.tensorboard import SummaryWriter
writer = SummaryWriter("runs/pong")
for step in range(3):
    writer.add_scalar("charts/return", torch.tensor(step / 2), step)
    writer.add_scalars("losses", {"value": step, "policy": -step}, step)
writer.add_text("hyperparameters", "|param|value|")
writer.add_image("frame", torch.zeros(3, 4, 5), 2)
writer.add_hparams({"lr": 0.1}, {"best": 1.0}, run_name="tuned")
""",
        env={"WANDB_MODE": "offline"},
        python=torch_python,
    )
    (run_dir,) = home.run_dirs()
    assert values(run_dir, "charts/return") == [(0, 0), (1, 0.5), (2, 1)]
    assert values(run_dir, "losses_value/losses") == [(0, 0), (1, 1), (2, 2)]
    assert values(run_dir, "losses_policy/losses") == [(0, 0), (1, -1), (2, -2)]
    assert values(run_dir, "tuned/best") == [(0, 1)]
    (frame,) = [row for row in mirrored(run_dir) if "frame.filenames" in row]
    assert (frame["frame.width"], frame["frame.height"], frame["global_step"]) == (5, 4, 2)
    assert (run_dir / "files" / frame["frame.filenames"][0]).read_bytes().startswith(b"\x89PNG")
