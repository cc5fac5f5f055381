"""Who is measured, and what they do: the words that join measuring, tables and targets."""

TIFFIN = "tiffin"
PIP = "docker, pip"
UV = "docker, uv"
BUILDAH = "buildah, uv"
BENTOML = "bentoml"
MLFLOW = "mlflow"
PYOCI = "pyoci"
PEERS = [BENTOML, MLFLOW, PYOCI]
"""They bring a server of their own, or none, and so make another image of the same model."""
BUILDERS = [TIFFIN, PIP, UV, BUILDAH, *PEERS]
"""In the order of the tables."""

COLD = "every cache empty"
SEEN = "wheels seen before, other project"
SHARED = "other project, same lock"
NOTHING = "no change"
CHANGED = "one line of code changed"
RETRAINED = "model retrained"
BUMPED = "one dependency bumped"
PHASES = [COLD, SEEN, SHARED, NOTHING, CHANGED, RETRAINED, BUMPED]
"""In the order of the table."""

BUILD = "build"
PUSH = "push"
RUN = "run"
LIVE = "live"
FIRST = "first"
BARE = "bare import and load"
SIZE = "size"
LAYERS = "layers"
MEMORY = "memory"
