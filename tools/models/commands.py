"""What the scripts of this folder share about calling `clockwork`."""

import subprocess

import numpy as np

# The longest that a command may take, in seconds; a large model is imported within it.
LONGEST = 1800


def clockwork(binary, *arguments):
    """What it printed. Where it fails, the error is its panic or its last line, which begins with `clockwork: `."""
    try:
        done = subprocess.run([binary, *map(str, arguments)], capture_output=True, text=True, timeout=LONGEST)
    except subprocess.TimeoutExpired:
        raise RuntimeError(f"did not end within {LONGEST} s") from None
    if done.returncode:
        lines = done.stderr.strip().splitlines()
        panics = [line for line in lines if "panicked" in line]
        raise RuntimeError((panics + lines[-1:] or [f"ended with {done.returncode}"])[0])
    return done.stdout


def run(binary, package, folder, inputs, outputs, batch, *options):
    """The outputs, batch first. Files lie in `folder`."""
    arguments = ["run", package, "--batch", batch, *options]
    for i, (name, array) in enumerate(inputs.items()):
        np.save(folder / f"in{i}.npy", array)
        arguments += ["--input", f"{name}={folder / f'in{i}.npy'}"]
    for i, name in enumerate(outputs):
        arguments += ["--output", f"{name}={folder / f'out{i}.npy'}"]
    clockwork(binary, *arguments)
    return [np.load(folder / f"out{i}.npy") for i in range(len(outputs))]
