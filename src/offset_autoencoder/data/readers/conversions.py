"""Files that are not read here: what they are, and the Python that writes one that is."""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path

_IMAGES = ("png", "jpg", "jpeg", "bmp", "gif", "webp")
_TRUSTED = "only where it is trusted: loading it may run code"


@dataclass(frozen=True)
class Conversion:
    """Formats of files by their endings, and the lines of Python that convert one.

    Attributes:
        what: ``"a MATLAB file"``.
        endings: Without the dot.
        python: With ``{path}``, the file in quotes, and ``{out}``, its name without an ending.
        starts: Bytes at the start of a file by which it is told from others of the ending.
        note: What to know before.
    """

    what: str
    endings: tuple[str, ...]
    python: str
    starts: bytes = b""
    note: str = ""

    def fits(self, path: Path) -> bool:
        """Whether a file, or a name where there is none, is of this kind."""
        if path.suffix.lower().removeprefix(".") not in self.endings:
            return False
        if not self.starts:
            return True
        if not path.is_file():
            return False
        with path.open("rb") as stream:
            return stream.read(len(self.starts)) == self.starts


_TO_CSV = ".to_csv('{out}.csv', index=False)"
_TO_PARQUET = ".to_parquet('{out}.parquet')"
_SAVE = "np.save('{out}.npy', "


def _pandas(what: str, endings: str, read: str, to: str = _TO_CSV) -> Conversion:
    """Conversion of files that a function of pandas reads, with its arguments after the path."""
    name, _, arguments = read.partition("(")
    python = f"import pandas as pd; pd.read_{name}({{path}}{arguments}){to}"
    return Conversion(what, tuple(endings.split()), python)


def _numpy(what: str, endings: str, module: str, read: str, note: str = "") -> Conversion:
    """Conversion of files of which a module's function makes an array."""
    python = f"import numpy as np, {module}; {_SAVE}np.asarray({read}))"
    return Conversion(what, tuple(endings.split()), python, note=note)


