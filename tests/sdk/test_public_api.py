"""The Public API against a small GraphQL server in this process."""

from __future__ import annotations

import base64
import json
import pickle
import threading
import time
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer

import pytest
from runlane.errors import AuthenticationError, CommError
from runlane.public_api import Api, RunNotFoundError

KEY = "k" * 40
ROWS = [
    {"_step": step, "loss": 1 / (step + 1), **({"rare": step} if step % 100 == 0 else {})}
    for step in range(250)
]
ROWS.append({"_step": 100_000, "loss": float("nan")})


class _Server:
    """Answers what the client asks; keeps what it was asked."""

    def __init__(self):
        self.requests = []
        self.failures = []
        self.run = {
            "id": "UnVu",
            "projectId": 1,
            "name": "abc",
            "displayName": "nice-run-1",
            "state": "finished",
            "tags": ["t"],
            "config": json.dumps({"lr": {"value": 0.1, "desc": None}, "_wandb": {"value": {"t": 1}}}),
            "summaryMetrics": '{"loss": NaN, "n": {"max": 3}}',
            "systemMetrics": None,
            "createdAt": "2026-01-02T03:04:05",
            "historyLineCount": len(ROWS),
            "historyKeys": {"keys": {"loss": {}}, "lastStep": 100_000, "sets": []},
            "user": {"name": "U", "username": "u"},
            "notes": "n",
            "group": None,
            "jobType": "train",
        }
        server = self

        class Handler(BaseHTTPRequestHandler):
            def do_POST(self):
                body = json.loads(self.rfile.read(int(self.headers["Content-Length"])))
                server.requests.append((body["query"], body["variables"], self.headers.get("Authorization")))
                if server.failures:
                    self.reply(*server.failures.pop(0))
                else:
                    self.reply(200, json.dumps({"data": server.answer(body["query"], body["variables"])}))

            def do_GET(self):
                server.requests.append((self.path, {}, self.headers.get("Authorization")))
                self.reply(200, "content")

            def reply(self, status, text):
                data = text.encode()
                self.send_response(status)
                self.send_header("Content-Length", str(len(data)))
                self.end_headers()
                self.wfile.write(data)

            def log_message(self, *_args):
                return

        self.http = ThreadingHTTPServer(("127.0.0.1", 0), Handler)
        self.url = f"http://127.0.0.1:{self.http.server_port}"
        self.thread = threading.Thread(target=self.http.serve_forever, daemon=True)
        self.thread.start()

    def answer(self, query, variables):
        if "viewer" in query:
            return {"viewer": {"id": "1", "entity": "e", "username": "u"}}
        if "serverInfo" in query:
            return {"serverInfo": {"features": []}}
        if "models(" in query:
            page = int(variables["cursor"] or 0)
            edges = [{"node": {"id": "p", "name": f"p{page}", "entityName": "e", "createdAt": None}}]
            return {
                "models": {"edges": edges, "pageInfo": {"hasNextPage": page < 2, "endCursor": str(page + 1)}}
            }
        if "mutation" in query:
            return {"upsertBucket": {"bucket": self.run}}
        return {"project": self.project(query, variables)}

    def project(self, query, variables):
        if variables.get("name") == "missing" or variables.get("project") == "missing":
            return None
        if "runs(" in query:
            first = int(variables["cursor"] or 0)
            runs = [
                {"node": {**self.run, "name": f"run{index}"}, "cursor": str(index + 1)}
                for index in range(first, min(first + 2, 5))
            ]
            return {
                "runCount": 5,
                "runs": {"edges": runs, "pageInfo": {"hasNextPage": first + 2 < 5, "endCursor": None}},
            }
        if "sampledHistory" in query:
            keys = json.loads(variables["specs"][0])["keys"]
            rows = [{key: row[key] for key in keys} for row in ROWS if all(key in row for key in keys)]
            return {
                "run": {
                    "sampledHistory": [[{**row, "loss": "NaN"} if "loss" in row else row for row in rows]]
                }
            }
        if "minStep" in query:
            rows = [row for row in ROWS if variables["minStep"] <= row["_step"] < variables["maxStep"]]
            return {"run": {"history": [json.dumps(row) for row in rows[: variables["pageSize"]]]}}
        if "history(samples" in query or "events(samples" in query:
            return {
                "run": {
                    "history": [json.dumps(row) for row in ROWS[: variables["samples"]]],
                    "events": ['{"system.cpu": 1}'],
                }
            }
        if "files(" in query:
            names = [
                name
                for name in ("a.txt", "../evil")
                if not variables["fileNames"] or name in variables["fileNames"]
            ]
            edges = [
                {
                    "node": {"name": name, "sizeBytes": 7, "directUrl": f"/storage/{index}", "id": "f"},
                    "cursor": "1",
                }
                for index, name in enumerate(names)
            ]
            return {"run": {"files": {"edges": edges, "pageInfo": {"hasNextPage": False}}}}
        return {"run": self.run}


