"""The controllers: pods for Deployments and StatefulSets, old ones replaced, orphans removed, statuses kept."""

import hashlib
import json
import random
import string

from .api import delete
from .network import is_ready
from .resources import BY_KIND, Target

PODS = BY_KIND["Pod"]
HASH = "pod-template-hash"


class Workloads:
    def __init__(self, store):
        self._store = store

    def reconcile(self):
        owners = set()
        for kind, keep in (("Deployment", self._keep_deployment), ("StatefulSet", self._keep_set)):
            for owner in self._store.list(BY_KIND[kind]):
                owners.add(owner["metadata"]["uid"])
                keep(owner)
        for pod in self._store.list(PODS):
            references = pod["metadata"].get("ownerReferences", [])
            if references and not any(reference["uid"] in owners for reference in references):
                self._delete(pod)
        for claim in self._store.list(BY_KIND["PersistentVolumeClaim"]):
            self._set_status(claim, {"phase": "Bound"})

    def _keep_deployment(self, owner):
        spec, pods = owner["spec"], self._pods_of(owner)
        wanted = spec.get("replicas", 1)
        fresh = [pod for pod in pods if pod["metadata"]["labels"][HASH] == template_hash(owner)]
        old = [pod for pod in pods if pod not in fresh]
        staying = [pod for pod in fresh if "deletionTimestamp" not in pod["metadata"]]
        if (spec.get("strategy") or {}).get("type") == "Recreate" and old:
            for pod in old:
                self._delete(pod)
        elif len(staying) < wanted:
            letters = "".join(random.choices(string.ascii_lowercase + string.digits, k=5))
            self._create(owner, f"{owner['metadata']['name']}-{template_hash(owner)[:8]}-{letters}")
        else:
            ready = len([pod for pod in fresh if is_ready(pod)])
            for pod in old[: max(ready - (wanted - len(old)), 0)] if ready < wanted else old:
                self._delete(pod)
            for pod in staying[wanted:]:
                self._delete(pod)
        self._report(owner, wanted, pods, fresh)

    def _keep_set(self, owner):
        spec, name = owner["spec"], owner["metadata"]["name"]
        wanted, pods = spec.get("replicas", 1), {pod["metadata"]["name"]: pod for pod in self._pods_of(owner)}
        names = [f"{name}-{number}" for number in range(wanted)]
        for surplus in pods.keys() - set(names):
            self._delete(pods[surplus])
        fresh = [pod for pod in pods.values() if pod["metadata"]["labels"][HASH] == template_hash(owner)]
        parallel = spec.get("podManagementPolicy") == "Parallel"
        for pod_name in names:
            if pod_name not in pods:
                self._create_member(owner, pod_name)
            if not parallel and not (pod_name in pods and is_ready(pods[pod_name])):
                break
        # One old pod at a time, the last one first, and only while all others are ready.
        old = [pod for pod in pods.values() if pod not in fresh]
        if old and len(pods) == wanted and all(is_ready(pod) for pod in fresh):
            self._delete(max(old, key=lambda pod: pod["metadata"]["name"]))
        self._report(owner, wanted, list(pods.values()), fresh)

    def _create_member(self, owner, name):
        template = json.loads(json.dumps(owner["spec"]["template"]))
        template["spec"]["hostname"] = name
        labels = {"statefulset.kubernetes.io/pod-name": name, "apps.kubernetes.io/pod-index": name.rsplit("-", 1)[1]}
        template["metadata"]["labels"] |= labels
        volumes = template["spec"].setdefault("volumes", [])
        for claim in owner["spec"].get("volumeClaimTemplates", []):
            claim_name = f"{claim['metadata']['name']}-{name}"
            volumes.append({"name": claim["metadata"]["name"], "persistentVolumeClaim": {"claimName": claim_name}})
            metadata = {"name": claim_name, "namespace": owner["metadata"]["namespace"]}
            metadata["labels"] = owner["spec"]["selector"]["matchLabels"]
            if self._store.find(BY_KIND["PersistentVolumeClaim"], metadata["namespace"], claim_name) is None:
                self._store.put(BY_KIND["PersistentVolumeClaim"], {"metadata": metadata, "spec": claim["spec"]})
        self._create(owner, name, template)

    def _create(self, owner, name, template=None):
        template = template or owner["spec"]["template"]
        metadata = template.get("metadata") or {}
        reference = {"kind": owner["kind"], "name": owner["metadata"]["name"], "uid": owner["metadata"]["uid"]}
        pod = {
            "metadata": {
                "name": name,
                "namespace": owner["metadata"]["namespace"],
                "labels": metadata.get("labels", {}) | {HASH: template_hash(owner)},
                "annotations": metadata.get("annotations", {}),
                "ownerReferences": [reference],
            },
            "spec": template["spec"],
        }
        self._store.put(PODS, pod)

    def _pods_of(self, owner):
        uid = owner["metadata"]["uid"]
        owned = lambda pod: any(known["uid"] == uid for known in pod["metadata"].get("ownerReferences", []))
        return self._store.list(PODS, owner["metadata"]["namespace"], owned)

    def _delete(self, pod):
        if "deletionTimestamp" not in pod["metadata"]:
            delete(self._store, Target(PODS, pod["metadata"]["namespace"], pod["metadata"]["name"], None))

    def _report(self, owner, wanted, pods, fresh):
        ready = len([pod for pod in pods if is_ready(pod)])
        complete = len(fresh) == len(pods) == wanted and ready == wanted
        status = {
            "observedGeneration": owner["metadata"]["generation"],
            "replicas": len(pods),
            "updatedReplicas": len(fresh),
            "readyReplicas": ready,
            "availableReplicas": ready,
            "currentReplicas": len(fresh),
            "currentRevision": template_hash(owner) if complete else "older",
            "updateRevision": template_hash(owner),
            "conditions": [
                {"type": "Available", "status": str(ready >= wanted)},
                {"type": "Progressing", "status": "True", "reason": "NewReplicaSetAvailable" if complete else "Updated"},
            ],
        }
        self._set_status(owner, status)

    def _set_status(self, owner, status):
        def change(value):
            value["status"] = status

        metadata = owner["metadata"]
        self._store.change(BY_KIND[owner["kind"]], metadata["namespace"], metadata["name"], change)


def template_hash(owner):
    """Another template, other pods; nothing else of a Deployment replaces pods."""
    text = json.dumps([owner["spec"]["template"], owner["spec"].get("volumeClaimTemplates")], sort_keys=True)
    return hashlib.sha256(text.encode()).hexdigest()[:12]
