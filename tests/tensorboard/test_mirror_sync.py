"""`runlane sync` makes a run of a directory of event files."""

from __future__ import annotations

from typing import TYPE_CHECKING

from event_world import script
from reading import read_run

if TYPE_CHECKING:
    from world import Home, Server


def test_a_directory_of_event_files_becomes_a_run(home: Home, server: Server, project: str) -> None:
    """Files of any time and host; keys have the paths of subdirectories as their prefixes."""
    home.python(
        script("""
for place in ("old/experiment", "old/experiment/train"):
    writer = EventFileWriter(place)
    for step in range(4):
        put(writer, step, loss=step)
    writer.close()
    (name,) = [name for name in os.listdir(place) if "tfevents" in name]
    os.rename(f"{place}/{name}", f"{place}/events.out.tfevents.1600000000.elsewhere")
""")
    )
    empty = home.work / "empty"
    empty.mkdir()
    listed = home.runlane("sync", "--dry-run", "old/experiment", env=server.env)
    assert "Would sync 1 run(s):" in listed.stdout
    assert home.run_dirs() == []
    refused = home.runlane("sync", "--sync-tensorboard", "empty", env=server.env, check=False)
    assert refused.returncode == 1 and "no TensorBoard event files" in refused.stderr
    home.runlane("sync", "--project", project, "--id", "fromtb01", "old/experiment", env=server.env)
    run = read_run(home, server, f"{project}/fromtb01")
    assert run["name"] == "experiment"
    assert [row["loss"] for row in run["rows"] if "loss" in row] == [0, 1, 2, 3]
    assert [row["train/loss"] for row in run["rows"] if "train/loss" in row] == [0, 1, 2, 3]
    assert {name for name in run["files"] if "tfevents" in name} == {
        "events.out.tfevents.1600000000.elsewhere",
        "train/events.out.tfevents.1600000000.elsewhere",
    }
    assert run["state"] == "finished"
