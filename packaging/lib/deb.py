"""The package for Debian and Ubuntu."""
import pathlib, re, shutil, subprocess, time

from . import stage
from .stage import put

HERE = pathlib.Path(__file__).resolve().parents[1]
ARCHITECTURES = {"x86-64": "amd64", "aarch64": "arm64"}


def depends(program):
    """The least C library that has every symbol version of the program. A static one needs none."""
    symbols = subprocess.run(["objdump", "-T", program], capture_output=True, text=True).stdout
    versions = [tuple(map(int, found.split("."))) for found in re.findall(r"GLIBC_([0-9.]+)", symbols)]
    if not versions:
        return ""
    least = ".".join(map(str, max(versions)))
    return f"libc6 (>= {least}), libgcc-s1 (>= 3.0)"


def architecture(program):
    told = subprocess.run(["readelf", "-h", program], capture_output=True, text=True, check=True).stdout.lower()
    return next(name for word, name in ARCHITECTURES.items() if word in told)


def wrapped(text):
    return "\n".join(f" {line}" for line in text.splitlines())


def build(tree, output):
    release = f"{stage.version()}-1"
    root = output / "deb"
    shutil.rmtree(root, ignore_errors=True)
    shutil.copytree(tree, root)
    program = root / "usr/bin/postern"
    put(root, "/usr/share/doc/postern/copyright", (HERE / "deb/copyright").read_bytes())
    when = time.strftime("%a, %d %b %Y %H:%M:%S +0000", time.gmtime(stage.epoch()))
    entry = f"postern ({release}) stable; urgency=medium\n\n  * The changes are in changelog.gz.\n\n -- {stage.MAINTAINER}  {when}\n"
    put(root, "/usr/share/doc/postern/changelog.Debian.gz", stage.compress(entry))
    put(root, "/usr/share/lintian/overrides/postern", (HERE / "deb/lintian-overrides").read_bytes())
    needs = ", ".join(filter(None, [depends(program), "init-system-helpers (>= 1.54)", "systemd | systemd-standalone-sysusers"]))
    size = sum(file.stat().st_size for file in root.rglob("*") if file.is_file()) // 1024
    control = f"""Package: postern
Version: {release}
Architecture: {architecture(program)}
Maintainer: {stage.MAINTAINER}
Installed-Size: {size}
Depends: {needs}
Section: net
Priority: optional
Homepage: {stage.HOMEPAGE}
Description: {stage.SUMMARY}
{wrapped(stage.DESCRIPTION)}
"""
    put(root, "/DEBIAN/control", control)
    put(root, "/DEBIAN/conffiles", "/etc/postern/postern.toml\n")
    for script in ("postinst", "prerm", "postrm"):
        put(root, f"/DEBIAN/{script}", (HERE / "deb" / script).read_bytes(), 0o755)
    files = sorted(file for file in root.rglob("*") if file.is_file() and "DEBIAN" not in file.parts)
    sums = subprocess.run(["md5sum", *(file.relative_to(root) for file in files)], cwd=root, capture_output=True, text=True, check=True)
    put(root, "/DEBIAN/md5sums", sums.stdout)
    for directory in [root, *(path for path in root.rglob("*") if path.is_dir())]:
        directory.chmod(0o755)
    target = output / f"postern_{release}_{architecture(program)}.deb"
    environment = {"SOURCE_DATE_EPOCH": str(stage.epoch()), "PATH": "/usr/bin:/bin:/usr/sbin:/sbin"}
    subprocess.run(["dpkg-deb", "--root-owner-group", "-Zxz", "-z0" if stage.is_fast() else "-z6", "--build", root, target], env=environment, stdout=subprocess.DEVNULL, check=True)
    shutil.rmtree(root)
    return target
