"""Services of one machine: decided purely (`decide`), remembered (`state`), kept by a supervisor (`supervisor`)."""
