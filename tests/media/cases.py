"""What both clients log: run as `cases.py MODULE DIRECTORY`, MODULE being wandb or runlane. Offline; writes artifacts.json.

Each case is one row. A case that raises leaves an empty row, and its error's type in errors.json.
"""

from __future__ import annotations

import importlib
import io
import json
import os
import sys
import warnings

module, directory = sys.argv[1:3]
os.chdir(directory)
os.environ.update(WANDB_MODE="offline", WANDB_SILENT="true", WANDB_DATA_DIR=os.path.join(directory, "data"))
warnings.simplefilter("ignore")

import matplotlib  # noqa: E402

matplotlib.use("Agg")
import matplotlib.pyplot as plt  # noqa: E402
import numpy as np  # noqa: E402
import plotly.graph_objs as go  # noqa: E402
from PIL import Image as Pillow  # noqa: E402

wandb = importlib.import_module(module)
sys.modules["wandb"] = wandb

PIXELS = (np.arange(4 * 6 * 3) * 7 % 256).reshape(4, 6, 3).astype(np.uint8)
NOISE = np.random.RandomState(0).randint(0, 256, (40, 31, 3), dtype=np.uint8)
BOXES = {
    "p": {
        "box_data": [
            {
                "position": {"minX": 0.1, "maxX": 0.2, "minY": 0.3, "maxY": 0.4},
                "class_id": 1,
                "scores": {"a": 1.5},
                "box_caption": "c",
                "domain": "pixel",
            },
            {"position": {"middle": [0.1, 0.2], "width": 0.1, "height": 0.2}, "class_id": 0},
        ],
        "class_labels": {0: "bg", 1: "x"},
    },
    "unnamed": {
        "box_data": [{"position": {"middle": [0.1, 0.2], "width": 0.1, "height": 0.2}, "class_id": 7}]
    },
}
MASKS = {
    "m": {"mask_data": PIXELS[:, :, 0] % 3, "class_labels": {0: "bg", 1: "x"}},
    "unnamed": {"mask_data": (PIXELS[:, :, 1] % 4).astype(float)},
}
CLASSES = [{"id": 0, "name": "zero"}, {"id": 1, "name": "one"}]

Pillow.fromarray(PIXELS).save("u.png")
Pillow.fromarray(PIXELS).save("u.jpeg")
FILES = {
    "a.wav": "RIFF",
    "v.mp4": "video",
    "h.html": "<html><head><title>t</title></head><body>x</body></html>",
    "o.pts.json": "[[0,0,0]]",
    "o.obj": "v 0 0 0",
    "m.pdb": "ATOM",
}
for name, text in FILES.items():
    with open(name, "w", encoding="utf-8") as file:
        file.write(text)

line = plt.figure()
plt.plot([1, 2, 3])
shown = plt.figure()
plt.imshow(PIXELS)
traced = go.Figure(go.Scatter(x=[1, 2], y=np.array([3.5, 4])))


def image(data=PIXELS, **named):
    return wandb.Image(data, **named)


def tone(**named):
    return wandb.Audio(np.sin(np.arange(100) / 5), sample_rate=50, **named)


def frames(*shape):
    return np.random.RandomState(1).randint(0, 256, shape, dtype=np.uint8)


class Tensor:
    """Behaves like a tensor of another framework."""

    def __init__(self, data):
        self.data, self.ndim, self.shape = data, data.ndim, data.shape

    def numpy(self):
        return self.data


