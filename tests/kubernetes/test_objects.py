"""Reading and writing objects; the same against a real cluster."""

from __future__ import annotations

from typing import Any

import pytest

from kubernetes_fixtures import config_map, deployment
from tiffin.deploy.kubernetes.client.cluster import Api
from tiffin.deploy.kubernetes.client.kinds import CONFIG_MAP, DEPLOYMENT, Kind
from tiffin.deploy.kubernetes.client.refusals import FieldConflictError
from tiffin.errors import ConfigError, ConflictError, NotFoundError

pytestmark = pytest.mark.cluster


def managers(found: dict[str, Any]) -> set[tuple[str, str, str]]:
    return {
        (entry["manager"], entry["operation"], entry.get("subresource", ""))
        for entry in found["metadata"]["managedFields"]
    }


def test_a_cluster_says_its_version_and_its_kinds(api: Api) -> None:
    assert api.version() >= (1, 29)
    assert {"Pod", "apps/Deployment", "autoscaling/HorizontalPodAutoscaler"} <= api.kinds()


def test_a_kind_is_found_by_what_objects_begin_with(api: Api) -> None:
    expected = Kind(name="PersistentVolumeClaim", plural="persistentvolumeclaims")
    assert api.kind("v1", "PersistentVolumeClaim") == expected
    with pytest.raises(NotFoundError, match="no Elephant of v1"):
        api.kind("v1", "Elephant")
    with pytest.raises(NotFoundError):
        api.kind("elephants.invalid/v1", "Elephant")


def test_what_is_applied_is_kept_under_our_name(api: Api, namespace: str) -> None:
    api.apply(config_map("a", colour="red"))
    found = api.get(CONFIG_MAP, namespace, "a")
    assert found["data"] == {"colour": "red"}
    assert managers(found) == {("tiffin", "Apply", "")}


def test_applying_the_same_again_changes_nothing(api: Api) -> None:
    first = api.apply(deployment("a", 1))
    assert api.apply(deployment("a", 1))["metadata"]["generation"] == first["metadata"]["generation"]


def test_a_field_that_is_not_applied_any_more_is_gone(api: Api, namespace: str) -> None:
    api.apply(config_map("a", colour="red", size="3"))
    api.apply(config_map("a", colour="red"))
    assert api.get(CONFIG_MAP, namespace, "a")["data"] == {"colour": "red"}


def test_a_field_of_somebody_else_is_left_alone(api: Api, someone: Api, namespace: str) -> None:
    api.apply(config_map("a", colour="red"))
    someone.apply(config_map("a", size="3"))
    api.apply(config_map("a", colour="blue"))
    assert api.get(CONFIG_MAP, namespace, "a")["data"] == {"colour": "blue", "size": "3"}


def test_a_conflict_names_the_field_and_its_manager(api: Api, someone: Api) -> None:
    someone.apply(deployment("a", 3))
    with pytest.raises(FieldConflictError) as refused:
        api.apply(deployment("a", 2))
    (conflict,) = refused.value.conflicts
    assert (conflict.manager, conflict.field) == ("somebody", ".spec.replicas")
    assert 'conflict with "somebody"' in refused.value.message
    assert "--force" in (refused.value.hint or "")


def test_several_conflicts_are_all_named(api: Api, someone: Api) -> None:
    someone.apply(deployment("a", 3))
    with pytest.raises(FieldConflictError) as refused:
        api.apply(deployment("a", 2, image="registry.invalid/app:2"))
    assert {conflict.field for conflict in refused.value.conflicts} == {
        ".spec.replicas",
        '.spec.template.spec.containers[name="app"].image',
    }


def test_force_takes_a_field_over(api: Api, someone: Api, namespace: str) -> None:
    someone.apply(config_map("a", colour="red"))
    api.apply(config_map("a", colour="blue"), force=True)
    found = api.get(CONFIG_MAP, namespace, "a")
    assert found["data"] == {"colour": "blue"}
    assert managers(found) == {("tiffin", "Apply", "")}


def test_two_who_apply_the_same_own_it_both(api: Api, someone: Api, namespace: str) -> None:
    someone.apply(config_map("a", colour="red"))
    api.apply(config_map("a", colour="red"))
    someone.apply(config_map("a", size="1"))
    assert api.get(CONFIG_MAP, namespace, "a")["data"] == {"colour": "red", "size": "1"}


def test_a_dry_run_says_what_would_be_and_keeps_nothing(api: Api, namespace: str) -> None:
    assert api.apply(config_map("a", colour="red"), dry_run=True)["data"] == {"colour": "red"}
    with pytest.raises(NotFoundError):
        api.get(CONFIG_MAP, namespace, "a")


def test_a_dry_run_finds_conflicts(api: Api, someone: Api) -> None:
    someone.apply(config_map("a", colour="red"))
    with pytest.raises(FieldConflictError):
        api.apply(config_map("a", colour="blue"), dry_run=True)


def test_a_field_that_there_is_not_is_refused_by_its_name(api: Api) -> None:
    wanted = deployment("a")
    wanted["spec"]["replicsa"] = 3
    with pytest.raises(ConfigError, match="replicsa") as refused:
        api.apply(wanted)
    assert refused.value.hint == "mend spec.replicsa"


def test_what_lacks_a_field_is_refused_with_its_place(api: Api) -> None:
    wanted = deployment("a")
    del wanted["spec"]["template"]["spec"]["containers"][0]["image"]
    with pytest.raises(ConfigError) as refused:
        api.apply(wanted)
    assert refused.value.hint == "mend spec.template.spec.containers[0].image"


