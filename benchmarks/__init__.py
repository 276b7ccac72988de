"""Measurements of speed; docs/performance.md holds their results and says how to repeat them."""
