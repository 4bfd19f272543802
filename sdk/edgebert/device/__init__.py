"""Measuring on a phone: `adb.py` talks to it, `app.py` drives the demo app, `bench.py` the bare core."""

from __future__ import annotations

from pathlib import Path

# What is pushed and installed is built in the checkout that this package lies in; a wheel has no such files.
CHECKOUT = Path(__file__).resolve().parents[3]