@pytest.fixture
def server():
    made = _Server()
    yield made
    made.http.shutdown()
    made.http.server_close()


@pytest.fixture
def api(server, world):
    return Api(overrides={"base_url": server.url}, api_key=KEY, timeout=5)


def test_run_attributes(api, server):
    run = api.run("e/p/abc")
    assert (run.name, run.id, run.state, run.path, run.tags) == (
        "nice-run-1",
        "abc",
        "finished",
        ["e", "p", "abc"],
        ["t"],
    )
    assert run.config == {"lr": 0.1}
    assert "_wandb" in run.rawconfig
    assert run.summary["loss"] != run.summary["loss"]
    assert run.summary["n"] == {"max": 3}
    assert (run.notes, run.job_type, run.user.username, run.created_at, run.createdAt) == (
        "n",
        "train",
        "u",
        "2026-01-02T03:04:05",
        "2026-01-02T03:04:05",
    )
    assert run.rawconfig["_wandb"] == {"t": 1}
    assert json.loads(run.json_config) == {"lr": {"value": 0.1, "desc": None}}
    assert (run.display_name, run.history_line_count, run.username) == ("nice-run-1", len(ROWS), "e")
    with pytest.raises(AttributeError, match=r"<Run e/p/abc \(finished\)>.*has no attribute 'nope'"):
        _ = run.nope
    assert run.url == f"{server.url}/e/p/runs/abc"
    assert server.requests[0][2] == "Basic " + base64.b64encode(f"api:{KEY}".encode()).decode()


@pytest.mark.parametrize("path", ["e/p/abc", "/e/p/abc", "e/p/runs/abc", "p/abc"])
def test_run_paths(api, path):
    assert api.run(path).path == ["e", "p", "abc"]


@pytest.mark.parametrize("path", ["", "/", "a/b/c/d", None])
def test_wrong_run_paths(api, path):
    with pytest.raises(ValueError, match="invalid run path"):
        api.run(path)


def test_runs_are_cached_until_flush(api, server):
    assert api.run("e/p/abc") is api.run("e/p/abc")
    count = len(server.requests)
    api.flush()
    api.run("e/p/abc")
    assert len(server.requests) == count + 1


def test_missing_run_and_project(api):
    with pytest.raises(CommError, match="Could not find run e/p/missing") as caught:
        api.run("e/p/missing")
    assert isinstance(caught.value.exc, RunNotFoundError)
    with pytest.raises(ValueError, match="Could not find project"):
        len(api.runs("e/missing"))


def test_history_sample(api):
    run = api.run("e/p/abc")
    rows = run.history(samples=10, pandas=False)
    assert [row["_step"] for row in rows] == list(range(10))
    assert [row["rare"] for row in run.history(keys=["rare"], pandas=False)] == [0, 100, 200]
    assert (
        run.history(keys=["loss"], pandas=False)[0]["loss"]
        != run.history(keys=["loss"], pandas=False)[0]["loss"]
    )
    assert run.history(stream="system", pandas=False) == [{"system.cpu": 1}]
    with pytest.raises(ValueError, match="unknown stream"):
        run.history(stream="other")


