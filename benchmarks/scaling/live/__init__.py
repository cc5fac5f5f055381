"""Services of this machine, measured: two replicas beside one, replacing, waking, resting. Needs root for docker."""
