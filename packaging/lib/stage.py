"""The tree of files that both the deb and the rpm install, and archives that come out the same each time."""
import gzip, io, os, pathlib, shutil, subprocess, tarfile, tomllib

ROOT = pathlib.Path(__file__).resolve().parents[2]
SUMMARY = "DNS server for private zones behind Azure Private Link"
DESCRIPTION = """Postern is authoritative for the private zones behind Azure Private Link,
forwards every other name, and splices alias chains that lead into a private
zone. Changed records are served without a restart. Each private-link name
that got a public answer is recorded with the record that fixes it."""
MAINTAINER = "Postern maintainers <postern@contoso.example>"
HOMEPAGE = "https://postern.contoso.example/"


def version():
    return tomllib.loads((ROOT / "Cargo.toml").read_text())["workspace"]["package"]["version"]


def epoch():
    """The time that all files carry: SOURCE_DATE_EPOCH, otherwise that of the last commit."""
    if given := os.environ.get("SOURCE_DATE_EPOCH"):
        return int(given)
    shown = subprocess.run(["git", "log", "-1", "--format=%ct"], cwd=ROOT, capture_output=True, text=True)
    return int(shown.stdout) if shown.returncode == 0 and shown.stdout.strip() else 0


def put(tree, path, content, mode=0o644):
    target = tree / path.lstrip("/")
    target.parent.mkdir(parents=True, exist_ok=True)
    target.write_bytes(content if isinstance(content, bytes) else content.encode())
    target.chmod(mode)


def is_fast():
    """Whether archives are compressed little, because they are only tried."""
    return "POSTERN_FAST_PACKAGES" in os.environ


def compress(content, level=9):
    """gzip without a name and a time."""
    out = io.BytesIO()
    with gzip.GzipFile(fileobj=out, mode="wb", compresslevel=level, mtime=0, filename="") as file:
        file.write(content if isinstance(content, bytes) else content.encode())
    return out.getvalue()


def strip_program(program, to, debug):
    """Copies a program without its symbols. Its line tables go to a file beside the packages, for backtraces."""
    to.parent.mkdir(parents=True, exist_ok=True)
    subprocess.run(["objcopy", "--only-keep-debug", "--compress-debug-sections", program, debug], check=True)
    subprocess.run(["strip", "--strip-all", "-o", to, program], check=True)
    to.chmod(0o755)


def stage(program, output):
    """Lays out the files below `output`/tree. Returns that directory."""
    tree = output / "tree"
    shutil.rmtree(tree, ignore_errors=True)
    strip_program(program, tree / "usr/bin/postern", output / f"postern-{version()}.debug")
    systemd = ROOT / "packaging/systemd"
    for unit in ("postern.service", "postern.socket"):
        put(tree, f"/usr/lib/systemd/system/{unit}", (systemd / unit).read_bytes())
    put(tree, "/usr/lib/sysusers.d/postern.conf", (systemd / "sysusers.conf").read_bytes())
    put(tree, "/etc/postern/postern.toml", (ROOT / "packaging/postern.toml").read_bytes())
    (tree / "etc/postern/zones").mkdir(parents=True)
    manuals = output / "man1"
    shutil.rmtree(manuals, ignore_errors=True)
    subprocess.run([program, "man", "--output", manuals], check=True, stdout=subprocess.DEVNULL)
    for page in sorted(manuals.glob("*.1")):
        put(tree, f"/usr/share/man/man1/{page.name}.gz", compress(page.read_bytes()))
    shutil.rmtree(manuals)
    for shell, path in (("bash", "bash-completion/completions/postern"), ("zsh", "zsh/vendor-completions/_postern"), ("fish", "fish/vendor_completions.d/postern.fish")):
        done = subprocess.run([program, "completion", shell], capture_output=True, check=True)
        put(tree, f"/usr/share/{path}", done.stdout)
    documents = "/usr/share/doc/postern"
    put(tree, f"{documents}/changelog.gz", compress((ROOT / "CHANGELOG.md").read_bytes()))
    put(tree, f"{documents}/examples/postern.toml", (ROOT / "config/postern.toml").read_bytes())
    for example in ("prometheus/alerts.yml", "grafana/postern.json"):
        put(tree, f"{documents}/examples/{pathlib.Path(example).name}", (ROOT / "packaging" / example).read_bytes())
    for directory, _, names in os.walk(tree):
        for path in [directory, *(os.path.join(directory, name) for name in names)]:
            os.utime(path, (epoch(), epoch()))
    return tree


def add(archive, name, content=None, mode=0o644, owner=0, pax=None):
    """Adds a file, or a directory if there is no content, with a fixed time."""
    entry = tarfile.TarInfo(name)
    entry.mtime, entry.mode, entry.uid, entry.gid = epoch(), mode, owner, owner
    entry.pax_headers = pax or {}
    if content is None:
        entry.type = tarfile.DIRTYPE
        archive.addfile(entry)
    else:
        entry.size = len(content)
        archive.addfile(entry, io.BytesIO(content))


def archive_chart(output):
    """The Helm chart as an archive, as `helm package` makes it."""
    chart = ROOT / "packaging/chart"
    out = io.BytesIO()
    with tarfile.open(fileobj=out, mode="w", format=tarfile.PAX_FORMAT) as archive:
        for file in sorted(chart.rglob("*")):
            if file.is_file():
                content = file.read_bytes()
                if file.name == "Chart.yaml":
                    content = content.replace(b"0.0.0", version().encode())
                add(archive, f"postern/{file.relative_to(chart)}", content)
    target = output / f"postern-chart-{version()}.tgz"
    target.write_bytes(compress(out.getvalue()))
    return target
