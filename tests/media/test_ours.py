"""What runs store where wandb raises, or links to its own server; and what is said of it."""

from __future__ import annotations

import json
from typing import Any

import pytest
from logs import log_of, rows
from runlane import Audio, Graph, Html, Image
from runlane.data_types.base import WBValue
from runlane.data_types.html import with_head
from world import Home

BODY = """
import matplotlib, os, sys
matplotlib.use("Agg")
import matplotlib.pyplot as plt
import numpy as np
import plotly.graph_objs as go
import runlane as wandb
from bokeh.plotting import figure

run = wandb.init(mode="offline", project="p", id="ours", settings=wandb.Settings(console="off"))
pixels = np.arange(72, dtype=np.uint8).reshape(4, 6, 3)
image = lambda: wandb.Image(pixels)
plot = figure()
plot.line([1, 2], np.array([3, 4]))
drawn = plt.figure()
plt.plot([1, 2])
traced = go.Figure(go.Scatter(x=[1, 2], y=[float("nan"), float("inf")]))
for key, value in {
    "mixed": [image(), 5, None, "x"],
    "nested lists": [[image(), image()], [image()]],
    "dicts": [{"a": image(), "b": 1}],
    "figures": [drawn, traced],
    "bokeh": plot,
    "traced": traced,
    "grey video": wandb.Video(np.zeros((2, 1, 8, 8), np.uint8), format="gif"),
    "lists in a scene": wandb.Object3D({"type": "lidar/beta", "points": [[0, 0, 0]], "boxes": [], "vectors": []}),
    "url": wandb.Image("https://example.invalid/a.png?x=1"),
    "sound": [wandb.Audio("s3://bucket/a.wav")],
    "good after": 1,
}.items():
    run.log({key: value, "beside": 1})
kept = os.path.join(run.dir, "media", "images")
os.rename(kept, kept + "-away")
open(kept, "w").close()
run.log({"lost": image(), "lost list": [image(), image()], "beside": 1})
os.unlink(kept)
os.rename(kept + "-away", kept)
for use in (lambda: run.config.update({"i": image()}), lambda: run.summary.update({"u": wandb.Image("gs://b/a.png")})):
    try:
        use()
        print("not refused")
    except TypeError as error:
        print("REFUSED", error)
run.finish()
with wandb.init(mode="offline", project="p", settings=wandb.Settings(console="off", strict=True)) as strict:
    try:
        strict.log({"url": wandb.Image("https://example.invalid/a.png")})
        print("not refused")
    except TypeError as error:
        print("REFUSED", error)
"""


@pytest.fixture(scope="module")
def left(tmp_path_factory: pytest.TempPathFactory) -> Any:
    from world import make_home

    home = make_home(tmp_path_factory.mktemp("ours"))
    done = home.python(BODY)
    home.stop_daemon()
    (run_dir,) = (path for path in home.run_dirs() if path.name.endswith("-ours"))
    yield rows(log_of(run_dir)), run_dir / "files", done


def _row(left: Any, key: str) -> dict[str, Any]:
    (found,) = (row for row in left[0] if any(name == key or name.startswith(f"{key}.") for name in row))
    assert found["beside"] == 1
    return {name[len(key) + 1 :] or "": value for name, value in found.items() if name.startswith(key)}


def test_lists_are_stored_part_by_part(left: Any) -> None:
    image, *others = _row(left, "mixed")[""]
    assert image["_type"] == "image-file" and others == [5, None, "x"]
    assert [part["count"] for part in _row(left, "nested lists")[""]] == [2, 1]
    (part,) = _row(left, "dicts")[""]
    assert (part["a"]["_type"], part["b"]) == ("image-file", 1)
    assert [part["_type"] for part in _row(left, "figures")[""]] == ["plotly-file"] * 2


def test_figures_have_files_that_are_json(left: Any) -> None:
    def document(key: str) -> Any:
        def refuse(word: str) -> None:
            raise AssertionError(word)

        return json.loads((left[1] / _row(left, key)["path"]).read_text(), parse_constant=refuse)

    assert document("bokeh")["roots"][0]["name"] == "Figure"
    assert document("traced")["data"][0]["y"] == [None, None]
    assert document("lists in a scene")["points"] == [[0, 0, 0]]
    assert _row(left, "grey video")["width"] == 8


def test_what_cannot_be_stored_costs_its_own_value(left: Any) -> None:
    assert _row(left, "url") == {"": "<runlane.data_types.image.Image>"}
    assert _row(left, "sound") == {"": "<builtins.list>"}
    assert _row(left, "lost")[""] == "<runlane.data_types.image.Image>"
    said = left[2].stderr
    for key in ("url", "sound", "lost", "lost list"):
        assert said.count(f"cannot log the value of `{key}`") == 1, said
    assert "part of an artifact" in said and "cannot be written" in said
    assert left[2].stdout.count("REFUSED") == 3 and "not refused" not in left[2].stdout


def test_pages_need_nothing_from_elsewhere() -> None:
    for text in ("<p>x", "<html><body>x</body></html>", "<html><head><title>t</title></head></html>"):
        page = Html(text)
        assert page.html == with_head(text) and page._file.read().decode() == page.html
        assert '<base target="_blank">' in page.html and "http" not in page.html and "<link" not in page.html
        assert page.html.replace(with_head(""), "").replace("<head></head>", "") == text
    assert Html("x", inject=False).html == "x"


