"""Lists of our `Api()` at a real server: a thousand runs with the next page ahead, files, forks."""

from __future__ import annotations

import threading
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
from typing import Any

import pytest
from runlane import Api
from runlane.errors import CommError
from world import Home, Server

UPSERT = """mutation Upsert($name: String!, $project: String!) {
  upsertBucket(input: {name: $name, modelName: $project}) { bucket { name } }
}"""
RUNS, PER_PAGE = 1_000, 100


def _api(server: Server) -> Api:
    return Api({"base_url": server.base_url}, api_key=server.api_key)


class _Counted:
    """Counts what a client asks, and by which threads."""

    def __init__(self, api: Api, monkeypatch: pytest.MonkeyPatch) -> None:
        self.pages: list[Any] = []
        self.threads: list[str] = []
        execute = api._client.execute

        def counted(query: str, variables: Any) -> Any:
            if "runs(" in query:
                self.pages.append(variables["cursor"])
                self.threads.append(threading.current_thread().name)
            return execute(query, variables)

        monkeypatch.setattr(api._client, "execute", counted)


def test_a_thousand_runs_are_read_page_by_page_and_one_page_ahead(
    server: Server, project: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    api = _api(server)
    with ThreadPoolExecutor(4) as pool:
        made = pool.map(
            lambda number: api.client.execute(UPSERT, {"name": f"r{number}", "project": project}), range(RUNS)
        )
        assert sum(1 for _ in made) == RUNS
    counted = _Counted(api, monkeypatch)
    runs = api.runs(project, per_page=PER_PAGE)
    assert len(runs) == RUNS
    assert {run.id for run in runs} == {f"r{number}" for number in range(RUNS)}
    assert len(counted.pages) == len(set(counted.pages)) == RUNS // PER_PAGE
    # All pages but the first came in the background.
    assert counted.threads.count("runlane-next-page") == RUNS // PER_PAGE - 1
    # A second loop reads nothing again, and two loops do not disturb each other.
    first, second = iter(runs), iter(runs)
    assert [next(first).id for _ in range(3)] == [next(second).id for _ in range(3)]
    assert runs[RUNS - 1].id == runs[-1].id and len(runs[10:20]) == 10
    assert len(counted.pages) == RUNS // PER_PAGE
    # A saved cursor goes on elsewhere.
    partly = _api(server).runs(project, per_page=PER_PAGE)
    assert partly[0].id == runs[0].id
    rest = _api(server).runs(project, per_page=PER_PAGE, start=partly.cursor)
    assert [run.id for run in rest] == [run.id for run in runs[PER_PAGE:]]


def test_files_are_counted_as_they_are_asked_for(server: Server, project: str, tmp_path: Path) -> None:
    api = _api(server)
    run = api.create_run(run_id="files", project=project)
    for name in ("a.txt", "b.txt", "sub/c.json", "empty.bin"):
        path = tmp_path / name
        path.parent.mkdir(exist_ok=True)
        path.write_text("" if name == "empty.bin" else name)
        uploaded = run.upload_file(str(path), root=str(tmp_path))
        assert (uploaded.name, uploaded.size) == (name, path.stat().st_size)
    assert len(run.files(per_page=1)) == 4
    assert sorted(file.name for file in run.files(per_page=1)) == [
        "a.txt",
        "b.txt",
        "empty.bin",
        "sub/c.json",
    ]
    assert len(run.files(names=["a.txt", "none"])) == len(run.files(pattern="%.json")) == 1
    assert not run.files(names=["none"])
    with run.file("sub/c.json").download(root=str(tmp_path / "down")) as opened:
        assert opened.read() == "sub/c.json"
    run.file("a.txt").delete()
    assert [file.name for file in run.files(pattern="%.txt")] == ["b.txt"]
    with pytest.raises(CommError, match="no such file"):
        run.upload_file(str(tmp_path / "none"))


def test_a_fork_shows_its_parent_s_rows(home: Home, server: Server, project: str) -> None:
    script = f"""
import runlane
with runlane.init(project={project!r}, id="parent") as run:
    for step in range(10):
        run.log({{"x": step, "who": "parent"}})
with runlane.init(project={project!r}, id="child", fork_from="parent?_step=4") as run:
    for step in range(5, 8):
        run.log({{"x": step * 10, "who": "child"}})
"""
    home.python(script, env=server.env)
    child = _api(server).run(f"{project}/child")
    rows = [(row["_step"], row["x"], row["who"]) for row in child.scan_history()]
    parents = [(step, step, "parent") for step in range(5)]
    assert rows == parents + [(step, step * 10, "child") for step in range(5, 8)]
    assert [row["x"] for row in child.scan_history(keys=["x"], min_step=4, max_step=6)] == [4, 50]
    pytest.importorskip("pandas")
    frame = child.history_frame(keys=["x"], format="pandas")
    assert frame["x"].to_list() == [0, 1, 2, 3, 4, 50, 60, 70]
