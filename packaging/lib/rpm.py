"""The package for the RHEL family, from the same tree as the deb."""
import pathlib, shutil, subprocess, time

from . import stage

HERE = pathlib.Path(__file__).resolve().parents[1]


def build(tree, output):
    root = output / "rpm"
    shutil.rmtree(root, ignore_errors=True)
    root.mkdir()
    staged = root / "staged"
    shutil.copytree(tree, staged)
    for name in ("LICENSE-MIT", "LICENSE-APACHE"):
        stage.put(staged, f"/usr/share/licenses/postern/{name}", (stage.ROOT / name).read_bytes())
    # zsh of this family looks elsewhere.
    zsh = staged / "usr/share/zsh"
    (zsh / "vendor-completions").rename(zsh / "site-functions")
    when = time.strftime("%a %b %d %Y", time.gmtime(stage.epoch()))
    spec = (HERE / "rpm/postern.spec").read_text()
    values = {"VERSION": stage.version(), "SUMMARY": stage.SUMMARY, "DESCRIPTION": stage.DESCRIPTION, "URL": stage.HOMEPAGE,
              "STAGED": str(staged), "DATE": when, "MAINTAINER": stage.MAINTAINER}
    for name, value in values.items():
        spec = spec.replace(f"@{name}@", value)
    (root / "postern.spec").write_text(spec)
    command = ["rpmbuild", "-bb", "--quiet", "--define", f"_topdir {root}", "--define", f"_rpmdir {output}", "--define", "_rpmfilename %{NAME}-%{VERSION}-%{RELEASE}.%{ARCH}.rpm",
               "--define", "_build_id_links none", "--define", "debug_package %{nil}", "--define", "__strip /bin/true",
               "--define", f"_binary_payload w{1 if stage.is_fast() else 19}.zstdio", "--define", "use_source_date_epoch_as_buildtime 1", root / "postern.spec"]
    environment = {"SOURCE_DATE_EPOCH": str(stage.epoch()), "PATH": "/usr/bin:/bin:/usr/sbin:/sbin", "HOME": str(root)}
    done = subprocess.run(command, env=environment, capture_output=True, text=True)
    if done.returncode != 0:
        raise SystemExit(f"rpmbuild failed:\n{done.stdout}{done.stderr}")
    shutil.rmtree(root)
    return max(output.glob(f"postern-{stage.version()}-1.*.rpm"), key=lambda file: file.stat().st_mtime)
