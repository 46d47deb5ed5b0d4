"""`watch`: what it logs is what wandb logs, and it harms neither the model nor the training."""

from __future__ import annotations

import json
import math
from typing import Any

import pytest
from reading import read_run
from world import Home, Server

# The same lines for both libraries: models of several kinds, watched in several ways.
BODY = """
import json, sys
import torch
from torch import nn
import {module} as wandb

torch.manual_seed(3)
run = wandb.init(project={project!r}, id={id!r}, settings={{"console": "off", "x_disable_stats": True}})

class Net(nn.Module):
    def __init__(self):
        super().__init__()
        self.conv = nn.Conv2d(1, 3, 3)
        self.body = nn.Sequential(nn.Linear(12, 40), nn.ReLU(), nn.Sequential(nn.Linear(40, 4), nn.Tanh()))
        self.rnn = nn.LSTM(4, 3, batch_first=True)
        self.head = nn.Linear(3, 2)
    def forward(self, x):
        return self.head(self.rnn(self.body(self.conv(x).flatten(1)).unsqueeze(1))[0])

class Odd(nn.Module):
    def __init__(self):
        super().__init__()
        self.holes = nn.Parameter(torch.tensor([float("nan"), 1.0, 2.0, float("inf"), -float("inf")]))
        self.nothing = nn.Parameter(torch.full((3,), float("nan")))
        self.same = nn.Parameter(torch.full((7,), 2.5))
        self.one = nn.Parameter(torch.tensor(3.0))
        self.void = nn.Parameter(torch.zeros(0))
        self.halves = nn.Parameter(torch.linspace(-1, 1, 50).half())
        self.brains = nn.Parameter(torch.linspace(-1, 1, 50).bfloat16())
        self.doubles = nn.Parameter(torch.linspace(-1, 1, 50).double())
        self.frozen = nn.Parameter(torch.linspace(0, 5, 50), requires_grad=False)
        self.words = nn.Embedding(10, 3, sparse=True)
        self.shared = self.words
    def forward(self, x):
        return self.words(x).sum() + (self.same * self.one).sum() + self.doubles.pow(2).sum()

net, odd, third = Net(), Odd(), nn.Sequential(nn.Linear(5, 5))
run.watch(net, nn.CrossEntropyLoss(), log="all", log_freq=2, log_graph=True)
run.watch([odd, third], log="all", log_freq=1)
for step in range(4):
    net(torch.randn(2, 1, 4, 4)).sum().backward()
    odd(torch.tensor([1, 2, 1])).backward()
    third(torch.randn(3, 5)).sum().backward()
    run.log({{"loss": step}})
run.unwatch(odd)
third(torch.randn(3, 5)).sum().backward()
odd(torch.tensor([1])).backward()
run.log({{"loss": 9}})
run.unwatch()
late = nn.Linear(2, 2)
run.watch(late, log="gradients", log_freq=1, idx=9)
for _ in range(2):
    late(torch.ones(1, 2)).sum().backward()
    run.log({{"loss": 10}})
run.finish()
hooks = sum(len(m._forward_hooks) for model in (net, odd, third, late) for m in model.modules())
hooks += sum(len(p._backward_hooks or ()) for model in (net, odd, third, late) for p in model.parameters())
print("HOOKS", hooks)
"""


def graph(run: dict[str, Any], home: Home, server: Server, path: str) -> dict[str, Any]:
    """The graph that the summary names, without what no two processes share."""
    entry = run["summary"]["graph_0"]
    assert entry["_type"] == "graph-file", entry
    code = f"""
import json
from runlane import Api
file = Api().run({path!r}).file({entry["path"]!r}).download({str(home.root / "graph")!r}, replace=True)
print("GRAPH" + file.read())
"""
    text = home.python(code, env=server.env).stdout.split("GRAPH", 1)[1].strip()
    assert len(text) == entry["size"]
    found: dict[str, Any] = json.loads(text)
    for node in found["nodes"]:
        del node["id"]
    return found


