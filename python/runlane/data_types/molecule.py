"""`Molecule`: a molecule that the app shows in three dimensions."""

from __future__ import annotations

import os

from . import _extras
from ._files import MediaFile
from .base import BatchableMedia

TYPE_CHECKING = False
if TYPE_CHECKING:
    from collections.abc import Sequence
    from typing import Any


class Molecule(BatchableMedia):
    """A molecule as a value of rows, of tables and of artifacts.

    Args:
        data_or_path: The path of a file, or an open file.
        caption: Text below the molecule.
        file_type: One of `SUPPORTED_TYPES`, for an open file. Default: by its name.

    Raises:
        TypeError: Neither path nor file.
        ValueError: A type of file that is not supported, or not told.
        FileNotFoundError: There is no file at the path.
    """

    SUPPORTED_TYPES = frozenset(("pdb", "pqr", "mmcif", "mcif", "cif", "sdf", "sd", "gro", "mol2", "mmtf"))
    SUPPORTED_RDKIT_TYPES = frozenset(("mol", "sdf"))
    _log_type = "molecule-file"
    _kind = "molecule"

    def __init__(self, data_or_path: Any, caption: str | None = None, file_type: str | None = None) -> None:
        super().__init__(caption)
        if isinstance(data_or_path, (str, os.PathLike)):
            path = os.fspath(data_or_path)
            self._check(os.path.splitext(path)[1][1:])
            self._file = MediaFile.of_user(path)
        elif hasattr(data_or_path, "read"):
            name = getattr(data_or_path, "name", None)
            kind = file_type or (os.path.splitext(name)[1][1:] if isinstance(name, str) else None)
            if not kind:
                raise ValueError("Must pass file_type keyword argument when using io objects.")
            self._check(kind)
            if hasattr(data_or_path, "seek"):
                data_or_path.seek(0)
            content = data_or_path.read()
            data = content if isinstance(content, bytes) else str(content).encode()
            self._file = MediaFile.of_bytes(data, f".{kind}")
        else:
            raise MoleculeTypeError(
                f"data must be a file name or a file object, got {type(data_or_path).__name__}"
            )

    def _check(self, kind: str) -> None:
        if kind not in self.SUPPORTED_TYPES:
            raise ValueError(
                f"Molecule only supports files of the types {', '.join(sorted(self.SUPPORTED_TYPES))}; got {kind!r}"
            )

    @classmethod
    def from_rdkit(
        cls,
        data_or_path: Any,
        caption: str | None = None,
        convert_to_3d_and_optimize: bool = True,
        mmff_optimize_molecule_max_iterations: int = 200,
    ) -> Molecule:
        """A molecule of rdkit: an object of `rdkit.Chem`, or the path of a `mol` or `sdf` file.

        Args:
            data_or_path: See above.
            caption: Text below the molecule.
            convert_to_3d_and_optimize: Add hydrogens, place the atoms, and relax them with the MMFF94 force field.
            mmff_optimize_molecule_max_iterations: At most so many steps of that.

        Raises:
            TypeError: `data_or_path` is neither.
            ValueError: The file has another type, or holds no molecule.
            FileNotFoundError: There is no file.
            MissingPackageError: rdkit is not installed.
        """
        chem = _extras.load("rdkit.Chem", "Molecule.from_rdkit")
        all_chem = _extras.load("rdkit.Chem.AllChem", "Molecule.from_rdkit")
        if isinstance(data_or_path, (str, os.PathLike)):
            molecule = cls._read(chem, os.fspath(data_or_path))
        elif isinstance(data_or_path, chem.rdchem.Mol):
            molecule = data_or_path
        else:
            raise TypeError(
                f"data must be a file name or an rdkit.Chem.rdchem.Mol object, got {type(data_or_path).__name__}"
            )
        if convert_to_3d_and_optimize:
            molecule = chem.AddHs(molecule)
            all_chem.EmbedMolecule(molecule)
            all_chem.MMFFOptimizeMolecule(molecule, maxIters=mmff_optimize_molecule_max_iterations)
        import io

        return cls(io.StringIO(chem.rdmolfiles.MolToPDBBlock(molecule)), caption, file_type="pdb")

    @classmethod
    def _read(cls, chem: Any, path: str) -> Any:
        kind = os.path.splitext(path)[1][1:]
        if kind not in cls.SUPPORTED_RDKIT_TYPES:
            raise ValueError(
                f"Molecule.from_rdkit only supports files of the types {', '.join(sorted(cls.SUPPORTED_RDKIT_TYPES))};"
                f" got {kind!r}"
            )
        if not os.path.exists(path):
            raise FileNotFoundError(f"there is no file `{path}`")
        if kind == "sdf":
            with chem.SDMolSupplier(path) as supplier:
                molecule = next(iter(supplier), None)
        else:
            molecule = chem.MolFromMolFile(path)
        if molecule is None:
            raise ValueError(f"`{path}` holds no molecule that rdkit can read")
        return molecule

    @classmethod
    def from_smiles(
        cls,
        data: str,
        caption: str | None = None,
        sanitize: bool = True,
        convert_to_3d_and_optimize: bool = True,
        mmff_optimize_molecule_max_iterations: int = 200,
    ) -> Molecule:
        """A molecule of its SMILES text; see `from_rdkit`.

        Raises:
            ValueError: The text stands for no molecule.
            MissingPackageError: rdkit is not installed.
        """
        chem = _extras.load("rdkit.Chem", "Molecule.from_smiles")
        molecule = chem.MolFromSmiles(data, sanitize=sanitize)
        if molecule is None:
            raise ValueError(f"Unable to parse the SMILES string: {data!r:.100}")
        return cls.from_rdkit(
            molecule,
            caption=caption,
            convert_to_3d_and_optimize=convert_to_3d_and_optimize,
            mmff_optimize_molecule_max_iterations=mmff_optimize_molecule_max_iterations,
        )

    @classmethod
    def seq_to_json(cls, seq: Sequence[Any], run: Any, key: str, step: int | str) -> dict[str, Any]:
        """The row's value of several molecules, `molecule`.

        Raises:
            OSError: A file cannot be written.
        """
        items = cls._bound_items(seq, run, key, step)
        return {
            "_type": "molecule",
            "filenames": [item["path"] for item in items],
            "count": len(items),
            "captions": cls.captions(seq),
        }


class MoleculeTypeError(TypeError, ValueError):
    """What is given is no molecule; W&B raises `ValueError`."""
