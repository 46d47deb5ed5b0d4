"""What media types refuse at construction: one typed error that says what and where, as wandb's type of error where it has one."""

from __future__ import annotations

import io
import sys
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import runlane
from PIL import Image as Pillow
from runlane import Audio, Classes, Html, Image, Molecule, Object3D, Plotly, Video
from runlane.data_types import Bokeh, Graph, _extras, _files
from runlane.errors import MissingPackageError

PIXELS = np.arange(72, dtype=np.uint8).reshape(4, 6, 3)
POSITION = {"minX": 0.1, "maxX": 0.2, "minY": 0.3, "maxY": 0.4}


def boxed(*boxes: Any, **more: Any) -> Image:
    return Image(PIXELS, boxes={"layer": {"box_data": boxes, **more}})


def box(**members: Any) -> dict[str, Any]:
    return {"position": POSITION, "class_id": 1, **members}


def masked(data: Any, **more: Any) -> Image:
    return Image(PIXELS, masks={"layer": {"mask_data": data, **more}})


def frames(*shape: int) -> Any:
    return np.zeros(shape, np.uint8)


CASES: list[tuple[str, Callable[[], Any], type[Exception], str]] = [
    ("two channels", lambda: Image(np.zeros((4, 6, 2))), ValueError, r"\[4, 6, 2\]"),
    ("five channels", lambda: Image(np.zeros((4, 6, 5))), ValueError, "channels"),
    ("one axis", lambda: Image(np.zeros(5)), ValueError, r"\[5\]"),
    ("four axes", lambda: Image(np.zeros((2, 4, 4, 3))), ValueError, r"\[2, 4, 4, 3\]"),
    ("no rows", lambda: Image(np.zeros((0, 4, 3))), ValueError, "pixels"),
    ("nothing", lambda: Image(np.array([])), ValueError, r"\[0\]"),
    ("NaN pixels", lambda: Image(np.full((4, 4), np.nan)), ValueError, "NaN"),
    ("infinite pixels", lambda: Image(np.full((4, 4), np.inf)), ValueError, "infinite"),
    ("text pixels", lambda: Image(np.array([["a"]])), TypeError, "numbers"),
    ("object pixels", lambda: Image(np.array([[object()]])), TypeError, "numbers"),
    ("complex pixels", lambda: Image(np.zeros((2, 2), complex)), TypeError, "complex"),
    ("list pixels", lambda: Image([[1, 2], [3, 4]]), TypeError, "list"),
    ("no image", lambda: Image(None), TypeError, "NoneType"),
    ("missing image", lambda: Image("/nonexistent.png"), FileNotFoundError, "nonexistent"),
    ("directory", lambda: Image("/tmp"), IsADirectoryError, "tmp"),
    ("no image file", lambda: Image(__file__), ValueError, "test_bad_input.py"),
    ("file type", lambda: Image(PIXELS, file_type="gif"), ValueError, "gif"),
    ("mode", lambda: Image(PIXELS, mode="XX"), ValueError, "XX"),
    ("mode of the file type", lambda: Image(Pillow.new("CMYK", (2, 2))), ValueError, "CMYK"),
    ("empty picture", lambda: Image(Pillow.new("L", (0, 3))), ValueError, "pixels"),
    ("boxes", lambda: Image(PIXELS, boxes=[1]), ValueError, "boxes"),
    ("masks", lambda: Image(PIXELS, masks=[1]), ValueError, "masks"),
    ("layer of boxes", lambda: Image(PIXELS, boxes={"layer": 5}), TypeError, "layer"),
    ("boxes without data", lambda: Image(PIXELS, boxes={"layer": {}}), ValueError, "box_data"),
    ("boxes no list", lambda: Image(PIXELS, boxes={"layer": {"box_data": 5}}), TypeError, "box_data"),
    ("box no dict", lambda: boxed(5), TypeError, "dictionary"),
    ("no position", lambda: boxed({"class_id": 1}), TypeError, "position"),
    ("half a position", lambda: boxed(box(position={"minX": 1})), TypeError, "position"),
    ("NaN position", lambda: boxed(box(position={**POSITION, "minX": float("nan")})), TypeError, "position"),
    ("no class", lambda: boxed({"position": POSITION}), ValueError, "class_id"),
    ("class no integer", lambda: boxed(box(class_id="a")), TypeError, "integer"),
    ("scores no dict", lambda: boxed(box(scores=5)), TypeError, "scores"),
    ("score key", lambda: boxed(box(scores={1: 2})), TypeError, "key"),
    ("score value", lambda: boxed(box(scores={"a": "x"})), TypeError, "number"),
    ("box caption", lambda: boxed(box(box_caption=5)), TypeError, "caption"),
    ("labels of boxes", lambda: boxed(class_labels=5), TypeError, "labels"),
    ("label of boxes", lambda: boxed(class_labels={"a": "b"}), TypeError, "'a'"),
    ("mask of three axes", lambda: masked(PIXELS), TypeError, "2D"),
    ("mask above 255", lambda: masked(np.full((4, 6), 300)), TypeError, "255"),
    ("mask below 0", lambda: masked(np.full((4, 6), -1)), TypeError, "255"),
    ("NaN mask", lambda: masked(np.full((4, 6), np.nan)), TypeError, "255"),
    ("empty mask", lambda: masked(np.zeros((0, 6))), ValueError, "pixels"),
    ("no mask", lambda: Image(PIXELS, masks={"layer": {}}), ValueError, "mask_data"),
    ("label of a mask", lambda: masked(PIXELS[..., 0], class_labels={1: 2}), TypeError, "labels"),
    (
        "missing mask",
        lambda: Image(PIXELS, masks={"layer": {"path": "/nonexistent.png"}}),
        FileNotFoundError,
        "nonex",
    ),
    ("classes", lambda: Classes(5), TypeError, "int"),
    ("class", lambda: Classes([5]), TypeError, "int"),
    ("class without name", lambda: Classes([{"id": 1}]), ValueError, "name"),
    ("no rate", lambda: Audio(np.zeros(10)), ValueError, "sample_rate"),
    ("missing audio", lambda: Audio("/nonexistent.wav"), FileNotFoundError, "nonexistent"),
    ("rate 0", lambda: Audio(np.zeros(10), sample_rate=0), ValueError, "positive"),
    ("rate no integer", lambda: Audio(np.zeros(10), sample_rate=10.5), TypeError, "integer"),
    ("three axes of samples", lambda: Audio(np.zeros((2, 2, 2)), sample_rate=10), ValueError, r"\[2, 2, 2\]"),
    ("no samples", lambda: Audio(np.zeros(0), sample_rate=10), ValueError, "samples"),
    ("NaN samples", lambda: Audio(np.full(4, np.nan), sample_rate=10), ValueError, "NaN"),
    ("samples no numbers", lambda: Audio(["a"], sample_rate=10), TypeError, "numbers"),
    ("no format", lambda: Video(frames(2, 3, 8, 8)), ValueError, "format"),
    ("format", lambda: Video(frames(2, 3, 8, 8), format="avi"), ValueError, "avi"),
    ("format of a path", lambda: Video(__file__), ValueError, "py"),
    ("missing video", lambda: Video("/nonexistent.mp4"), FileNotFoundError, "nonexistent"),
    ("three axes of frames", lambda: Video(frames(2, 8, 8), format="gif"), ValueError, r"\[2, 8, 8\]"),
    ("six axes of frames", lambda: Video(frames(1, 1, 2, 3, 8, 8), format="gif"), ValueError, "4 dimensions"),
    ("no frames", lambda: Video(frames(0, 3, 8, 8), format="gif"), ValueError, "frames"),
    ("channels of frames", lambda: Video(frames(2, 5, 8, 8), format="gif"), ValueError, "channels"),
    ("NaN frames", lambda: Video(np.full((2, 3, 8, 8), np.nan), format="gif"), ValueError, "NaN"),
    ("fps", lambda: Video(frames(2, 3, 8, 8), fps=0, format="gif"), ValueError, "fps"),
    ("no video", lambda: Video([1], format="gif"), TypeError, "list"),
    ("no format of a file", lambda: Video(io.BytesIO(b"")), ValueError, "format"),
    ("text file as video", lambda: Video(io.StringIO(""), format="gif"), TypeError, "bytes"),
    ("no html", lambda: Html(5), ValueError, "int"),
    ("missing html", lambda: Html(Path("/nonexistent.html")), FileNotFoundError, "nonexistent"),
    ("shape of points", lambda: Object3D(np.zeros((2, 5))), ValueError, r"\[2, 5\]"),
    ("one axis of points", lambda: Object3D(np.zeros(3)), ValueError, r"\[3\]"),
    ("no points", lambda: Object3D(np.zeros((0, 3))), ValueError, "points"),
    ("NaN points", lambda: Object3D(np.full((2, 3), np.nan)), ValueError, "NaN"),
    ("missing scene", lambda: Object3D("/nonexistent.obj"), FileNotFoundError, "nonexistent"),
    ("type of a scene's file", lambda: Object3D("/tmp/x.abc"), ValueError, "x.abc"),
    ("no type of a file", lambda: Object3D(io.StringIO("x")), ValueError, "type"),
    ("unknown type of a file", lambda: Object3D(io.StringIO("x"), file_type="abc"), ValueError, "abc"),
    ("type of a scene", lambda: Object3D({"type": "x"}), ValueError, "lidar/beta"),
    (
        "type of a cloud",
        lambda: Object3D.from_point_cloud(np.zeros((1, 3)), [], point_cloud_type="x"),
        ValueError,
        "x",
    ),
    ("box of a scene", lambda: Object3D.from_point_cloud(np.zeros((1, 3)), [{}]), ValueError, "corners"),
    ("no scene", lambda: Object3D(5), ValueError, "int"),
    ("points as a list", lambda: Object3D.from_numpy([[0, 0, 0]]), ValueError, "numpy"),
    (
        "orientation",
        lambda: runlane.box3d(center=(0, 0, 0), size=(1, 1, 1), orientation=(0, 0, 0, 0), color=(1, 2, 3)),
        ValueError,
        "zero",
    ),
    (
        "center",
        lambda: runlane.box3d(center=(0, 0), size=(1, 1, 1), orientation=(1, 0, 0, 0), color=(1, 2, 3)),
        ValueError,
        "center",
    ),
    ("missing molecule", lambda: Molecule("/nonexistent.pdb"), FileNotFoundError, "nonexistent"),
    ("type of a molecule", lambda: Molecule(__file__), ValueError, "py"),
    ("no type of a molecule", lambda: Molecule(io.StringIO("x")), ValueError, "file_type"),
    ("no molecule", lambda: Molecule(5), ValueError, "int"),
    ("smiles", lambda: Molecule.from_smiles("no smile"), ValueError, "SMILES"),
    ("no rdkit object", lambda: Molecule.from_rdkit(5), TypeError, "int"),
    ("rdkit file", lambda: Molecule.from_rdkit("/x.xyz"), ValueError, "xyz"),
    ("missing rdkit file", lambda: Molecule.from_rdkit("/nonexistent.mol"), OSError, "nonexistent"),
    ("no figure", lambda: Plotly(5), ValueError, "int"),
    ("no bokeh", lambda: Bokeh(5), TypeError, "int"),
    ("no keras", lambda: Graph.from_keras(5), TypeError, "int"),
]


