"""The container image, built from scratch and without a daemon: one layer, readable as an OCI layout and by `docker load`."""
import hashlib, io, json, pathlib, struct, tarfile, time

from . import sbom, stage
from .stage import add

HERE = pathlib.Path(__file__).resolve().parents[1]
USER = 65532  # as other images without root have it
# cap_net_bind_service, permitted and effective (linux/capability.h, revision 2): port 53 without root.
CAPABILITY = struct.pack("<IIIII", 0x02000001, 1 << 10, 0, 0, 0)
# Authorities for `https://`, from the machine that builds.
AUTHORITIES = pathlib.Path("/etc/ssl/certs/ca-certificates.crt")


def layer(program):
    """The root file system as a tar archive. Only /var/lib/postern and /run/postern are written to."""
    out = io.BytesIO()
    with tarfile.open(fileobj=out, mode="w", format=tarfile.PAX_FORMAT) as archive:
        for directory in ("etc", "etc/postern", "etc/postern/zones", "etc/ssl", "etc/ssl/certs", "run", "tmp", "usr", "usr/bin", "usr/share", "usr/share/doc", "usr/share/doc/postern", "var", "var/lib"):
            add(archive, directory, mode=0o1777 if directory == "tmp" else 0o755)
        for directory in ("run/postern", "var/lib/postern"):
            add(archive, directory, mode=0o750, owner=USER)
        add(archive, "etc/passwd", f"root:x:0:0:root:/:/sbin/nologin\npostern:x:{USER}:{USER}:Postern:/var/lib/postern:/sbin/nologin\n".encode())
        add(archive, "etc/group", f"root:x:0:\npostern:x:{USER}:\n".encode())
        add(archive, "etc/nsswitch.conf", b"hosts: files dns\n")
        add(archive, "etc/postern/postern.toml", (HERE / "oci/postern.toml").read_bytes())
        if AUTHORITIES.exists():
            add(archive, "etc/ssl/certs/ca-certificates.crt", AUTHORITIES.read_bytes())
        for name in ("LICENSE-MIT", "LICENSE-APACHE"):
            add(archive, f"usr/share/doc/postern/{name}", (stage.ROOT / name).read_bytes())
        add(archive, "usr/share/doc/postern/sbom.cdx.json", json.dumps(sbom.document()).encode())
        capability = {"SCHILY.xattr.security.capability": CAPABILITY.decode("utf-8", "surrogateescape")}
        add(archive, "usr/bin/postern", program, mode=0o755, pax=capability)
    return out.getvalue()


def configuration(diff_id, architecture):
    created = time.strftime("%Y-%m-%dT%H:%M:%SZ", time.gmtime(stage.epoch()))
    labels = {"title": "postern", "description": stage.SUMMARY, "version": stage.version(), "licenses": "MIT OR Apache-2.0", "url": stage.HOMEPAGE,
              "documentation": stage.HOMEPAGE, "created": created}
    return {
        "created": created,
        "architecture": architecture,
        "os": "linux",
        "config": {
            "User": f"{USER}:{USER}",
            "ExposedPorts": {"53/tcp": {}, "53/udp": {}, "9153/tcp": {}},
            "Env": ["PATH=/usr/bin", "SSL_CERT_FILE=/etc/ssl/certs/ca-certificates.crt"],
            "Entrypoint": ["/usr/bin/postern"],
            "Cmd": ["serve", "-c", "/etc/postern/postern.toml"],
            "WorkingDir": "/etc/postern",
            "Volumes": {"/var/lib/postern": {}},
            "Labels": {f"org.opencontainers.image.{name}": value for name, value in labels.items()},
            "StopSignal": "SIGTERM",
            # Not of the OCI specification; Docker and Podman heed it.
            "Healthcheck": {"Test": ["CMD", "/usr/bin/postern", "healthcheck", "-c", "/etc/postern/postern.toml"],
                            "Interval": 10_000_000_000, "Timeout": 3_000_000_000, "StartPeriod": 5_000_000_000, "Retries": 3},
        },
        "rootfs": {"type": "layers", "diff_ids": [diff_id]},
        "history": [{"created": created, "created_by": "packaging/build oci"}],
    }


def digest(content):
    return "sha256:" + hashlib.sha256(content).hexdigest()


def build(program, output):
    stripped = output / "postern-static"
    stage.strip_program(program, stripped, output / f"postern-{stage.version()}-static.debug")
    content = stripped.read_bytes()
    stripped.unlink()
    architecture = {62: "amd64", 183: "arm64"}[struct.unpack("<H", content[18:20])[0]]
    unpacked = layer(content)
    packed = stage.compress(unpacked, 1 if stage.is_fast() else 9)
    config = json.dumps(configuration(digest(unpacked), architecture)).encode()
    media = "application/vnd.oci.image"

    def descriptor(kind, blob, **more):
        return {"mediaType": f"{media}.{kind}", "digest": digest(blob), "size": len(blob), **more}

    manifest = json.dumps({"schemaVersion": 2, "mediaType": f"{media}.manifest.v1+json", "config": descriptor("config.v1+json", config),
                           "layers": [descriptor("layer.v1.tar+gzip", packed)]}).encode()
    name = f"postern:{stage.version()}"
    named = {"org.opencontainers.image.ref.name": stage.version(), "io.containerd.image.name": f"docker.io/library/{name}"}
    index = {"schemaVersion": 2, "mediaType": f"{media}.index.v1+json",
             "manifests": [descriptor("manifest.v1+json", manifest, annotations=named, platform={"os": "linux", "architecture": architecture})]}
    blob = lambda content: "blobs/sha256/" + hashlib.sha256(content).hexdigest()  # noqa: E731
    old = [{"Config": blob(config), "RepoTags": [name], "Layers": [blob(packed)]}]  # for `docker load`
    out = io.BytesIO()
    with tarfile.open(fileobj=out, mode="w", format=tarfile.PAX_FORMAT) as archive:
        add(archive, "oci-layout", b'{"imageLayoutVersion": "1.0.0"}')
        add(archive, "index.json", json.dumps(index).encode())
        add(archive, "manifest.json", json.dumps(old).encode())
        for one in (config, packed, manifest):
            add(archive, blob(one), one)
    target = output / f"postern-{stage.version()}-{architecture}.oci.tar"
    target.write_bytes(out.getvalue())
    return target
