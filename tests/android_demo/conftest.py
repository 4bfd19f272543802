"""pytest's importlib mode puts no folder of tests on the path, and the build tools are in no package."""

from __future__ import annotations

import sys
from pathlib import Path

HERE = Path(__file__).resolve().parent
sys.path += [str(HERE), str(HERE.parents[1] / "android-demo" / "build-tools")]