def test_wrong_keys_of_a_sample_print_an_error_and_give_nothing(api, capsys):
    run = api.run("e/p/abc")
    assert run.history(keys="loss") == run.history(keys=[1]) == []
    assert run.history(keys=["loss"], stream="system") == []
    printed = capsys.readouterr().err
    assert "keys must be specified in a list" in printed
    assert "keys argument must be a list of strings" in printed
    assert "stream must be default when specifying keys" in printed


def test_wrong_arguments_are_value_errors_and_comm_errors_that_hold_one(api):
    run = api.run("e/p/abc")
    calls = [
        lambda: run.scan_history(keys="loss"),
        lambda: run.scan_history(keys=[1]),
        lambda: run.scan_history(page_size=0),
        lambda: run.files(names=["a"], pattern="b"),
        lambda: run.history_frame(format="csv"),
        lambda: run.console_logs(last=0),
        lambda: api.runs("e/p").histories(format="csv"),
        lambda: api.run("a/b/c/d"),
        lambda: api.from_path("a/b/c/d/e"),
    ]
    for call in calls:
        with pytest.raises(ValueError) as caught:
            call()
        assert isinstance(caught.value, CommError)
        assert isinstance(caught.value.exc, ValueError)
    with pytest.raises(ValueError, match="per_page"):
        api.runs("e/p", per_page=0)


def test_history_as_a_frame(api):
    pytest.importorskip("pandas")
    frame = api.run("e/p/abc").history(samples=5)
    assert next(iter(frame.columns)) == "_step"
    assert len(frame) == 5


@pytest.mark.parametrize("page_size", [7, 100, 1000])
def test_scan_history_yields_every_row_across_gaps(api, server, page_size):
    rows = list(api.run("e/p/abc").scan_history(page_size=page_size))
    assert [row["_step"] for row in rows] == [row["_step"] for row in ROWS]
    assert len(server.requests) < 60


def test_scan_history_with_keys_and_bounds(api):
    run = api.run("e/p/abc")
    assert list(run.scan_history(keys=["rare"])) == [{"rare": step, "_step": step} for step in (0, 100, 200)]
    scan = run.scan_history(keys=["rare"])
    assert next(scan)["rare"] == 0
    assert [row["rare"] for row in scan] == [0, 100, 200]
    assert scan.max_step == 100_001
    assert [row["_step"] for row in run.scan_history(min_step=10, max_step=13)] == [10, 11, 12]
    with pytest.raises(ValueError, match="page_size"):
        run.scan_history(page_size=0)


def test_runs_are_a_lazy_sequence(api, server):
    runs = api.runs("e/p", filters={"state": "finished"}, order="-created_at", per_page=2)
    assert server.requests == []
    assert len(runs) == 5
    assert [run.id for run in runs] == [f"run{index}" for index in range(5)]
    assert runs[3].id == "run3"
    assert [run.id for run in runs[1:3]] == ["run1", "run2"]
    pages = [variables for query, variables, _ in server.requests if "runs(" in query]
    assert [page["cursor"] for page in pages] == [None, "2", "4"]
    assert json.loads(pages[0]["filters"]) == {"state": "finished"}
    assert runs[0].config == {"lr": 0.1}


def test_the_next_page_comes_while_a_loop_uses_this_one(api, server):
    runs = api.runs("e/p", per_page=2)
    loop = iter(runs)
    assert next(loop).id == "run0"
    assert _pages_asked_for(server) == [None]
    assert next(loop).id == "run1"
    deadline = time.monotonic() + 5
    while len(_pages_asked_for(server)) < 2 and time.monotonic() < deadline:
        time.sleep(0.005)
    # One page ahead, and no more however long nobody asks.
    assert _pages_asked_for(server) == [None, "2"]
    assert len(runs.objects) == 2
    assert [run.id for run in loop] == ["run2", "run3", "run4"]
    assert _pages_asked_for(server) == [None, "2", "4"]
    assert [run.id for run in runs] == [run.id for run in runs]
    assert len(_pages_asked_for(server)) == 3


