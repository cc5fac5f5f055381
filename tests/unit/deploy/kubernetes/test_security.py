"""What the profiles say of a pod is what the cluster's own admission says of it."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import pytest
import yaml

from tiffin.deploy.kubernetes.security import Profile, pods, profile_of, violations

CORPUS = Path(__file__).parents[3] / "foreign" / "kubernetes" / "pod-security"
JUDGED = sorted(CORPUS.glob("*/v1.37/*/*.yaml"))
QUIET = {"allowPrivilegeEscalation": False, "capabilities": {"drop": ["ALL"]}}


def pod(**spec: Any) -> dict[str, Any]:
    whole = {
        "containers": [{"name": "one", "image": "one", "securityContext": QUIET}],
        "securityContext": {"runAsNonRoot": True, "seccompProfile": {"type": "RuntimeDefault"}},
    }
    return {"metadata": {}, "spec": whole | spec}


def test_the_whole_corpus_is_there() -> None:
    assert len(JUDGED) == 89


@pytest.mark.parametrize("path", JUDGED, ids=lambda path: "-".join((*path.parts[-4:-3], *path.parts[-2:])))
def test_a_pod_is_judged_as_the_cluster_judges_it(path: Path) -> None:
    level, _, verdict = path.parts[-4:-1]
    found = violations(yaml.safe_load(path.read_text()), Profile(level))
    assert bool(found) == (verdict == "fail"), found


@pytest.mark.parametrize(
    ("spec", "profile"),
    [
        ({}, Profile.RESTRICTED),
        ({"volumes": [{"name": "weights", "image": {"reference": "iris"}}]}, Profile.RESTRICTED),
        ({"securityContext": {"runAsNonRoot": True}}, Profile.BASELINE),
        ({"volumes": [{"name": "a", "nfs": {"server": "a", "path": "/"}}]}, Profile.BASELINE),
        ({"hostNetwork": True}, Profile.PRIVILEGED),
        ({"ephemeralContainers": [{"name": "two", "securityContext": {"privileged": True}}]}, Profile.PRIVILEGED),
        ({"containers": [{"name": "one", "securityContext": None}]}, Profile.BASELINE),
    ],
)
def test_a_pod_meets_the_strictest_profile_that_it_does_not_break(spec: dict[str, Any], profile: Profile) -> None:
    assert profile_of(pod(**spec)) is profile


def test_a_violation_names_the_control_the_place_and_what_stands_there() -> None:
    bad = pod(hostNetwork=True, securityContext={"runAsNonRoot": True, "seccompProfile": {"type": "Unconfined"}})
    found = [(one.control, one.place, one.found) for one in violations(bad, Profile.BASELINE)]
    assert found == [
        ("Host Namespaces", "spec.hostNetwork", "True"),
        ("Seccomp", "spec.securityContext.seccompProfile.type", "Unconfined"),
    ]


def test_what_later_versions_allow_or_refuse_is_judged_by_the_version() -> None:
    lowat = {"sysctls": [{"name": "net.ipv4.tcp_notsent_lowat", "value": "16384"}]}
    assert not violations(pod(securityContext=lowat), Profile.BASELINE, (1, 37))
    assert violations(pod(securityContext=lowat), Profile.BASELINE, (1, 36))
    probe = {"name": "one", "readinessProbe": {"tcpSocket": {"host": "::1", "port": 1}}}
    assert not violations(pod(containers=[probe]), Profile.BASELINE, (1, 33))
    assert violations(pod(containers=[probe]), Profile.BASELINE, (1, 34))


def test_pods_are_found_in_whatever_makes_them() -> None:
    name = {"name": "iris"}
    template = pod()
    made = [
        {"kind": "Service", "metadata": name, "spec": {"ports": []}},
        {"kind": "ServiceAccount", "metadata": name},
        {**template, "kind": "Pod", "metadata": name},
        {"kind": "Deployment", "metadata": name, "spec": {"template": template}},
        {"kind": "CronJob", "metadata": name, "spec": {"jobTemplate": {"spec": {"template": template}}}},
        {"kind": "InferenceService", "metadata": name, "spec": {"predictor": template["spec"]}},
    ]
    found = dict(pods(made))
    assert list(found) == ["Pod/iris", "Deployment/iris", "CronJob/iris", "InferenceService/iris"]
    assert {profile_of(one) for one in found.values()} == {Profile.RESTRICTED}
