"""The night by Kubernetes: its manifest is taken as written, and the container's command is run on the double."""

import sys
from pathlib import Path

import pytest

from tests.conftest import Double, Ran
from tests.deploy.conftest import EXAMPLES, Place, clean, loaded
from tests.deploy.nightly import DRAINED_S, LASTING, PASSING, STOPPED, exports, nights, refuse_lacking, settings

MANIFEST = EXAMPLES / "kubernetes/cronjob.yaml"
JOB = loaded(MANIFEST)["spec"]["jobTemplate"]["spec"]
POD = JOB["template"]["spec"]
(CONTAINER,) = POD["containers"]


def pod(site: Place, double: Double, name: str) -> Ran:
    """Run what a pod of a Job runs."""
    return site.run(CONTAINER["command"] + CONTAINER["args"], settings(double, JOB_NAME=name))


def test_the_manifest_is_valid() -> None:
    """It fits the schema, in which nothing unknown is allowed."""
    clean(Path(sys.executable).with_name("kubernetes-validate"), "--strict", MANIFEST)


def test_the_policy_goes_by_the_table() -> None:
    """A drained node costs no try; what lasts ends the Job; what passes, and signals, start the next pod."""
    drained, *codes = JOB["podFailurePolicy"]["rules"]
    assert (drained["action"], drained["onPodConditions"]) == ("Ignore", [{"type": "DisruptionTarget"}])
    by_action = {rule["action"]: rule["onExitCodes"] for rule in codes}
    assert set(by_action["FailJob"]["values"]) == LASTING
    assert set(by_action["Count"]["values"]) == PASSING | STOPPED
    assert {rule["containerName"] for rule in by_action.values()} == {CONTAINER["name"]}
    assert {rule["operator"] for rule in by_action.values()} == {"In"}
    assert POD["restartPolicy"] == "Never"
    assert JOB["backoffLimit"] > 0


def test_a_stop_has_the_time_it_takes() -> None:
    """The kill comes after the drain."""
    assert POD["terminationGracePeriodSeconds"] > DRAINED_S


def test_the_pod_has_what_a_run_needs_and_no_more() -> None:
    """The app and the key; the user of the image, a read-only root, no capability and no way to get one."""
    refuse_lacking("\n".join(f"{item['name']}={item.get('value')}" for item in CONTAINER["env"]))
    assert POD["securityContext"]["runAsUser"] == POD["securityContext"]["fsGroup"] == 10001
    assert POD["securityContext"]["seccompProfile"] == {"type": "RuntimeDefault"}
    assert CONTAINER["securityContext"] == {
        "allowPrivilegeEscalation": False,
        "readOnlyRootFilesystem": True,
        "capabilities": {"drop": ["ALL"]},
    }
    mounted = {mount["name"] for mount in CONTAINER["volumeMounts"]}
    assert mounted == {volume["name"] for volume in POD["volumes"]}


def test_the_metrics_are_where_the_annotations_say() -> None:
    """One port: served, declared, and looked for."""
    port = JOB["template"]["metadata"]["annotations"]["prometheus.io/port"]
    assert port == str(CONTAINER["ports"][0]["containerPort"])
    assert f"--metrics-port {port} " in CONTAINER["args"][0]


def test_each_pod_of_a_job_goes_on_with_the_same_night(site: Place, double: Double) -> None:
    """The night is of the minute in the Job's name; a volume that fsGroup has opened to the group is no hindrance."""
    exports(site).mkdir()
    exports(site).chmod(0o2775)
    first, second = (pod(site, double, "exporter-29384137") for _ in range(2))
    assert first.code == second.code == 0, first.err + second.err
    assert second.out.startswith("Already complete")
    assert nights(site) == ["dt=2025-11-13"]


def test_the_folders_of_a_night_stay_private(site: Place, double: Double) -> None:
    """What fsGroup does to a volume at each mount, unless told OnRootMismatch, would have the next pod refused."""
    assert POD["securityContext"]["fsGroupChangePolicy"] == "OnRootMismatch"
    assert pod(site, double, "exporter-29384137").code == 0
    (exports(site) / "dt=2025-11-13").chmod(0o2770)
    assert pod(site, double, "exporter-29384137").code == 2


@pytest.mark.parametrize("name", ["exporter-by-hand", "exporter-x1", "exporter-0", "exporter-"])
def test_a_job_of_another_name_asks_for_nothing(site: Place, double: Double, name: str) -> None:
    """Whoever makes a Job by hand gives it a minute: no folder is guessed, and no pod tries again."""
    before = double.stats()["requests"]
    assert pod(site, double, name).code in LASTING
    assert double.stats()["requests"] == before
