"""Prints what the program is made of, as CycloneDX 1.5: sbom.py TARGET

Every crate that is compiled into the program for this target, with its version, licence and checksum, and which
crate needs which. Crates that only tests, benches and build scripts need are left out. The C libraries in it (SQLite,
AWS-LC, mimalloc) come with the crates whose names end in -sys.
"""

import datetime
import json
import os
import subprocess
import sys
import tomllib
import uuid


def main(target):
    metadata = json.loads(
        subprocess.run(
            ["cargo", "metadata", "--locked", "--format-version", "1", "--filter-platform", target],
            capture_output=True,
            check=True,
        ).stdout
    )
    with open("Cargo.lock", "rb") as file:
        locked = {(p["name"], p["version"]): p.get("checksum") for p in tomllib.load(file)["package"]}
    packages = {package["id"]: package for package in metadata["packages"]}
    needs = {
        node["id"]: [
            dependency["pkg"]
            for dependency in node["deps"]
            if any(kind["kind"] is None for kind in dependency["dep_kinds"])
        ]
        for node in metadata["resolve"]["nodes"]
    }
    root = metadata["resolve"]["root"]
    reached, open_ids = {root}, [root]
    while open_ids:
        for one in needs[open_ids.pop()]:
            # A macro runs in the compiler, and so does what only macros need.
            if one not in reached and not is_macro(packages[one]):
                reached.add(one)
                open_ids.append(one)

    def component(package, kind="library"):
        made = {
            "type": kind,
            "bom-ref": purl(package),
            "name": package["name"],
            "version": package["version"],
            "purl": purl(package),
        }
        if package["license"]:
            # "MIT/Apache-2.0" is how old crates write "MIT OR Apache-2.0".
            made["licenses"] = [{"expression": package["license"].replace("/", " OR ")}]
        checksum = locked.get((package["name"], package["version"]))
        if checksum:
            made["hashes"] = [{"alg": "SHA-256", "content": checksum}]
        if package["repository"]:
            made["externalReferences"] = [{"type": "vcs", "url": package["repository"]}]
        return made

    ordered = sorted(reached - {root}, key=lambda one: (packages[one]["name"], packages[one]["version"]))
    bom = {
        "$schema": "http://cyclonedx.org/schema/bom-1.5.schema.json",
        "bomFormat": "CycloneDX",
        "specVersion": "1.5",
        "version": 1,
        "metadata": {
            "timestamp": moment(),
            "component": component(packages[root], "application"),
        },
        "components": [component(packages[one]) for one in ordered],
        "dependencies": [
            {
                "ref": purl(packages[one]),
                "dependsOn": sorted({purl(packages[other]) for other in needs[one] if other in reached}),
            }
            for one in [root, *ordered]
        ],
    }
    # The same content has the same number.
    bom["serialNumber"] = uuid.uuid5(uuid.NAMESPACE_URL, json.dumps(bom, sort_keys=True)).urn
    json.dump(bom, sys.stdout, indent=1)
    print()


def is_macro(package):
    return any("proc-macro" in target["kind"] for target in package["targets"])


def purl(package):
    return f"pkg:cargo/{package['name']}@{package['version']}"


def moment():
    seconds = int(os.environ.get("SOURCE_DATE_EPOCH", "0"))
    return datetime.datetime.fromtimestamp(seconds, datetime.timezone.utc).strftime("%Y-%m-%dT%H:%M:%SZ")


main(*sys.argv[1:])
