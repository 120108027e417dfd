#!/usr/bin/env python3
"""tensorboard_scalars.py - TensorBoard itself reads what `log: {tensorboard: true}` writes.

    tensorboard_scalars.py SEGLOOM CONFIG

Trains for a few steps on a phantom, goes on by --resume, and compares every scalar that
TensorBoard shows with log.jsonl.  Exit code 77, as ctest wants it of what is skipped, where no
Python has the module: set LOOM_TENSORBOARD_PYTHON to one that has.
"""
import json
import os
import struct
import subprocess
import sys
import tempfile

try:
    from tensorboard.backend.event_processing.event_accumulator import EventAccumulator
except ImportError:
    python = os.environ.get("LOOM_TENSORBOARD_PYTHON")
    if python and sys.executable != python:
        os.execv(python, [python] + sys.argv)
    print("skipped: this Python has no tensorboard; set LOOM_TENSORBOARD_PYTHON to one that has")
    sys.exit(77)


def single(value):
    """The number as a float of 4 bytes, which is what an event holds."""
    return struct.unpack("f", struct.pack("f", value))[0]


def main(segloom, config, folder):

    def run(*words):
        subprocess.run([segloom, *words], cwd=folder, check=True, stdout=subprocess.DEVNULL,
                       stderr=subprocess.DEVNULL)

    run("phantom", "s", "--kind", "spheres", "--cases", "5")
    sets = ["--set", "data.dataset=" + os.path.join(folder, "s"),
            "--set", "graphs.train.log.tensorboard=true", "--set", "graphs.train.log.every=2",
            "--set", "graphs.train.check.every=4", "--set", "graphs.train.save.every=4"]
    run("run", config, "-o", "r", *sets, "--set", "run.steps=6")
    # as if it had been killed: its latest checkpoint is of step 4, so 5 and 6 are done again
    saved = os.path.join(folder, "r", "checkpoint", "seg.safetensors")
    os.replace(saved.replace("seg.", "seg.previous."), saved)
    run("run", config, "-o", "r", *sets, "--set", "run.steps=12", "--resume")

    events = EventAccumulator(os.path.join(folder, "r", "events"), size_guidance={"scalars": 0})
    events.Reload()
    expected = {}
    with open(os.path.join(folder, "r", "log.jsonl"), encoding="utf-8") as log:
        for line in map(json.loads, log):
            prefix = {"step": "train", "metrics": "validate"}.get(line["kind"])
            for name, value in line.items() if prefix else ():
                if name not in ("kind", "step") and isinstance(value, (int, float)):
                    expected.setdefault(f"{prefix}/{name}", []).append(
                        (line["step"], single(value)))
    found = {tag: [(event.step, event.value) for event in events.Scalars(tag)]
             for tag in events.Tags()["scalars"]}
    assert "train/loss" in found and "validate/dice/sphere" in found, sorted(found)
    assert len(found["train/loss"]) == 6, found["train/loss"]
    assert found == expected, (found, expected)
    print(f"TensorBoard reads {len(found)} scalars as log.jsonl has them")


with tempfile.TemporaryDirectory() as place:
    main(os.path.abspath(sys.argv[1]), os.path.abspath(sys.argv[2]), place)
