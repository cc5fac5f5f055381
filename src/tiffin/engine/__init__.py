"""Run containers: the embedded engine on bubblewrap, and one in memory for tests of decisions."""
