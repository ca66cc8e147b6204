"""Measurements: run by hand, never part of a test run. The figures stand in README.md beside this file."""