def assert_same_histogram(key: str, ours: dict[str, Any], theirs: dict[str, Any]) -> None:
    """Equal but for values within rounding of an edge."""
    assert ours["_type"] == theirs["_type"] == "histogram", key
    assert len(ours["values"]) == len(theirs["values"]), key
    assert sum(ours["values"]) == sum(theirs["values"]), key
    moved = most = 0
    for mine, other in zip(ours["values"], theirs["values"], strict=True):
        moved += mine - other
        most = max(most, abs(moved))
    assert most <= 1, (key, ours, theirs)
    span = max(map(abs, theirs["bins"]))
    assert ours["bins"] == pytest.approx(theirs["bins"], rel=1e-6, abs=1e-6 * span), key


@pytest.fixture(scope="module")
def both(
    torch_python: str, tmp_path_factory: pytest.TempPathFactory, server: Server
) -> dict[str, dict[str, Any]]:
    """The run of each library as the server has it, with its graph."""
    from world import make_home

    found = {}
    for module in ("runlane", "wandb"):
        home = make_home(tmp_path_factory.mktemp(module))
        try:
            code = BODY.format(module=module, project="watch", id=f"of-{module}")
            done = home.python(code, env=server.env, python=torch_python)
            path = f"{server.entity}/watch/of-{module}"
            run = read_run(home, server, path)
            run["graph"] = graph(run, home, server, path)
            run["printed"] = done.stdout
            found[module] = run
        finally:
            home.stop_daemon()
    return found


def test_rows_have_the_histograms_that_wandb_logs(both: dict[str, dict[str, Any]]) -> None:
    """Keys, steps, prefixes, `log_freq`, bins and counts."""
    ours, theirs = both["runlane"]["rows"], both["wandb"]["rows"]
    assert len(ours) == len(theirs) == 7
    watched = 0
    for mine, other in zip(ours, theirs, strict=True):
        assert mine.keys() == other.keys()
        assert (mine["_step"], mine["loss"]) == (other["_step"], other["loss"])
        for key in mine:
            if key.startswith(("gradients/", "parameters/")):
                watched += 1
                assert_same_histogram(key, mine[key], other[key])
    assert watched > 60
    assert "parameters/graph_1holes" in ours[0], sorted(ours[0])
    assert not any(key.endswith(("nothing", "void")) for row in ours for key in row)


def test_the_graph_is_the_one_that_wandb_stores(both: dict[str, dict[str, Any]]) -> None:
    """Modules in the order of their first call, with parameters and shapes."""
    assert both["runlane"]["graph"] == both["wandb"]["graph"]
    names = [node["name"] for node in both["runlane"]["graph"]["nodes"]]
    assert names == ["conv", "body.0", "body.1", "body.2.0", "body.2.1", "rnn", "head"]


def test_a_finished_run_leaves_no_hook_behind(both: dict[str, dict[str, Any]]) -> None:
    """Neither after `unwatch` nor after `finish`."""
    assert "HOOKS 0" in both["runlane"]["printed"]


