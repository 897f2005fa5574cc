"""Benchmarks: this library beside its transports and its peers, each doing the same work."""
