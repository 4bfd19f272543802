"""The voice-assistant dataset that `edgebert quickstart` runs on; see README.md beside this file."""
