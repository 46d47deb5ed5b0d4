"""`box3d`: a box of a scene, by its center, size and orientation."""

from __future__ import annotations

TYPE_CHECKING = False
if TYPE_CHECKING:
    from collections.abc import Sequence
    from typing import Any


def box3d(
    *,
    center: Sequence[float],
    size: Sequence[float],
    orientation: Sequence[float],
    color: Sequence[int],
    label: str | None = None,
    score: float | None = None,
) -> dict[str, Any]:
    """A box for `Object3D.from_point_cloud`.

    Args:
        center: x, y, z.
        size: Lengths along x, y and z before it is turned.
        orientation: A quaternion w, x, y, z of any length but zero; it turns the box about its center.
        color: Red, green, blue, 0 to 255.
        label: Text beside the box.
        score: A number by which boxes can be hidden.

    Raises:
        ValueError: A part has the wrong length, or the quaternion is zero.
    """
    for name, part, length in (
        ("center", center, 3),
        ("size", size, 3),
        ("orientation", orientation, 4),
        ("color", color, 3),
    ):
        if len(part) != length:
            raise ValueError(f"`{name}` must have {length} numbers, got {len(part)}")
    turned = _turn(*(float(part) for part in orientation))
    corners = []
    for x in (-0.5, 0.5):
        for y in (-0.5, 0.5):
            for z in (-0.5, 0.5):
                corner = (x * size[0], y * size[1], z * size[2])
                corners.append(
                    tuple(
                        float(at) + sum(row[axis] * corner[axis] for axis in range(3))
                        for at, row in zip(center, turned, strict=True)
                    )
                )
    return {
        "corners": corners,
        "color": tuple(int(part) for part in color),
        "label": label,
        "score": None if score is None else float(score),
    }


def _turn(w: float, x: float, y: float, z: float) -> list[list[float]]:
    """The rotation matrix of a quaternion (the standard one, for column vectors)."""
    square = w * w + x * x + y * y + z * z
    if not square > 0:
        raise ValueError("Unexpected zero quaternion.")
    s = 2.0 / square
    return [
        [1 - s * (y * y + z * z), s * (x * y - z * w), s * (x * z + y * w)],
        [s * (x * y + z * w), 1 - s * (x * x + z * z), s * (y * z - x * w)],
        [s * (x * z - y * w), s * (y * z + x * w), 1 - s * (x * x + y * y)],
    ]
