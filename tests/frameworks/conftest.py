"""The large frameworks are tested where `make test-frameworks` has set them up."""

from __future__ import annotations

import os

collect_ignore = [] if os.environ.get("RUNLANE_TEST_FRAMEWORKS") else ["test_large.py"]
