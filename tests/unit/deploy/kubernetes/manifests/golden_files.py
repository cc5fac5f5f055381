"""What golden files hold. This writes them anew; then read the difference:

PYTHONPATH=src:tests python -m unit.deploy.kubernetes.manifests.golden_files
"""

from __future__ import annotations

from pathlib import Path

import msgspec

from tiffin.deploy.kubernetes.manifests.render import Canary, Cluster, render, render_kserve, to_yaml
from tiffin.deploy.kubernetes.scheduled.objects import render as render_pipeline
from tiffin.deploy.service import Data, Replicas, Resources, SecretFile, Service, Weights
from tiffin.oci.digest import Digest
from unit.deploy.kubernetes.manifests.services import CANARY, CLUSTER, FULL, NEXT, OTHER, SERVICE, TEMPLATE
from unit.deploy.kubernetes.scheduled.pipelines import DEPLOYING, PLAIN

GOLDEN = Path(__file__).parent / "golden"
replace = msgspec.structs.replace

_RICH = replace(
    TEMPLATE,
    env={"LOG_LEVEL": "debug"},
    secrets=(
        SecretFile(name="bearer-token", source="iris"),
        SecretFile(name="tls.key", source="certificates/iris.key"),
    ),
    data=(
        Data(name="features", path="/data", source="features"),
        Data(name="cache", path="/cache", source="scratch", write=True),
    ),
    resources=Resources(cpus=3.5, memory=6 << 30, gpus=1),
    weights=Weights(image="registry.example/team/iris-weights", digest=Digest.of(b"weights"), size=4 << 30),
    deadline_seconds=60.0,
)
_SCALED = Replicas(least=2, most=10, concurrency=4)
_EVERYTHING = Service(name="iris", template=_RICH, replicas=_SCALED, host="iris.example")
_CANARY = Canary(template=replace(_RICH, digest=NEXT.digest), percent=10)
_SLEEPY = replace(SERVICE, replicas=Replicas(least=0, most=5), host="iris.example")


def golden() -> dict[str, str]:
    """Render what golden files hold, by name."""
    return {
        "plain": to_yaml(render(SERVICE, CLUSTER)),
        "scaled": to_yaml(render(replace(SERVICE, replicas=_SCALED), CLUSTER)),
        "everything": to_yaml(render(_EVERYTHING, FULL, _CANARY)),
        "canary-without-a-gateway": to_yaml(
            render(replace(SERVICE, replicas=Replicas(least=3, most=3)), CLUSTER, CANARY)
        ),
        "from-zero": to_yaml(render(_SLEEPY, FULL)),
        "old-cluster": to_yaml(render(replace(_EVERYTHING, host=""), Cluster(version=(1, 31)))),
        "image-of-others": to_yaml(
            render(Service(name="database", template=OTHER), replace(CLUSTER, makes_namespace=True))
        ),
        "kserve": to_yaml(render_kserve(replace(SERVICE, replicas=_SCALED), FULL, CANARY)),
        "pipeline": to_yaml(render_pipeline(PLAIN, CLUSTER)),
        "pipeline-that-deploys": to_yaml(render_pipeline(DEPLOYING, FULL)),
    }


def main() -> None:
    """Write golden files anew."""
    for name, text in golden().items():
        (GOLDEN / f"{name}.yaml").write_text(text)


if __name__ == "__main__":
    main()