@pytest.mark.parametrize(
    ("make", "kind", "text"), [case[1:] for case in CASES], ids=[case[0] for case in CASES]
)
def test_it_is_refused(make: Callable[[], Any], kind: type[Exception], text: str) -> None:
    with pytest.raises(kind, match=text):
        make()


def test_sizes_are_read_without_decoding_pixels(tmp_path: Path) -> None:
    import struct
    import zlib

    def chunk(kind: bytes, body: bytes) -> bytes:
        return struct.pack(">I", len(body)) + kind + body + struct.pack(">I", zlib.crc32(kind + body))

    def png(width: int, height: int) -> Path:
        head = struct.pack(">IIBBBBB", width, height, 8, 0, 0, 0, 0)
        path = tmp_path / f"{width}.png"
        # The pixels are not there: whoever decodes them fails.
        path.write_bytes(
            b"\x89PNG\r\n\x1a\n" + chunk(b"IHDR", head) + chunk(b"IDAT", b"") + chunk(b"IEND", b"")
        )
        return path

    image = Image(png(9000, 9001))
    assert (image._width, image._height, image.format) == (9000, 9001, "png")
    with pytest.raises(ValueError, match="too large"):
        Image(png(50_000, 50_000))


@pytest.mark.parametrize(
    ("module", "package", "make"),
    [
        ("PIL.Image", "pillow", lambda: Image(PIXELS, mode="L")),
        ("soundfile", "soundfile", lambda: Audio(np.zeros(4), sample_rate=4)),
        ("imageio.v2", "imageio", lambda: Video(frames(2, 3, 8, 8), format="gif")),
        ("moviepy", "moviepy", lambda: Video(frames(2, 3, 8, 8), format="mp4")),
        ("rdkit.Chem", "rdkit", lambda: Molecule.from_smiles("CC")),
    ],
)
def test_a_missing_package_is_named_with_its_extra(
    monkeypatch: pytest.MonkeyPatch, module: str, package: str, make: Callable[[], Any]
) -> None:
    monkeypatch.setitem(sys.modules, module, None)
    with pytest.raises(
        MissingPackageError, match=rf"needs the package `{package}`[^$]*runlane\[media\]"
    ) as raised:
        make()
    assert isinstance(raised.value, (runlane.Error, ImportError)) and raised.value.__cause__ is not None