# Checks that need no server: they run in one process, each in an offline run of its own.
OFFLINE = """
import gc, json, sys, weakref
import torch
from torch import nn
import runlane

from runlane._watch.watcher import MAX_TENSORS as MAX
checks = []
def check(function):
    checks.append(function)
    return function

def logged(run):
    return {key: value for key, value in dict(run.summary).items() if key.startswith(("gradients/", "parameters/"))}

def raises(kind, text, call):
    try:
        call()
    except kind as error:
        assert text in str(error), error
    else:
        raise AssertionError(f"no {kind.__name__}")

@check
def misuse(run):
    net = nn.Linear(2, 2)
    for word in ("x", True, 3):
        raises(ValueError, "log must be one of 'gradients', 'parameters', 'all', or None", lambda: run.watch(net, log=word))
    raises(TypeError, "Expected a pytorch model (torch.nn.Module). Received <class 'str'>", lambda: run.watch("no"))
    raises(TypeError, "torch.nn.Module", lambda: run.watch({net}))
    raises(TypeError, "`log_freq` must be an integer", lambda: run.watch(net, log_freq="a"))
    raises(TypeError, "`idx` must be an integer", lambda: run.watch(net, idx="a"))
    run.watch(net, log_freq=torch.tensor(3).numpy(), idx=torch.tensor(7).numpy()[()])
    run.watch(net, idx=0)
    raises(ValueError, 'A hook has already been set under name "gradients/weight"', lambda: run.watch(net, idx=0))
    run.unwatch(net)
    run.unwatch(net)
    run.unwatch("never watched")
    run.watch(net, idx=0)
    run.watch([])
    runlane.unwatch()

@check
def the_run_does_not_hold_the_model(run):
    net = nn.Linear(3, 3)
    run.watch(net, log="all", log_freq=1, log_graph=True, idx=0)
    net(torch.ones(1, 3)).sum().backward()
    gone = weakref.ref(net)
    del net
    gc.collect()
    assert gone() is None
    # Its names are free again.
    run.watch(nn.Linear(3, 3), idx=0)

@check
def values_are_those_of_the_moment(run):
    net = nn.Linear(1000, 1, bias=False)
    run.watch(net, log="all", log_freq=1, idx=0)
    net.weight.data.copy_(torch.arange(1000.0))
    loss = net(torch.arange(1000.0)).sum()
    net.weight.data.zero_()
    loss.backward()
    net.weight.grad.zero_()
    run.log({})
    found = logged(run)
    assert found["parameters/weight"]["bins"][-1] == 999, found
    assert found["gradients/weight"]["bins"][-1] == 999, found

@check
def a_backward_pass_that_fails_costs_nothing(run):
    net = nn.Linear(2, 2)
    run.watch(net, log_freq=1, idx=0)
    output = net(torch.ones(1, 2))
    net.weight.register_hook(lambda gradient: 1 / 0)
    for _ in range(2):
        raises(ZeroDivisionError, "", lambda: net(torch.ones(1, 2)).sum().backward())
    run.log({"loss": 1})
    healthy = nn.Linear(2, 2)
    run.watch(healthy, log_freq=1, idx=5)
    healthy(torch.ones(1, 2)).sum().backward()
    run.log({"loss": 1})
    assert "gradients/graph_5weight" in logged(run), logged(run)

@check
def gradients_are_logged_per_pass_and_not_summed(run):
    net = nn.Linear(1, 1, bias=False)
    run.watch(net, log_freq=1, idx=0)
    for factor in (1.0, 10.0):
        net(torch.full((1, 1), factor)).sum().backward()
    run.log({})
    assert logged(run)["gradients/weight"]["bins"] == [10.0, 10.0]
    assert net.weight.grad.item() == 11.0

@check
def second_derivatives_and_functional_gradients_work(run):
    net = nn.Linear(2, 1)
    run.watch(net, log="all", log_freq=1, idx=0)
    loss = net(torch.ones(1, 2)).pow(2).sum()
    first, = torch.autograd.grad(loss, [net.weight], create_graph=True)
    first.sum().backward()
    run.log({})
    assert "gradients/weight" in logged(run)

@check
def wrapped_models_keep_the_names_of_the_wrapper(run):
    net = nn.DataParallel(nn.Linear(2, 2))
    run.watch(net, log="all", log_freq=1, idx=0)
    net(torch.ones(3, 2)).sum().backward()
    run.log({})
    assert set(logged(run)) == {"gradients/module.weight", "gradients/module.bias", "parameters/module.weight", "parameters/module.bias"}

@check
def ranks_and_checkpoints_work(run):
    if torch.distributed.is_available() and torch.distributed.is_gloo_available():
        torch.distributed.init_process_group("gloo", init_method=f"file://{run.dir}/store", rank=0, world_size=1)
        net = nn.parallel.DistributedDataParallel(nn.Linear(3, 2))
        run.watch(net, log="all", log_freq=1, idx=0)
        net(torch.ones(2, 3)).sum().backward()
        run.log({})
        assert set(logged(run)) == {"gradients/module.weight", "gradients/module.bias", "parameters/module.weight", "parameters/module.bias"}
        torch.distributed.destroy_process_group()
    from torch.utils.checkpoint import checkpoint
    net = nn.Sequential(nn.Linear(3, 3), nn.ReLU(), nn.Linear(3, 1))
    run.watch(net, log_freq=1, idx=1)
    middle = checkpoint(lambda x: net[1](net[0](x)), torch.ones(2, 3, requires_grad=True))
    net[2](middle).sum().backward()
    run.log({})
    assert {key for key in logged(run) if "graph_1" in key} == {f"gradients/graph_1{name}" for name, _ in net.named_parameters()}

@check
def odd_tensors_cost_one_warning_each(run):
    class Complex(nn.Module):
        def __init__(self):
            super().__init__()
            self.phase = nn.Parameter(torch.ones(2, dtype=torch.complex64))
            self.counts = nn.Parameter(torch.arange(9), requires_grad=False)
            self.flags = nn.Parameter(torch.tensor([True, False]), requires_grad=False)
            self.lazy = nn.LazyLinear(2)
            self.far = nn.Parameter(torch.empty(4, device="meta"))
        def forward(self, x):
            return self.phase.abs().sum() * self.lazy(x).sum()
    net = Complex()
    net(torch.ones(1, 2))
    run.watch(net, log="all", log_freq=1, idx=0)
    for _ in range(3):
        net(torch.ones(1, 2)).backward()
    run.log({})
    found = logged(run)
    assert found["parameters/counts"]["bins"][-1] == 8 and sum(found["parameters/flags"]["values"]) == 2
    assert "parameters/lazy.weight" in found and "parameters/phase" not in found

@check
def memory_layouts_do_not_matter(run):
    class Layouts(nn.Module):
        def __init__(self):
            super().__init__()
            self.a = nn.Parameter(torch.randn(40, 30).t())
            self.b = nn.Parameter(torch.randn(40, 60)[:, ::2])
            self.c = nn.Parameter(torch.randn(2, 3, 5, 7).contiguous(memory_format=torch.channels_last))
            self.d = nn.Parameter(torch.randn(1).expand(1200))
        def forward(self):
            return self.a.sum()
    net = Layouts()
    run.watch(net, log="parameters", log_freq=1, idx=0)
    net()
    run.log({})
    for name, parameter in net.named_parameters():
        found = logged(run)[f"parameters/{name}"]
        assert sum(found["values"]) == parameter.numel(), name
        if name != "d":
            expected = torch.histc(parameter.detach().double().flatten(), 64).tolist()
            assert sum(abs(x - y) for x, y in zip(found["values"], expected)) <= 2, name

@check
def a_model_with_parts_that_do_not_run_has_a_graph_too(run):
    class Partly(nn.Module):
        def __init__(self):
            super().__init__()
            self.used, self.unused = nn.Linear(2, 2), nn.Linear(2, 2)
        def forward(self, x):
            return {"out": self.used(x), "none": None}
    net = Partly()
    run.watch(net, log=None, log_graph=True, idx=4)
    net(torch.ones(1, 2))
    net(torch.ones(1, 2))
    entry = run.summary["graph_4"]
    nodes = json.load(open(run.dir + "/" + entry["path"]))["nodes"]
    assert [node["name"] for node in nodes] == ["used"], nodes
    assert not any(module._forward_hooks for module in net.modules())

@check
def what_is_watched_is_bounded(run):
    net = nn.ModuleList(nn.Linear(1, 1) for _ in range(2000))
    run.watch(net, log_freq=1, idx=0)
    assert sum(len(p._backward_hooks or ()) for p in net.parameters()) == MAX
    run.unwatch()
    again = nn.Linear(1, 1)
    for _ in range(MAX + 1):
        run.watch(again, log="all", idx=0)
        run.unwatch(again)
    run.watch(again, idx=0)
    assert len(again.weight._backward_hooks) == 1

@check
def watching_a_finished_run_is_no_error(run):
    net = nn.Linear(2, 2)
    run.watch(net, log="all", log_freq=1)
    run.finish()
    net(torch.ones(1, 2)).sum().backward()
    run.watch(net)
    run.unwatch()

@check
def what_devices_compute_is_what_the_host_does(run):
    # The device's way, on the host: the same operations of torch.
    from runlane._watch import tensors
    values = torch.randn(100_003)
    odd = values.clone()
    odd[::7], odd[3], odd[5] = float("nan"), float("inf"), -float("inf")
    cases = {
        "normal": (values, 0), "odd": (odd, 0), "same": (torch.full((7,), 2.5), 0), "nothing": (torch.full((7,), float("nan")), 0),
        "transposed": (torch.randn(30, 40).t(), 0), "strided": (torch.randn(40, 60)[:, ::2], 0), "expanded": (torch.randn(3, 1).expand(3, 5), 0),
        "above": (torch.rand(10) + 1, 24), "below": (-torch.rand(10) - 1, 24), "around": (torch.randn(10), 24),
        "half": (torch.linspace(-1, 1, 50).half(), 0), "brain": (torch.linspace(-1, 1, 50).bfloat16(), 0), "double": (torch.randn(50).double(), 0),
        "integers": (torch.arange(1000), 0), "flags": (torch.tensor([True, False]), 0), "one": (torch.tensor(3.0), 0),
    }
    tensors._PART, part = 1000, tensors._PART
    try:
        for name, (tensor, zeros) in cases.items():
            single = tensor.is_floating_point() and tensor.dtype != torch.float64
            there = tensors.object_of_counts(tensors.device_counts(tensor, zeros).tolist(), single)
            here = tensors.host_histogram(tensor, zeros)
            assert (there is None) == (here is None) == (name == "nothing"), name
            if here is not None:
                assert there["bins"] == here["bins"], name
                assert sum(there["values"]) == sum(here["values"]) > 0, name
                moved = sum(abs(x - y) for x, y in zip(there["values"], here["values"]))
                assert moved <= 4, (name, moved)
    finally:
        tensors._PART = part

for function in checks:
    run = runlane.init(project="watch", mode="offline", settings={"console": "off"})
    try:
        function(run)
    except BaseException as error:
        import traceback
        traceback.print_exc()
        print("FAILED", function.__name__, flush=True)
    run.finish()
disabled = runlane.init(mode="disabled")
disabled.watch(nn.Linear(2, 2))
disabled.unwatch()
print("CHECKS", len(checks))
"""


