"""A running Postern for the scripts of this directory: free ports, files of its own, a key, ended by its process number."""
import hashlib, http.client, json, os, pathlib, shutil, subprocess, sys, tempfile, time

ROOT = pathlib.Path(__file__).resolve().parents[2]
sys.path.insert(0, str(ROOT / "tests"))
from ports import free_port  # noqa: E402
KEY = "a-key-that-is-in-no-file"
PATIENCE = 180


def program():
    """The build that is driven: $POSTERN, else the newest of release and debug."""
    if named := os.environ.get("POSTERN"):
        return pathlib.Path(named).resolve()
    built = [path for path in (ROOT / "target/release/postern", ROOT / "target/debug/postern") if path.exists()]
    if not built:
        raise SystemExit("no build of postern: cargo build, or name one with POSTERN")
    return max(built, key=lambda path: path.stat().st_mtime)


def wait(what, look):
    """Polls until there is something."""
    end = time.monotonic() + PATIENCE
    while time.monotonic() < end:
        if (value := look()) is not None:
            return value
        time.sleep(0.02)
    raise SystemExit(f"never happened: {what}")


def clean_environment():
    """Without what would change how the programs behave: the API is on loopback."""
    return {key: value for key, value in os.environ.items() if "proxy" not in key.lower() and not key.startswith("POSTERN_")}


def ask(port, method, path, body=None, headers=None):
    """Status, headers and body of an answer; none: nobody listens."""
    connection = http.client.HTTPConnection("127.0.0.1", port, timeout=PATIENCE)
    try:
        data = None if body is None else (body if isinstance(body, str) else json.dumps(body)).encode()
        given = {"X-API-Key": KEY, "Accept": "application/json"} | ({"Content-Type": "application/json"} if data else {}) | (headers or {})
        connection.request(method, path, data, {name: value for name, value in given.items() if value is not None})
        answer = connection.getresponse()
        return answer.status, {name.lower(): value for name, value in answer.getheaders()}, answer.read().decode()
    except ConnectionError:
        return None
    finally:
        connection.close()


class Process:
    """A program with its output in a file; left, it is ended."""

    def __init__(self, arguments, directory, name, environment=None):
        self.log = pathlib.Path(directory) / f"{name}.log"
        with open(self.log, "wb") as log:
            self.child = subprocess.Popen(arguments, cwd=directory, stdout=log, stderr=log, env=environment or clean_environment())

    def said(self):
        return self.log.read_text(errors="replace")

    def waits(self, what, look):
        def alive():
            if self.child.poll() is not None:
                raise SystemExit(f"{self.log.stem} ended with {self.child.returncode}:\n{self.said()}")
            return look()
        return wait(what, alive)

    def end(self):
        if self.child.poll() is None:
            self.child.terminate()
            try:
                self.child.wait(60)
            except subprocess.TimeoutExpired:
                self.child.kill()
                self.child.wait()


class Postern(Process):
    """`postern serve` with DNS and the API on loopback; `dns` and `api` are its ports."""

    def __init__(self, configuration="", files=None):
        self.directory = pathlib.Path(tempfile.mkdtemp(prefix="postern-clients-"))
        for name, text in (files or {}).items():
            (self.directory / name).write_text(text)
        digest = hashlib.sha256(KEY.encode()).hexdigest()
        (self.directory / "api.key").write_text(f"clients admin sha256:{digest}\n")
        (self.directory / "postern.toml").write_text(
            '[server]\nlisten = ["127.0.0.1:0"]\nstate = "state"\n\n[api]\nlisten = "127.0.0.1:0"\nkey-file = "api.key"\nrate = 0\n\n' + configuration)
        super().__init__([program(), "serve", "-c", "postern.toml"], self.directory, "postern")
        self.waits("postern is ready", lambda: True if "postern: ready" in self.said() else None)
        self.dns, self.api = (self.port(words) for words in ("postern: listening", "postern: the API listens address="))

    def port(self, words):
        line = next(line for line in self.said().splitlines() if words in line)
        return int(line.split("address=")[1].split()[0].rsplit(":", 1)[1])

    def url(self, path=""):
        return f"http://127.0.0.1:{self.api}{path}"

    def end(self):
        super().end()
        shutil.rmtree(self.directory, ignore_errors=True)