shared = image(caption="s")
CASES = {
    "plain": lambda: image(),
    "noise": lambda: image(NOISE),
    "grey": lambda: image(NOISE[:, :, 0]),
    "one channel": lambda: image(NOISE[:, :, :1]),
    "alpha": lambda: image(np.concatenate([NOISE, NOISE[:, :, :1]], 2)),
    "not in one piece": lambda: image(NOISE[::2, ::-3]),
    "floats": lambda: image(NOISE / 255.0 * 300 - 20),
    "unit floats": lambda: image(NOISE[:, :, 0] / 255.0),
    "beyond bytes": lambda: image(np.array([[0, 300], [-5, 70000]])),
    "bools": lambda: image(NOISE[:, :, 0] > 99),
    "trivial axes": lambda: image(NOISE[None, :, :, None, 0]),
    "of a framework": lambda: image(Tensor(NOISE)),
    "caption": lambda: image(caption="c", grouping=2),
    "jpg": lambda: image(NOISE, file_type="jpg"),
    "jpg of alpha": lambda: image(np.concatenate([NOISE, NOISE[:, :, :1]], 2), file_type="jpeg"),
    "bmp": lambda: image(file_type="bmp"),
    "mode L": lambda: image(NOISE, mode="L"),
    "mode RGB": lambda: image(NOISE[:, :, 0], mode="RGB"),
    "mode P": lambda: image(NOISE, mode="P"),
    "pillow": lambda: image(Pillow.fromarray(NOISE)),
    "pillow palette": lambda: image(Pillow.fromarray(NOISE).convert("P")),
    "pillow two channels": lambda: image(Pillow.fromarray(NOISE).convert("LA")),
    "pillow one bit": lambda: image(Pillow.fromarray(NOISE).convert("1")),
    "path": lambda: image("u.png"),
    "jpeg path": lambda: image("u.jpeg", caption="p"),
    "of an image": lambda: image(image(caption="c", grouping=4)),
    "list": lambda: [image(caption="a"), image()],
    "list without the first caption": lambda: [image(), image(caption="b")],
    "tuple": lambda: (image(), image(NOISE)),
    "one": lambda: [image()],
    "of two types": lambda: [image(), wandb.Html("x", inject=False)],
    "empty": list,
    "nested": lambda: {"a": {"b": image()}, "list": [image(), image()]},
    "boxes": lambda: image(boxes=BOXES),
    "masks": lambda: image(masks=MASKS),
    "layers of a list": lambda: [image(boxes=BOXES, masks=MASKS), image(), image(masks=MASKS)],
    "classes": lambda: image(classes=CLASSES),
    "mask of a file": lambda: image(masks={"m": {"path": "u.png"}}),
    "many": lambda: [image()] * 110,
    "a/b/c": lambda: image(),
    "../x": lambda: image(),
    "/lead": lambda: image(),
    "sp ace:*?": lambda: image(),
    "shared": lambda: shared,
    "shared again": lambda: shared,
    "shared in a list": lambda: [shared, shared],
    "shared after": lambda: shared,
    "audio": lambda: tone(caption="c"),
    "stereo": lambda: wandb.Audio(np.stack([np.linspace(-1, 1, 50)] * 2, 1), sample_rate=10),
    "integer samples": lambda: wandb.Audio(np.arange(-50, 50, dtype=np.int16) * 300, sample_rate=10),
    "samples of a list": lambda: wandb.Audio([0.0, 0.5, -0.5], sample_rate=10),
    "audio path": lambda: wandb.Audio("a.wav"),
    "audios": lambda: [tone(caption="x"), wandb.Audio("a.wav")],
    "audios without captions": lambda: [tone(), tone()],
    "many audios": lambda: [tone()] * 103,
    "gif": lambda: wandb.Video(frames(3, 3, 16, 24), format="gif", caption="v"),
    "gif of alpha": lambda: wandb.Video(frames(2, 4, 16, 24), format="gif", fps=10),
    "gif of floats": lambda: wandb.Video(frames(2, 3, 16, 24) / 1.0, format="gif"),
    "gif of three": lambda: wandb.Video(frames(3, 2, 3, 8, 12), format="gif"),
    "gif of nine": lambda: wandb.Video(frames(9, 2, 3, 8, 12), format="gif"),
    "mp4": lambda: wandb.Video(frames(3, 3, 16, 24), fps=8, format="mp4"),
    "video path": lambda: wandb.Video("v.mp4", caption="c"),
    "video bytes": lambda: wandb.Video(io.BytesIO(b"abc"), format="webm"),
    "videos": lambda: [wandb.Video("v.mp4", caption="c"), wandb.Video("v.mp4")],
    "videos without captions": lambda: [wandb.Video("v.mp4")],
    "html": lambda: wandb.Html("<p>x", inject=False),
    "html path": lambda: wandb.Html("h.html", inject=False),
    "html io": lambda: wandb.Html(io.StringIO("<p>x"), inject=False),
    "html of no path": lambda: wandb.Html("h.html", inject=False, data_is_not_path=True),
    "htmls": lambda: [wandb.Html("a", inject=False), wandb.Html("b", inject=False)],
    "points": lambda: wandb.Object3D(np.arange(6).reshape(2, 3)),
    "categories": lambda: wandb.Object3D(np.ones((2, 4))),
    "colours": lambda: wandb.Object3D(np.ones((2, 6)), caption="c"),
    "points of numpy": lambda: wandb.Object3D.from_numpy(np.ones((2, 3))),
    "object path": lambda: wandb.Object3D("o.obj"),
    "points path": lambda: wandb.Object3D.from_file("o.pts.json"),
    "object io": lambda: wandb.Object3D(io.StringIO("v 0"), file_type="obj"),
    "scene": lambda: wandb.Object3D.from_point_cloud(
        np.ones((1, 3)),
        [
            wandb.box3d(
                center=(1, 0, 2),
                size=(1, 2, 3),
                orientation=(1, 2, 0, 0.5),
                color=(1, 2, 3),
                label="l",
                score=0.5,
            ),
            wandb.box3d(center=(0, 0, 0), size=(1, 1, 1), orientation=(1, 0, 0, 0), color=(1, 2, 3)),
        ],
        [{"start": [0, 0, 0], "end": [1, 1, 1]}],
    ),
    "objects": lambda: [wandb.Object3D(np.ones((2, 3)), caption="q"), wandb.Object3D("o.obj")],
    "molecule": lambda: wandb.Molecule("m.pdb", caption="c"),
    "molecule io": lambda: wandb.Molecule(io.StringIO("x"), file_type="pdb"),
    "molecules": lambda: [wandb.Molecule("m.pdb", caption="c"), wandb.Molecule("m.pdb")],
    "figure": lambda: line,
    "axes": lambda: line.axes[0],
    "figure with a picture": lambda: shown,
    "image of a figure": lambda: image(line),
    "pyplot": lambda: (plt.figure(), plt.plot([1, 2]), plt)[2],
    "plotly": lambda: traced,
    "plotly object": lambda: wandb.Plotly(traced),
    "plotly nested": lambda: {"q": traced},
    "plotlys": lambda: [wandb.Plotly(traced)],
    "histogram": lambda: wandb.Histogram([1, 2, 3], num_bins=4),
    "histograms": lambda: [wandb.Histogram([1, 2, 3], num_bins=4)] * 2,
    "large histogram": lambda: wandb.Histogram(np.random.RandomState(0).randn(100_000)),
    "single precision": lambda: wandb.Histogram(
        np.random.RandomState(0).randn(50_000).astype(np.float32), num_bins=100
    ),
    "whole numbers": lambda: wandb.Histogram(np.arange(20_000) % 65 * 1.0),
}
ADDED = {
    "img": lambda: image(caption="c", grouping=3),
    "file": lambda: image("u.png", classes=CLASSES),
    "layers": lambda: image(boxes=BOXES, masks=MASKS),
    "classes": lambda: wandb.Classes(CLASSES),
    "audio": lambda: tone(caption="c"),
    "audio file": lambda: wandb.Audio("a.wav"),
    "video": lambda: wandb.Video("v.mp4", caption="c"),
    "video of frames": lambda: wandb.Video(frames(3, 3, 16, 24), format="gif"),
    "html": lambda: wandb.Html("h.html", inject=False),
    "html text": lambda: wandb.Html("<p>x", inject=False),
    "points": lambda: wandb.Object3D(np.ones((1, 3)), caption="c"),
    "molecule": lambda: wandb.Molecule("m.pdb", caption="c"),
    "no classes": lambda: image(masks={"m": {"path": "u.png"}}),
    "no boxes": lambda: image(boxes={"p": {"box_data": []}}),
    "histogram": lambda: wandb.Histogram([1, 2]),
}


def main() -> None:
    errors = {}
    run = wandb.init(project="p", settings=wandb.Settings(console="off"))
    for key, make in CASES.items():
        try:
            run.log({key: make()})
        except Exception as error:
            errors[key] = type(error).__name__
            run.log({})
    run.summary["last image"] = image()
    run.summary["images"] = [image(), image()]
    run.summary["deep"] = {"x": image()}
    artifact = wandb.Artifact("things", "t")
    added = {}
    for name, make in ADDED.items():
        try:
            added[name] = artifact.add(make(), name).path
        except Exception as error:
            errors[f"add {name}"] = type(error).__name__
    forms = {}
    for path, entry in artifact.manifest.entries.items():
        with open(entry.local_path, "rb") as file:
            content = file.read()
        forms[path] = json.loads(content) if path.endswith("json") else len(content)
    run.finish()
    with open("artifacts.json", "w", encoding="utf-8") as file:
        json.dump({"added": added, "forms": forms, "errors": errors}, file)


if __name__ == "__main__":
    main()