def test_arrays_need_no_package_but_numpy(monkeypatch: pytest.MonkeyPatch) -> None:
    for name in [name for name in sys.modules if name == "PIL" or name.startswith("PIL.")]:
        monkeypatch.setitem(sys.modules, name, None)
    image = Image(PIXELS, masks={"m": {"mask_data": PIXELS[..., 0]}})
    assert (image._width, image._height) == (6, 4)
    monkeypatch.undo()
    assert np.array_equal(np.asarray(image.image), PIXELS)
    assert image.to_data_array()[1][0] == (18, 19, 20)


def test_contents_in_memory_are_bounded(monkeypatch: pytest.MonkeyPatch) -> None:
    before = _files.temporary.memory_bytes
    monkeypatch.setattr(_files, "MEMORY_BYTES", before + 100)
    small, large = (
        Image(PIXELS[:1, :1]),
        Image(np.random.default_rng(0).integers(0, 256, (50, 50, 3), dtype=np.uint8)),
    )
    assert before < _files.temporary.memory_bytes <= before + 100
    assert Path(large._path).stat().st_size == large._file.size
    assert large.image.size == (50, 50) and small.image.size == (1, 1)
    del small, large
    assert _files.temporary.memory_bytes == before


def test_images_are_equal_by_their_pixels_and_facts(tmp_path: Path) -> None:
    Pillow.fromarray(PIXELS).save(tmp_path / "x.png")
    assert Image(PIXELS) == Image(PIXELS) == Image(tmp_path / "x.png")
    assert (
        Image(PIXELS) != Image(PIXELS, caption="c")
        and Image(PIXELS) != Image(PIXELS[::-1])
        and Image(PIXELS) != 5
    )
    copied = Image(Image(PIXELS, caption="c", grouping=3, boxes={"l": {"box_data": []}}), grouping=4)
    assert (copied._caption, copied._grouping, copied._boxes) == ("c", 4, None)
    assert Image(copied, caption="d")._caption == "d"


