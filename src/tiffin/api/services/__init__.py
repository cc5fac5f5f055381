"""Services that are kept, on this machine or in a cluster."""
