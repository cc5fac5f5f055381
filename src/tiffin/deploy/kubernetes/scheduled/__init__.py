"""A pipeline that a cluster runs by a schedule: one value, its objects, who keeps them, and whose turn it is to run."""
