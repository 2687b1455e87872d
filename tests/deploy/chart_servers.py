"""Checks the pods that a chart made: FILE PROGRAM FOLDER

It runs `config check` with the environment and the configuration of each pod, over the image's environment as the
Dockerfile sets it, and demands that every file which the pod's variables name is mounted and that the pods have no
rights of root's.
"""

import os
import re
import subprocess
import sys
import tempfile

from ruamel.yaml import YAML


def image_environment():
    with open("Dockerfile", encoding="utf-8") as file:
        return dict(re.findall(r"^ENV (\w+)=(\S+)$", file.read(), re.M))


def mounted_files(pod, container, kept, configurations):
    """Makes the files that the container sees, and returns where each is kept."""
    values = {
        "database-url": "postgres://sealwright:password@db.example/sealwright?sslmode=verify-full",
        "master-key": subprocess.run(["openssl", "rand", "-base64", "32"], capture_output=True, text=True).stdout,
        "master-key-previous": subprocess.run(["openssl", "rand", "-base64", "32"], capture_output=True, text=True).stdout,
    }
    volumes, places = {volume["name"]: volume for volume in pod["volumes"]}, {}
    for mount in container["volumeMounts"]:
        volume = volumes[mount["name"]]
        assert mount["readOnly"], f"{mount['name']} can be written"
        texts = configurations.get(volume.get("configMap", {}).get("name"), {})
        if "secret" in volume:
            texts = {item["path"]: values[item["key"]] for item in volume["secret"].get("items", [])} or values
        for name, text in texts.items():
            place = os.path.join(kept, mount["name"], name)
            os.makedirs(os.path.dirname(place), exist_ok=True)
            with open(place, "w", encoding="utf-8") as file:
                file.write(text)
            places[os.path.join(mount["mountPath"], name)] = place
    return places


def main(path, program, folder):
    documents = [one for one in YAML(typ="safe").load_all(open(path, encoding="utf-8")) if one]
    configurations = {one["metadata"]["name"]: one["data"] for one in documents if one["kind"] == "ConfigMap"}
    pods = [one for one in documents if one["kind"] in ("Deployment", "Job")]
    assert len(pods) == 2, "a deployment and a job that migrates"
    for owner in pods:
        name, pod = owner["metadata"]["name"], owner["spec"]["template"]["spec"]
        assert pod["securityContext"]["runAsNonRoot"] and not pod["automountServiceAccountToken"], name
        (container,) = pod["containers"]
        rights = container["securityContext"]
        assert rights["readOnlyRootFilesystem"] and not rights["allowPrivilegeEscalation"], name
        assert rights["capabilities"] == {"drop": ["ALL"]}, name
        if owner["kind"] == "Deployment":
            probes = {"startupProbe", "livenessProbe", "readinessProbe"}
            assert probes <= container.keys(), f"{name} lacks a probe"
            drains = pod["terminationGracePeriodSeconds"]
            assert drains > 30, f"{name} is killed after {drains} s"
        places = mounted_files(pod, container, tempfile.mkdtemp(dir=folder), configurations)
        environment = image_environment() | {one["name"]: one["value"] for one in container["env"]}
        for key, value in environment.items():
            if key.endswith("_FILE"):
                assert value in places, f"{name}: {key} names {value}, which nothing mounts"
                environment[key] = places[value]
        arguments = [places.get(word, word) for word in container["args"] if word not in ("serve", "migrate")]
        checked = subprocess.run(
            [program, *arguments, "config", "check"], env=environment, capture_output=True, text=True
        )
        assert checked.returncode == 0, f"{name}: {checked.stderr}"
        shown = subprocess.run(
            [program, *arguments, "config", "show"], env=environment, capture_output=True, text=True
        ).stdout
        assert "db.example" in shown, f"{name} does not use the secret's database: {shown}"


main(*sys.argv[1:])