def test_it_harms_neither_the_model_nor_the_training(home: Home, torch_python: str) -> None:
    """Misuse, lifetimes, failing passes, odd tensors, limits: one process, many runs."""
    done = home.python(OFFLINE, python=torch_python, check=False)
    failed = [line for line in done.stdout.splitlines() if line.startswith("FAILED")]
    assert done.returncode == 0 and not failed and "CHECKS 14" in done.stdout, done.stdout + done.stderr
    warnings = [line for line in done.stderr.splitlines() if "WARNING" in line]
    assert sum("complex numbers have no order" in line for line in warnings) == 2, done.stderr
    assert sum("tensors of the model are not watched" in line for line in warnings) == 1, done.stderr
    assert sum("is finished: the model is not watched" in line for line in warnings) == 1, done.stderr
    assert not [line for line in warnings if "a histogram or graph is left out" in line], done.stderr


def test_without_torch_nothing_can_be_watched(home: Home) -> None:
    """The interpreter of the other tests has none."""
    code = """
import runlane
with runlane.init(mode="offline") as run:
    try:
        run.watch(object())
    except TypeError as error:
        print(error)
"""
    assert "Expected a pytorch model (torch.nn.Module). Received <class 'object'>" in home.python(code).stdout


def test_histograms_are_exact_at_the_ends() -> None:
    """The native part alone: the edges' ends are the extremes, and every finite value is counted."""
    import numpy as np
    from runlane import _core

    values = np.random.default_rng(1).normal(size=100_001).astype(np.float32)
    values[::1000] = math.nan
    finite = values[np.isfinite(values)]
    found = _core.histogram_of_memory(values.ctypes.data, values.size, "float32")
    assert found is not None
    assert sum(found["values"]) == finite.size
    assert np.float32(found["bins"][0]) == finite.min() and np.float32(found["bins"][-1]) == finite.max()
    expected, _ = np.histogram(finite.astype(np.float64), 64)
    assert np.abs(np.cumsum(found["values"]) - np.cumsum(expected)).max() <= 5
    with pytest.raises(ValueError, match="no 3 numbers of type `int8`"):
        _core.histogram_of_memory(values.ctypes.data, 3, "int8")
    with pytest.raises(ValueError, match="no 1 numbers"):
        _core.histogram_of_memory(values.ctypes.data + 1, 1, "float32")