def test_a_page_that_fails_ahead_of_time_fails_where_it_is_needed(api, server):
    runs = api.runs("e/p", per_page=2)
    assert len(runs) == 5
    server.failures = [(400, '{"errors": [{"message": "no page"}]}')] * 2
    loop = iter(runs)
    assert [next(loop).id, next(loop).id] == ["run0", "run1"]
    with pytest.raises(CommError, match="no page"):
        next(loop)
    server.failures = []
    assert [run.id for run in runs] == [f"run{index}" for index in range(5)]


def test_a_list_goes_on_from_a_saved_cursor(api):
    runs = api.runs("e/p", per_page=2)
    next(runs)
    later = api.runs("e/p", per_page=2, start=runs.cursor)
    assert [run.id for run in later] == ["run2", "run3", "run4"]


def test_slices_load_what_they_need(api, server):
    runs = api.runs("e/p", per_page=2)
    assert [run.id for run in runs[:2]] == ["run0", "run1"]
    assert _pages_asked_for(server) == [None]
    assert runs[-1].id == "run4"
    assert [run.id for run in runs[-2:]] == ["run3", "run4"]
    assert [run.id for run in runs[::2]] == ["run0", "run2", "run4"]
    with pytest.raises(IndexError):
        runs[5]
    assert bool(runs)


def _pages_asked_for(server):
    return [variables["cursor"] for query, variables, _ in server.requests if "runs(" in query]


def test_histories_of_all_runs_have_their_run_ids(api):
    rows = api.runs("e/p", per_page=2).histories(samples=3)
    assert [row["run_id"] for row in rows] == [f"run{index}" for index in range(5) for _ in range(3)]
    frame = pytest.importorskip("pandas") and api.runs("e/p").histories(samples=3, format="pandas")
    assert (list(frame.columns), len(frame)) == (["_step", "loss", "rare", "run_id"], 15)


def test_an_api_and_its_objects_can_be_pickled_without_the_key(api, server, monkeypatch):
    monkeypatch.setenv("WANDB_API_KEY", KEY)
    run = api.run("e/p/abc")
    runs = api.runs("e/p", per_page=2)
    len(runs)
    pickled = pickle.dumps((api, run, runs))
    assert KEY.encode() not in pickled
    other, again, list_again = pickle.loads(pickled)
    assert other._client.base_url == server.url
    assert (again.summary["n"], again.config) == (run.summary["n"], run.config)
    assert [run.id for run in list_again] == [f"run{index}" for index in range(5)]


def test_summary_keys_can_be_changed_renamed_and_deleted(api, server):
    summary = api.run("e/p/abc").summary
    summary["renamed"] = summary["n"]
    del summary["n"]
    summary["renamed"]["min"] = 1
    summary.update({"loss": 2, "new": {"deep": 3}}, overwrite=False)
    sent = [variables for query, variables, _ in server.requests if "summaryMetrics" in variables]
    assert len(sent) == 1
    stored = json.loads(sent[0]["summaryMetrics"])
    assert stored["loss"] != stored["loss"]
    assert (stored["renamed"], stored["new"]) == ({"max": 3, "min": 1}, {"deep": 3})
    assert "n" not in stored
    assert summary.new.deep == summary["new"]["deep"] == 3
    assert summary.get("none") is None and summary.get("none", 4) == 4


def test_what_comes_later_says_so(api):
    from runlane import public_api
    from runlane.errors import NotYetError

    project = api.project("p", "e")
    calls = [
        lambda: api.artifact("e/wandb-registry-model/a:v0"),
        lambda: api.sweep("e/p/s"),
        lambda: api.reports("e/p"),
        lambda: api.registry("r"),
        lambda: api.automations(),
        lambda: api.from_path("e/p/sweeps/s"),
        project.sweeps,
        lambda: public_api.Sweep(),
    ]
    for call in calls:
        with pytest.raises(NotYetError, match="later version"):
            call()
    with pytest.raises(AttributeError):
        _ = public_api.Nothing


