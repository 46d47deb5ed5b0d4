"""OpenMetrics endpoints and DCGM's exporter, end to end: an offline run with a server on loopback that behaves or does not."""

from __future__ import annotations

import http.server
import json
import threading
import time
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any
from urllib.parse import unquote_plus

from recorded import samples_of
from world import Home

METRICS = """\
# HELP requests_total Requests.
# TYPE requests_total counter
requests_total{{method="post"}} {count}
requests_total{{method="get"}} 5
# TYPE temperature gauge
temperature{{room="a \\"b\\""}} 21.5
temperature{{room="c"}} NaN
# TYPE duration histogram
duration_bucket{{le="+Inf"}} 1
duration_count 1
# TYPE hidden gauge
hidden 1
undeclared 3
"""
TRAIN = """
import {module} as wandb
settings = wandb.Settings(mode="offline", x_stats_sampling_interval=0.1, x_stats_disk_paths=(), {words})
run = wandb.init(project="p", settings=settings)
import time
time.sleep({secs})
run.finish()
"""


class Endpoint(http.server.ThreadingHTTPServer):
    """Answers by path; remembers who asked."""

    daemon_threads = True

    def __init__(self) -> None:
        self.requests: list[tuple[str, dict[str, str]]] = []
        self.over = threading.Event()
        super().__init__(("127.0.0.1", 0), Handler)

    @property
    def url(self) -> str:
        return f"http://127.0.0.1:{self.server_port}"

    def asked(self, path: str) -> list[dict[str, str]]:
        return [headers for asked, headers in self.requests if asked.startswith(path)]


class Handler(http.server.BaseHTTPRequestHandler):
    server: Endpoint

    def do_GET(self) -> None:
        self.server.requests.append((self.path, dict(self.headers)))
        path = self.path.partition("?")[0]
        if path == "/hang":
            self.server.over.wait(60)
            return
        if path == "/endless":
            self.send_response(200)
            self.end_headers()
            try:
                while not self.server.over.is_set():
                    self.wfile.write(b"# TYPE x gauge\nx 1\n" * 10_000)
            except OSError:
                return
        body = {
            "/metrics": METRICS.format(count=len(self.server.asked("/metrics"))),
            "/turned": self.turned(),
            "/garbage": "<!DOCTYPE html>\n<title>Sign in</title>\n",
            "/api/v1/query": self.query(),
        }.get(path)
        self.send_response(404 if body is None else 200)
        self.end_headers()
        self.wfile.write((body or "").encode())

    def turned(self) -> str:
        """Series in another order each time; each has its own number as its value."""
        lines = [f'x{{name="{name}"}} {value}' for name, value in (("one", 1), ("two", 2), ("three", 3))]
        turn = len(self.server.asked("/turned")) - 1
        return "# TYPE x gauge\n" + "\n".join(lines[turn % 3 :] + lines[: turn % 3]) + "\n"

    def query(self) -> str:
        def series(name: str, value: str, **labels: str) -> dict[str, Any]:
            return {"metric": {"__name__": name, **labels}, "value": [time.time(), value]}

        result = [
            series("DCGM_FI_DEV_GPU_TEMP", "40.5", gpu="0", node="n1"),
            series("DCGM_FI_PROF_SM_ACTIVE", "0.5", gpu="1"),
            series("DCGM_FI_DEV_XID_ERRORS", "1", gpu="1"),
        ]
        return json.dumps({"status": "success", "data": {"resultType": "vector", "result": result}})

    def log_message(self, *_args: Any) -> None:
        pass


@contextmanager
def endpoint() -> Iterator[Endpoint]:
    server = Endpoint()
    threading.Thread(target=server.serve_forever, args=(0.01,), daemon=True).start()
    try:
        yield server
    finally:
        server.over.set()
        server.shutdown()
        server.server_close()


def record(
    home: Home, secs: float = 1.0, python: str | None = None, **settings: Any
) -> tuple[list[dict[str, float]], str]:
    """The samples of a run with these settings, without the host's own keys, and what it printed; `python` has the real client."""
    words = ", ".join(f"x_stats_{name}={value!r}" for name, value in settings.items())
    module = "wandb" if python else "runlane"
    code = TRAIN.format(module=module, words=words, secs=secs)
    printed = home.python(code, **({"python": python} if python else {}))
    (log,) = Path(home.run_dirs()[-1]).glob("run-*.wandb")
    found = [
        {key: value for key, value in sample.items() if key.startswith(("openmetrics.", "gpu."))}
        for sample in samples_of(log)
    ]
    return [sample for sample in found if sample], printed.stdout + printed.stderr


