"""What `make bench` measures. The pages and the README quote benchmarks/results.json alone."""
