"""What Latchwork promises to be quick at, measured: `python -m benchmarks` (docs/benchmarks.md)."""