def test_projects_of_all_pages(api):
    assert [project.path for project in api.projects()] == [["e", "p0"], ["e", "p1"], ["e", "p2"]]


def test_update_sends_config_and_keeps_internal_keys(api, server):
    run = api.run("e/p/abc")
    run.config["bar"] = 32
    run.name = "renamed"
    run.update()
    updates = [variables for query, variables, _ in server.requests if query.startswith("mutation")]
    assert json.loads(updates[0]["config"])["bar"] == {"value": 32, "desc": None}
    assert "_wandb" in json.loads(updates[0]["config"])
    assert updates[0]["display_name"] == "renamed"
    assert '"loss": NaN' in updates[1]["summaryMetrics"]


def test_file_download(api, world):
    run = api.run("e/p/abc")
    with run.file("a.txt").download() as file:
        assert file.read() == "content"
    with pytest.raises(ValueError, match="already exists"):
        run.file("a.txt").download()
    run.file("a.txt").download(exist_ok=True).close()
    run.file("a.txt").download(replace=True).close()
    with pytest.raises(CommError, match=r"has no file `none\.txt`") as caught:
        run.file("none.txt")
    assert isinstance(caught.value.exc, IndexError)
    assert [file.name for file in run.files()] == ["a.txt", "../evil"]


def test_file_name_cannot_leave_the_directory(api, world):
    with pytest.raises(ValueError, match="leaves the directory"):
        api.run("e/p/abc").file("../evil").download()
    assert not (world.parent / "evil").exists()


def test_key_stays_with_its_server(api, server):
    other = _Server()
    try:
        api._client.download(f"{other.url}/file").close()
        assert other.requests[0][2] is None
    finally:
        other.http.shutdown()
        other.http.server_close()
    with pytest.raises(CommError, match="scheme 'file'"):
        api._client.download("file:///etc/passwd")


def test_passing_errors_are_asked_again(api, server):
    server.failures = [(503, "busy"), (429, "slow down")]
    assert api.run("e/p/abc").name == "nice-run-1"


def test_errors_have_their_class_and_cause(api, server):
    server.failures = [(401, '{"error": {"code": "unauthorized", "message": "bad key"}}')]
    with pytest.raises(AuthenticationError, match="bad key"):
        api.run("e/p/abc")
    server.failures = [(400, '{"errors": [{"message": "wrong query"}]}')]
    with pytest.raises(CommError, match="wrong query") as caught:
        api.run("e/p/abc")
    assert caught.value.exc is not None
    server.failures = [(200, '{"errors": [{"message": "no such field"}]}')]
    with pytest.raises(CommError, match="no such field"):
        api.client.execute("query { x }")
    server.failures = [(200, "<html>")]
    with pytest.raises(CommError, match="did not answer with JSON"):
        api.run("e/p/abc")


def test_unreachable_server_is_a_comm_error(world):
    api = Api(overrides={"base_url": "http://127.0.0.1:1"}, api_key=KEY, timeout=1)
    with pytest.raises(CommError, match=r"cannot reach the server at http://127\.0\.0\.1:1") as caught:
        api.run("e/p/abc")
    assert isinstance(caught.value.exc, OSError)


def test_no_server_or_key_is_a_usage_error(wandb, monkeypatch):
    with pytest.raises(wandb.UsageError, match="no server is configured"):
        wandb.Api()
    with pytest.raises(wandb.UsageError, match="No API key configured"):
        wandb.Api(overrides={"base_url": "http://127.0.0.1:1"})


def test_one_api_from_many_threads(api):
    results = []
    threads = [
        threading.Thread(target=lambda: results.append(len(list(api.run("e/p/abc").scan_history()))))
        for _ in range(8)
    ]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert results == [len(ROWS)] * 8


def test_login_verifies_the_key(wandb, server, capsys):
    assert wandb.login(key=KEY, host=server.url) is True
    assert "Currently logged in as: u" in capsys.readouterr().err
    server.failures = [(401, "{}")]
    with pytest.raises(AuthenticationError):
        wandb.login(key="x" * 40, host=server.url)
