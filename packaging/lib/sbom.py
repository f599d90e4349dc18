"""The bill of materials in CycloneDX 1.5: the crates that are linked into the program, with the checksums of Cargo.lock.

cargo-cyclonedx takes minutes to compile, and lists build and test dependencies as well.
"""
import json, subprocess, time, tomllib, uuid

from .stage import ROOT, epoch, version


def linked(metadata):
    """The packages that the program is linked with, found from the program along normal dependencies."""
    nodes = {node["id"]: node for node in metadata["resolve"]["nodes"]}
    start = metadata["resolve"]["root"]
    seen, waiting = {start}, [start]
    while waiting:
        for dependency in nodes[waiting.pop()]["deps"]:
            if any(kind["kind"] is None for kind in dependency["dep_kinds"]) and dependency["pkg"] not in seen:
                seen.add(dependency["pkg"])
                waiting.append(dependency["pkg"])
    packages = [package for package in metadata["packages"] if package["id"] in seen and package["name"] != "postern"]
    edges = {one: sorted(dep["pkg"] for dep in nodes[one]["deps"] if dep["pkg"] in seen and any(k["kind"] is None for k in dep["dep_kinds"])) for one in seen}
    return packages, edges, start


def reference(package):
    return f"pkg:cargo/{package['name']}@{package['version']}"


def component(package, checksums):
    found = {"type": "library", "bom-ref": reference(package), "name": package["name"], "version": package["version"], "purl": reference(package)}
    if package.get("license"):
        found["licenses"] = [{"expression": package["license"].replace("/", " OR ")}]
    if checksum := checksums.get((package["name"], package["version"])):
        found["hashes"] = [{"alg": "SHA-256", "content": checksum}]
    return found


def document():
    command = ["cargo", "metadata", "--format-version", "1", "--locked", "--filter-platform", "x86_64-unknown-linux-gnu"]
    metadata = json.loads(subprocess.run(command, cwd=ROOT, capture_output=True, check=True).stdout)
    lock = tomllib.loads((ROOT / "Cargo.lock").read_text())["package"]
    checksums = {(one["name"], one["version"]): one["checksum"] for one in lock if "checksum" in one}
    packages, edges, start = linked(metadata)
    names = {package["id"]: reference(package) for package in metadata["packages"]}
    program = f"pkg:cargo/postern@{version()}"
    return {
        "bomFormat": "CycloneDX",
        "specVersion": "1.5",
        "serialNumber": f"urn:uuid:{uuid.uuid5(uuid.NAMESPACE_URL, json.dumps(sorted(names[one] for one in edges)) + version())}",
        "version": 1,
        "metadata": {
            "timestamp": time.strftime("%Y-%m-%dT%H:%M:%SZ", time.gmtime(epoch())),
            "component": {"type": "application", "bom-ref": program, "name": "postern", "version": version(), "licenses": [{"expression": "MIT OR Apache-2.0"}], "purl": program},
        },
        "components": sorted((component(package, checksums) for package in packages), key=lambda one: one["bom-ref"]),
        "dependencies": sorted(({"ref": program if one == start else names[one], "dependsOn": [names[to] for to in edges[one]]} for one in edges), key=lambda one: one["ref"]),
    }


def write(output):
    target = output / f"postern-{version()}.cdx.json"
    target.write_text(json.dumps(document(), indent=1) + "\n")
    return target
