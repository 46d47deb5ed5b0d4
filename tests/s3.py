"""An S3-compatible store on loopback for tests: the `s3_store` example of the server's crate, over a directory."""

from __future__ import annotations

import json
import os
import subprocess
import urllib.request
from pathlib import Path

REPOSITORY = Path(__file__).resolve().parent.parent
BUCKET = "runs-of-tests"
VARIABLE = "RUNLANE_TEST_S3_STORE"
START_SECS = 30


def program() -> Path:
    """The example's binary: the one that `cargo test` has left, else built now."""
    target = Path(os.environ.get("CARGO_TARGET_DIR", str(Path.home() / ".cache/runlane/target")))
    named = os.environ.get(VARIABLE)
    binary = Path(named) if named else target / "debug/examples/s3_store"
    if not binary.exists():
        build = ["cargo", "build", "-q", "--locked", "-p", "runlane-server", "--example", "s3_store"]
        subprocess.run(build, cwd=REPOSITORY, check=True, env={**os.environ, "CARGO_TARGET_DIR": str(target)})
    return binary


class S3Store:
    """One process with its directory."""

    def __init__(self, directory: Path) -> None:
        directory.mkdir(parents=True, exist_ok=True)
        self.process = subprocess.Popen(
            [str(program()), str(directory)], stdout=subprocess.PIPE, stderr=subprocess.DEVNULL, text=True
        )
        assert self.process.stdout is not None
        self.endpoint = self.process.stdout.readline().strip()
        assert self.endpoint.startswith("http://"), "the S3 store did not start"

    def env(self) -> dict[str, str]:
        """What a server needs to reach the bucket."""
        return {
            "RUNLANE_S3_ENDPOINT": self.endpoint,
            "RUNLANE_S3_REGION": "us-east-1",
            "RUNLANE_S3_ACCESS_KEY_ID": "runlane-test",
            "RUNLANE_S3_SECRET_ACCESS_KEY": "runlane-test-secret",
        }

    def fail(self, *faults: dict[str, object]) -> None:
        """Replace the faults (examples/s3_store/store.rs lists their members)."""
        request = urllib.request.Request(
            f"{self.endpoint}/-/faults", data=json.dumps(faults).encode(), method="PUT"
        )
        urllib.request.urlopen(request, timeout=10).close()

    def stop(self) -> None:
        """End the process."""
        self.process.kill()
        self.process.wait(10)