def test_a_field_that_may_not_change_is_refused(api: Api) -> None:
    api.apply(deployment("a"))
    wanted = deployment("a")
    wanted["spec"]["selector"]["matchLabels"] = wanted["spec"]["template"]["metadata"]["labels"] = {"app": "b"}
    with pytest.raises(ConfigError, match="field is immutable"):
        api.apply(wanted, force=True)


def test_a_namespace_that_there_is_not_is_named(api: Api) -> None:
    wanted = config_map("a")
    wanted["metadata"]["namespace"] = "nowhere-at-all"
    with pytest.raises(NotFoundError, match='namespaces "nowhere-at-all" not found'):
        api.apply(wanted)


def test_an_object_that_there_is_not_is_named(api: Api, namespace: str) -> None:
    with pytest.raises(NotFoundError, match=r'deployments.apps "a" not found'):
        api.get(DEPLOYMENT, namespace, "a")


def test_a_name_is_taken_once(api: Api) -> None:
    api.create(config_map("a"))
    with pytest.raises(ConflictError, match='configmaps "a" already exists'):
        api.create(config_map("a"))


def test_a_patch_changes_fields_whoever_owns_them(api: Api, someone: Api, namespace: str) -> None:
    someone.apply(config_map("a", colour="red", size="3"))
    changed = api.patch(CONFIG_MAP, namespace, "a", {"data": {"colour": "blue", "size": None}})
    assert changed["data"] == {"colour": "blue"}
    assert ("tiffin", "Update", "") in managers(changed)


def test_replicas_are_set_by_the_scale(api: Api, namespace: str) -> None:
    api.apply(deployment("a", 1))
    api.scale(DEPLOYMENT, namespace, "a", 4)
    assert api.get(DEPLOYMENT, namespace, "a", subresource="scale")["spec"]["replicas"] == 4
    assert ("tiffin", "Update", "scale") in managers(api.get(DEPLOYMENT, namespace, "a"))


def test_replicas_that_nobody_owns_are_nobodys_after_the_scale_too(api: Api, someone: Api, namespace: str) -> None:
    api.apply(deployment("a"))
    someone.scale(DEPLOYMENT, namespace, "a", 4)
    assert not [manager for manager in managers(api.get(DEPLOYMENT, namespace, "a")) if manager[2] == "scale"]
    assert api.apply(deployment("a", 2))["spec"]["replicas"] == 2


def test_what_we_set_by_the_scale_is_no_conflict_with_ourselves(api: Api, namespace: str) -> None:
    api.apply(deployment("a", 1))
    api.scale(DEPLOYMENT, namespace, "a", 2)
    api.apply(deployment("a", 3))
    assert api.get(DEPLOYMENT, namespace, "a")["spec"]["replicas"] == 3


def test_what_somebody_set_by_the_scale_is_a_conflict(api: Api, someone: Api, namespace: str) -> None:
    api.apply(deployment("a", 1))
    someone.scale(DEPLOYMENT, namespace, "a", 2)
    with pytest.raises(FieldConflictError, match='"somebody" with subresource "scale"'):
        api.apply(deployment("a", 3))


def test_a_status_is_applied_apart_from_the_rest(api: Api, namespace: str) -> None:
    api.apply(deployment("a"))
    condition = {"type": "Tested", "status": "True", "reason": "Test", "message": "yes"}
    status = {
        "apiVersion": "apps/v1",
        "kind": "Deployment",
        "metadata": {"name": "a"},
        "status": {"conditions": [condition]},
    }
    api.apply(status, subresource="status")
    found = api.get(DEPLOYMENT, namespace, "a")
    assert "Tested" in {condition["type"] for condition in found["status"]["conditions"]}
    assert ("tiffin", "Apply", "status") in managers(found)


def test_a_list_has_those_with_the_labels(api: Api, namespace: str) -> None:
    for name, tier in (("a", "front"), ("b", "back"), ("c", "front")):
        wanted = config_map(name)
        wanted["metadata"]["labels"] = {"tier": tier, "app": "iris"}
        api.apply(wanted)
    found = api.list(CONFIG_MAP, namespace, {"tier": "front", "app": "iris"})
    assert [item["metadata"]["name"] for item in found] == ["a", "c"]
    assert {(item["apiVersion"], item["kind"]) for item in found} == {("v1", "ConfigMap")}
    assert len(api.list(CONFIG_MAP, "", {"app": "iris"}, fields={"metadata.namespace": namespace})) == 3


def test_what_is_deleted_is_gone(api: Api, namespace: str) -> None:
    api.apply(config_map("a"))
    api.delete(CONFIG_MAP, namespace, "a")
    with pytest.raises(NotFoundError):
        api.delete(CONFIG_MAP, namespace, "a")


def test_only_the_one_that_was_meant_is_deleted(api: Api, namespace: str) -> None:
    made = api.apply(config_map("a"))["metadata"]
    with pytest.raises(ConflictError, match="UID in the precondition"):
        api.delete(CONFIG_MAP, namespace, "a", uid="00000000-0000-0000-0000-000000000000")
    api.patch(CONFIG_MAP, namespace, "a", {"data": {"changed": "yes"}})
    with pytest.raises(ConflictError, match="ResourceVersion in the precondition"):
        api.delete(CONFIG_MAP, namespace, "a", version=made["resourceVersion"])
    api.delete(CONFIG_MAP, namespace, "a", uid=made["uid"])
