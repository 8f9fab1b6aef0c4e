"""What the benchmarks share: a service, whole processes measured by the operating system, and tables."""
