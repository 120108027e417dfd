#!/usr/bin/env python3
"""What nibabel reads in each valid edge case: one line a file, sha256 of the f32 voxels and name.

  edge_cases_sha256.py FOLDER            prints the list (kept as edge-cases.sha256)
  edge_cases_sha256.py FOLDER SEGLOOM    compares `SEGLOOM info --json` with nibabel, voxels included

Voxels: file order (first axis fastest), little endian, slope * x + intercept in double, rounded to
f32 once, NaN as it is in the file.  Exit code 77: nibabel or the folder is not there.
"""
import hashlib
import json
import pathlib
import subprocess
import sys

try:
    import nibabel
    import numpy
except ImportError as error:
    print(f"skipped: {error}", file=sys.stderr)
    sys.exit(77)


def voxels(path):
    image = nibabel.load(path)
    proxy = image.dataobj
    stored = numpy.asanyarray(proxy.get_unscaled())
    slope, intercept = proxy.slope, proxy.inter
    if stored.dtype.kind == "f" and (slope, intercept) == (1, 0):
        scaled = stored
    else:
        scaled = stored.astype(numpy.float64) * slope + intercept
    with numpy.errstate(over="ignore"):
        return image, scaled.astype("<f4")


def sha256(values):
    return hashlib.sha256(values.tobytes(order="F")).hexdigest()


def differences(path, found):
    image, values = voxels(path)
    finite = values[numpy.isfinite(values)].astype(numpy.float64)
    zooms = [float(z) for z in image.header.get_zooms()[:3]]
    wanted = {
        "shape": list(image.shape),
        "dtype": str(image.get_data_dtype()),
        "axes": "".join(nibabel.aff2axcodes(image.affine)),
        "nonfinite": int(values.size - finite.size),
        "min": float(finite.min()),
        "max": float(finite.max()),
        "sha256": sha256(values),
    }
    wrong = [f"{key} {found[key]}, nibabel {value}" for key, value in wanted.items()
             if found[key] != value]
    if abs(found["mean"] - finite.mean()) > 1e-9 * max(1.0, numpy.abs(finite).mean()):
        wrong.append(f"mean {found['mean']}, nibabel {finite.mean()}")
    if numpy.abs(numpy.subtract(found["spacing_mm"][:len(zooms)], zooms)).max() > 1e-5:
        wrong.append(f"spacing_mm {found['spacing_mm']}, nibabel {zooms}")
    return wrong


def main():
    folder = pathlib.Path(sys.argv[1])
    if not folder.is_dir():
        print(f"skipped: no folder {folder}", file=sys.stderr)
        return 77
    table = json.loads((folder / "expected.json").read_text())
    names = [row["file"] for row in table if row["kind"] == "valid"]
    if len(sys.argv) == 2:
        for name in names:
            print(sha256(voxels(folder / name)[1]), name)
        return 0
    bad = 0
    for name in names:
        run = subprocess.run([sys.argv[2], "info", "--json", str(folder / name)],
                             capture_output=True, text=True, check=False)
        wrong = differences(folder / name, json.loads(run.stdout)) if run.returncode == 0 \
            else [run.stderr.strip()]
        bad += bool(wrong)
        for text in wrong:
            print(f"{name}: {text}")
    print(f"{len(names) - bad} of {len(names)} valid files as nibabel reads them")
    return 1 if bad else 0


sys.exit(main())
