"""Programs that tests and benchmarks run for real, each with data of its own that is gone afterwards."""
