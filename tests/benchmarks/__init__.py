"""Figures about Pomona's speed and memory, each beside a reference measured in the same minutes.

``python -m tests.benchmarks [group ...]`` prints them. Benchmarks report and never fail; tests
judge.
"""