CONVERSIONS = (
    Conversion(
        "MATLAB (7.3)",
        ("mat",),
        "import h5py, numpy as np; np.savez('{out}.npz', **{{k: v[()].T for k, v in "
        "h5py.File({path}).items() if isinstance(v, h5py.Dataset)}})",
        starts=b"MATLAB 7.3",
    ),
    Conversion(
        "MATLAB",
        ("mat",),
        "import numpy as np, scipy.io; np.savez('{out}.npz', **{{k: v for k, v in "
        "scipy.io.loadmat({path}).items() if k[0] != '_'}})",
    ),
    Conversion(
        "AnnData",
        ("h5ad",),
        "import anndata; a = anndata.read_h5ad({path}); "
        "a.to_df().join(a.obs).to_parquet('{out}.parquet')",
    ),
    _pandas("a spreadsheet", "xlsx xls xlsm ods", "excel"),
    _numpy("a pickle", "pkl pickle p", "pickle", "pickle.load(open({path}, 'rb'))", note=_TRUSTED),
    _numpy("a pickle of joblib", "joblib", "joblib", "joblib.load({path})", note=_TRUSTED),
    _numpy(
        "PyTorch", "pt pth", "torch", "torch.load({path}, map_location='cpu', weights_only=True)"
    ),
    Conversion(
        "safetensors",
        ("safetensors",),
        "import numpy as np; from safetensors.numpy import load_file; "
        "np.savez('{out}.npz', **load_file({path}))",
    ),
    _pandas("JSON", "json", "json"),
    _pandas("JSON lines", "jsonl ndjson", "json(, lines=True"),
    Conversion(
        "Arrow",
        ("feather", "arrow", "ipc"),
        "from pyarrow import ipc, parquet; parquet.write_table("
        "ipc.open_file({path}).read_all(), '{out}.parquet')",
        starts=b"ARROW1",
    ),
    Conversion(
        "a stream of Arrow",
        ("arrow", "ipc", "arrows"),
        "from pyarrow import ipc, parquet; parquet.write_table("
        "ipc.open_stream({path}).read_all(), '{out}.parquet')",
    ),
    _pandas("Feather", "feather", "feather", _TO_PARQUET),
    _pandas("ORC", "orc", "orc", _TO_PARQUET),
    _pandas("Stata", "dta", "stata"),
    _pandas("SAS", "sas7bdat xpt", "sas(, encoding='infer'"),
    _pandas("SPSS", "sav", "spss"),
    Conversion(
        "ARFF",
        ("arff",),
        "import pandas as pd; from scipy.io import arff; "
        "decode = lambda cell: cell.decode() if isinstance(cell, bytes) else cell; "
        f"pd.DataFrame(arff.loadarff({{path}})[0]).map(decode){_TO_CSV}",
    ),
    Conversion(
        "svmlight",
        ("svm", "libsvm", "svmlight"),
        "import numpy as np, scipy.sparse; from sklearn.datasets import load_svmlight_file; "
        "x, y = load_svmlight_file({path}); scipy.sparse.save_npz('{out}.npz', x); "
        "np.save('{out}_labels.npy', y)",
    ),
    Conversion(
        "sound",
        ("wav",),
        "import numpy as np; from scipy.io import wavfile; rate, x = wavfile.read({path}); "
        f"{_SAVE}x[: len(x) // 1024 * 1024].reshape(-1, 1024, *x.shape[1:]))",
        note="into rows of 1024 samples",
    ),
    Conversion(
        "images",
        ("tif", "tiff"),
        "import numpy as np; from PIL import Image, ImageSequence; "
        f"{_SAVE}np.stack([np.array(page) for page in "
        "ImageSequence.Iterator(Image.open({path}))]))",
    ),
    Conversion(
        "one image",
        _IMAGES,
        "import numpy as np; from PIL import Image; from pathlib import Path; "
        f"{_SAVE}np.stack([np.asarray(Image.open(file)) "
        "for file in sorted(Path({path}).parent.glob('*{suffix}'))]))",
        note="all of its folder, of one size",
    ),
    _numpy("Zarr", "zarr", "zarr", "zarr.open({path}, mode='r')"),
    Conversion(
        "an archive",
        ("zip", "tar", "tgz"),
        "import shutil; shutil.unpack_archive({path}, '{out}')",
    ),
    Conversion(
        "an archive", ("7z",), "import py7zr; py7zr.SevenZipFile({path}).extractall('{out}')"
    ),
    Conversion(
        "compressed",
        ("gz", "bz2", "xz"),
        "import shutil; from {module} import open as unpack; "
        "shutil.copyfileobj(unpack({path}, 'rb'), open('{out}', 'wb'))",
    ),
)

_IMAGE_FOLDER = (
    "import numpy as np; from PIL import Image; from pathlib import Path; "
    "files = sorted(Path({path}).rglob('*{suffix}')); np.savez('{out}.npz', "
    "x=np.stack([np.asarray(Image.open(f)) for f in files]), "
    "label=[f.parent.name for f in files])"
)
_PARQUET_FOLDER = (
    "from pyarrow import parquet; parquet.write_table(parquet.read_table({path}), '{out}.parquet')"
)
_MODULES = {".gz": "gzip", ".bz2": "bz2", ".xz": "lzma"}


def conversion(path: Path) -> tuple[str, str] | None:
    """What a file is that is not read, and how to convert it; None for one of no known ending."""
    found = next((kind for kind in CONVERSIONS if kind.fits(path)), None)
    if found is None:
        return None
    note = f" ({found.note})" if found.note else ""
    return f"is {found.what}, which is not read", f"convert it{note}: {_fill(found.python, path)}"


def folder_conversion(path: Path) -> str | None:
    """Python that writes one file of a folder of images or parquet files, or of Zarr."""
    if (found := conversion(path)) is not None:
        return found[1]
    suffixes = {file.suffix.lower() for file in path.rglob("*")}
    if ".parquet" in suffixes:
        return f"convert it: {_fill(_PARQUET_FOLDER, path)}"
    images = sorted(suffixes & {f".{ending}" for ending in (*_IMAGES, "tif", "tiff")})
    if not images:
        return None
    return f"convert it: {_fill(_IMAGE_FOLDER.replace('{suffix}', images[0]), path)}"


def _fill(python: str, path: Path) -> str:
    out, suffix = str(path.with_suffix("")), path.suffix
    module = _MODULES.get(suffix.lower(), "")
    return python.format(path=repr(str(path)), out=out, suffix=suffix, module=module)
