"""Makes the rivals' virtual environments: `python -m benchmarks.layer.setup_rivals [--rivals FOLDER]`."""

from __future__ import annotations

import argparse
import subprocess
import sys
import venv
from pathlib import Path

from benchmarks.layer.systems import all_systems, default_rivals_folder


def main() -> None:
    """Install every rival that is not installed yet."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--rivals", type=Path, default=default_rivals_folder(), help="folder for the environments")
    rivals = parser.parse_args().rivals.absolute()
    for system in all_systems(rivals):
        if not system.requirements:
            continue
        if system.installed:
            print(f"{system.name}: already in {rivals / system.name}")
            continue
        print(f"{system.name}: installing {', '.join(system.requirements)} into {rivals / system.name}", flush=True)
        venv.create(rivals / system.name, with_pip=True, clear=True)
        pip = [str(system.python), "-m", "pip", "install", "--quiet", "--disable-pip-version-check"]
        if subprocess.run([*pip, *system.requirements], check=False).returncode:
            sys.exit(f"{system.name}: pip failed; the benchmark will show it as not installed")
        (rivals / system.name / ".complete").touch()


if __name__ == "__main__":
    main()