def test_a_side_of_one_pixel_is_a_side() -> None:
    assert [Image(PIXELS[:, :1])._width, Image(PIXELS[:1])._height] == [1, 1]
    assert np.array_equal(np.asarray(Image(PIXELS[:1, :1]).image), PIXELS[:1, :1])


def test_a_batch_of_tensors_is_a_grid() -> None:
    class Tensor:
        __module__ = "torch"

        def __init__(self, data: Any) -> None:
            self.data, self.dtype = data, data.dtype

        def detach(self) -> Tensor:
            return self

        cpu = detach

        def numpy(self) -> Any:
            return self.data

    assert Image(Tensor(PIXELS.transpose(2, 0, 1))) == Image(PIXELS)
    assert Image(Tensor(PIXELS[..., 0])) == Image(PIXELS[..., 0])
    grid = np.asarray(Image(Tensor(np.stack([PIXELS.transpose(2, 0, 1)] * 9))).image)
    # Eight in a row, two pixels of black around each.
    assert grid.shape == (2 * 6 + 2, 8 * 8 + 2, 3)
    assert np.array_equal(grid[8:12, 2:8], PIXELS) and not grid[8:12, 8:].any()


def test_large_histograms_are_those_of_numpy() -> None:
    rng = np.random.default_rng(0)
    for values in (
        rng.standard_normal(300_000),
        rng.standard_normal(300_000).astype(np.float32),
        rng.integers(-9, 9, 50_000) * 0.1,
        np.full(5000, 3.25),
        np.linspace(-1e300, 1e300, 5000),
        np.linspace(0, 1e-310, 5000),
        rng.integers(0, 256, 10_000).astype(np.uint8),
        rng.standard_normal((100, 100))[:, ::2],
    ):
        for bins in (1, 10, 64, 512):
            made = runlane.Histogram(values, num_bins=bins)
            counts, edges = np.histogram(values, bins=bins)
            assert made.histogram == counts.tolist() and made.bins == edges.tolist()
    holed = np.append(rng.standard_normal(10_000), [np.nan, np.inf, -np.inf])
    assert runlane.Histogram(holed).histogram == np.histogram(holed[:-3], bins=64)[0].tolist()
    assert runlane.Histogram(np.full(9000, np.nan)).histogram == [0] * 64


def test_loading_an_optional_module_twice_is_the_module() -> None:
    assert _extras.load("PIL.Image", "x") is sys.modules["PIL.Image"]
