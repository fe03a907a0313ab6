"""The transfer report: twin and robots under the same commands."""