def test_graphs_are_made_by_hand_and_of_keras_models() -> None:
    graph = Graph("mine")
    first, second = graph.add_node(id=1, name="a"), graph.add_node({"id": 2})
    assert graph.add_edge(first, second) == (1, 2)
    assert graph.document() == {
        "format": "mine",
        "nodes": [{"id": 1, "name": "a"}, {"id": 2}],
        "edges": [[1, 2]],
    }

    class Layer:
        def __init__(self, name: str) -> None:
            self.name, self.built = name, True
            self.weights = [type("Weight", (), {"name": "w", "shape": (2, 3)})]

        def count_params(self) -> int:
            return 6

    model = type("Model", (), {"layers": [Layer("in"), Layer("out")]})
    made = Graph.from_keras(model).document()
    assert made["edges"] == [["in", "out"]] and made["nodes"][0]["parameters"] == [("w", [2, 3])]
    assert made["nodes"][1]["num_parameters"] == 6


READ = """
import numpy as np
import runlane as wandb
pixels = np.arange(72, dtype=np.uint8).reshape(4, 6, 3)
labels = {0: "a", 1: "b", 2: "c"}
boxes = {"l": {"box_data": [{"position": {"middle": [1, 2], "width": 1, "height": 1}, "class_id": 1}], "class_labels": labels}}
image = wandb.Image(pixels, caption="c", grouping=2, boxes=boxes, masks={"m": {"mask_data": pixels[..., 0] % 3, "class_labels": labels}})
with wandb.init(project=PROJECT) as run:
    artifact = wandb.Artifact("things", "data")
    for name, value in {
        "image": image, "audio": wandb.Audio(np.zeros(9), sample_rate=3, caption="s"), "page": wandb.Html("<p>"),
        "scene": wandb.Object3D(np.ones((2, 3))), "classes": wandb.Classes([{"id": 1, "name": "b"}]),
        "video": wandb.Video(np.zeros((2, 3, 8, 12), np.uint8), format="gif"), "molecule": wandb.Molecule.from_smiles("CC", caption="m"),
    }.items():
        artifact.add(value, name)
    run.log_artifact(artifact).wait()
    run.log({"of the draft": image})
with wandb.init(project=PROJECT) as run:
    stored = run.use_artifact("things:latest")
    read = stored.get("image")
    assert read == image and np.array_equal(np.asarray(read.image), pixels), read
    assert (read._width, read._grouping, read._caption, read.format) == (6, 2, "c", "png")
    assert read._classes.names == labels and read._boxes["l"]._val == image._boxes["l"]._val
    assert read._masks["m"]._file.sha256 == image._masks["m"]._file.sha256
    assert stored.get("audio")._caption == "s" and stored.get("classes").names == {1: "b"}
    assert stored.get("page").html == wandb.Html("<p>").html and stored.get("molecule")._caption == "m"
    assert stored.get("video")._width == 12 and stored.get("scene") == wandb.Object3D(np.ones((2, 3)))
    again = wandb.Artifact("others", "data")
    again.add(read, "same")
    entry = again.manifest.entries["same.image-file.json"]
    assert entry.ref.startswith("wandb-artifact://"), entry.ref
    run.log_artifact(again).wait()
    run.log({"of the version": read})
    print("ROW", read.to_json(run))
"""


def test_media_of_artifacts_are_read_back(home: Home, server: Any, project: str) -> None:
    done = home.python(READ.replace("PROJECT", repr(project)), env=server.env)
    row = next(line for line in done.stdout.splitlines() if line.startswith("ROW"))
    assert "'artifact_path': 'wandb-artifact://" in row


def test_names_that_libraries_call_are_there(capsys: pytest.CaptureFixture[str]) -> None:
    import numpy as np

    image = Image(np.zeros((2, 3), np.uint8))
    assert [image.guess_mode(np.zeros(shape)) for shape in ((2, 3), (2, 3, 1), (2, 3, 3), (2, 3, 4))] == [
        "L",
        "L",
        "RGB",
        "RGBA",
    ]
    assert image.guess_mode(np.zeros((2, 3, 4)), "jpg") == "RGB"
    with pytest.raises(ValueError, match="channels"):
        image.guess_mode(np.zeros((2, 3, 2)))
    box = {"position": {"minX": 0, "maxX": 1, "minY": 0, "maxY": 1}, "class_id": 1}
    boxed = Image(np.zeros((2, 3), np.uint8), boxes={"b": {"box_data": [box]}})
    assert Image.all_boxes([image], None, "k", 0) is False
    assert Image.all_masks([boxed], None, "k", 0) is False
    graph = Graph()
    node = graph.add_node(id=3, name="n")
    assert graph[3] is node
    with pytest.raises(KeyError):
        graph["n"]
    graph.pprint()
    assert capsys.readouterr().out == "{'id': 3, 'name': 'n'}\n"
    types = WBValue.type_mapping()
    assert types["image-file"] is Image
    assert types["graph-file"] is Graph
    assert "table" in types
    url = "https://example.invalid/a.wav"
    assert Audio.captions(audio_list=[Audio(url), Audio(url, caption="c")]) == ["", "c"]
    assert Audio.captions([Audio(url)]) is False
    with pytest.raises(ValueError, match="an Audio of a URL"):
        Audio(url).bind_to_run(None, "k", 0, None, True)


def test_a_cell_that_no_artifact_takes_costs_neither_table_nor_row(home: Home) -> None:
    home.python("""
import numpy as np
import runlane as wandb

run = wandb.init(mode="offline", settings=wandb.Settings(console="off", allow_offline_artifacts=True))

class Broken(wandb.Html):
    def _in_artifact(self, artifact):
        raise TypeError("no form")

run.log({"table": wandb.Table(columns=["x"], data=[[Broken("x", inject=False)]]), "ok": 1})
run.finish()
""")
    (run_dir,) = home.run_dirs()
    (row,) = rows(log_of(run_dir))
    assert row["ok"] == 1
    assert row["table._type"] == "table-file"
    assert "table.artifact_path" not in row