def keys(samples: list[dict[str, float]]) -> set[str]:
    return {key for sample in samples for key in sample}


def test_counters_and_gauges_are_recorded_with_the_number_of_their_labels(home: Home) -> None:
    with endpoint() as server:
        samples, printed = record(
            home,
            open_metrics_endpoints={"node": f"{server.url}/metrics", "turned": f"{server.url}/turned"},
            open_metrics_filters=["node.requests", "temperature$", "turned"],
            open_metrics_http_headers={"Authorization": "Bearer token"},
        )
        assert server.asked("/metrics")[0]["authorization"] == "Bearer token"
    assert keys(samples) == {
        "openmetrics.node.requests_total.0",
        "openmetrics.node.requests_total.1",
        "openmetrics.node.temperature.0",
        "openmetrics.turned.x.0",
        "openmetrics.turned.x.1",
        "openmetrics.turned.x.2",
    }
    counts = [
        sample["openmetrics.node.requests_total.0"]
        for sample in samples
        if "openmetrics.node.requests_total.0" in sample
    ]
    assert counts[0] == 1 and counts == sorted(counts) and len(counts) >= 3
    for sample in samples:
        for number in range(3):
            assert sample.get(f"openmetrics.turned.x.{number}", number + 1) == number + 1
    assert "warning" not in printed.lower(), printed


def test_filters_by_label(home: Home) -> None:
    with endpoint() as server:
        samples, _ = record(
            home,
            open_metrics_endpoints={"node": f"{server.url}/metrics"},
            open_metrics_filters={
                "node.requests.*": {"method": "^g"},
                "node.temp": {"room": "b", "floor": "."},
            },
        )
    assert keys(samples) == {"openmetrics.node.requests_total.0"}
    assert samples[0] == {"openmetrics.node.requests_total.0": 5}


def test_dcgm_metrics_come_from_a_prometheus_query(home: Home) -> None:
    query = 'DCGM_FI_DEV_GPU_TEMP{cluster="a b"}'
    with endpoint() as server:
        samples, _ = record(home, dcgm_exporter=f"{server.url}/api/v1/query?query={query}")
        path = server.requests[0][0]
    assert unquote_plus(path) == f"/api/v1/query?query={query}"
    assert samples[0] == {"gpu.0.temp/l:n1": 40.5, "gpu.1.smActive": 0.5}


def test_endpoints_that_misbehave_disturb_no_other(home: Home) -> None:
    with endpoint() as server:
        begun = time.monotonic()
        samples, printed = record(
            home,
            open_metrics_endpoints={
                name: f"{server.url}/{name}" for name in ("hang", "endless", "garbage", "nowhere", "turned")
            }
            | {"refused": "http://user:secret@127.0.0.1:1/metrics"},
        )
        took = time.monotonic() - begun
        hung, asked = len(server.asked("/hang")), len(server.asked("/garbage"))
    assert keys(samples) == {f"openmetrics.turned.x.{number}" for number in range(3)}
    assert len(samples) >= 5
    # They are asked ever more rarely, and one that hangs is not asked again while it does.
    assert hung == 1 and asked <= 4
    assert took < 30
    for name in ("garbage", "nowhere", "refused"):
        assert printed.count(f"openmetrics {name}") == 1, printed
    assert "secret" not in printed


def test_a_filter_that_is_no_expression_is_one_warning(home: Home) -> None:
    with endpoint() as server:
        samples, printed = record(
            home,
            open_metrics_endpoints={"node": f"{server.url}/metrics"},
            open_metrics_filters=["("],
        )
        assert server.requests == []
    assert samples == []
    assert printed.count("is no regular expression") == 1, printed


def test_keys_and_values_are_those_of_the_real_client(home: Home, wandb_python: str) -> None:
    with endpoint() as server:
        settings = {
            "open_metrics_endpoints": {"node": f"{server.url}/metrics"},
            "open_metrics_filters": ["node.(requests|temp)", "nothing"],
            "dcgm_exporter": f"{server.url}/api/v1/query?query=DCGM_FI_DEV_GPU_TEMP",
        }
        theirs, _ = record(home, python=wandb_python, **settings)
        ours, _ = record(home, **settings)

    def fixed(samples: list[dict[str, float]]) -> dict[str, float | None]:
        """The values that do not change. What is no number stands in theirs as null, and not in ours."""
        merged = {key: value for sample in samples for key, value in sample.items()}
        merged.pop("openmetrics.node.requests_total.0")
        return {key: value for key, value in merged.items() if value is not None}

    assert fixed(ours) == fixed(theirs)
    assert len(fixed(ours)) == 4
