"""Processes of a comparison: started in a directory of their own, pinned, ended by their id whatever happens."""
import atexit, ctypes, os, pathlib, signal, subprocess, threading, time

PR_SET_PDEATHSIG = 1
LIBC = ctypes.CDLL(None, use_errno=True)
RUNNING = set()


class DidNotStart(Exception):
    """A server that ended, or never answered; its last words are the text."""


class Running:
    """A program in the foreground. Its children are in its process group, and end with it."""

    def __init__(self, command, directory, cpus=None):
        self.directory = pathlib.Path(directory)
        self.log = open(self.directory / "log", "ab")

        def prepare():
            # Also when this script is killed hard, nothing that it started stays.
            LIBC.prctl(PR_SET_PDEATHSIG, signal.SIGTERM)
            if cpus:
                os.sched_setaffinity(0, cpus)

        self.process = subprocess.Popen(command, stdin=subprocess.DEVNULL, stdout=self.log, stderr=subprocess.STDOUT, cwd=self.directory, start_new_session=True, preexec_fn=prepare)
        self.pid = self.process.pid
        RUNNING.add(self)

    def __enter__(self):
        return self

    def __exit__(self, *_):
        self.end()

    def alive(self):
        return self.process.poll() is None

    def signal(self, number):
        self.process.send_signal(number)

    def end(self):
        if self not in RUNNING:
            return
        RUNNING.discard(self)
        for number, patience in ((signal.SIGTERM, 10), (signal.SIGKILL, 10)):
            try:
                os.killpg(self.pid, number)
                self.process.wait(patience)
                # Children may outlive the first process; the group ends when they are gone.
                until = time.monotonic() + patience
                while time.monotonic() < until:
                    os.killpg(self.pid, 0)
                    time.sleep(0.01)
            except ProcessLookupError:
                break
            except subprocess.TimeoutExpired:
                continue
        self.process.wait()
        self.log.close()

    def last_words(self):
        return (self.directory / "log").read_text(errors="replace")[-800:].strip()


def end_all(*_):
    for running in list(RUNNING):
        running.end()


def clean_up_at_the_end():
    atexit.register(end_all)

    def leave(number, _):
        raise SystemExit(128 + number)

    for number in (signal.SIGINT, signal.SIGTERM, signal.SIGHUP):
        signal.signal(number, leave)


# -- memory ------------------------------------------------------------------------------------------------------------------------

def family(pid):
    """The process and everything below it."""
    parents = {}
    for entry in os.listdir("/proc"):
        if entry.isdigit():
            try:
                text = pathlib.Path(f"/proc/{entry}/stat").read_text()
                parents[int(entry)] = int(text[text.rindex(")") + 2 :].split()[1])
            except OSError:
                continue
    found = {pid}
    while more := {child for child, parent in parents.items() if parent in found and child not in found}:
        found |= more
    return found


def memory(pid):
    """Proportional share of all its processes, octets: pages that forked processes share count once."""
    total = 0
    for member in family(pid):
        try:
            for line in open(f"/proc/{member}/smaps_rollup"):
                if line.startswith("Pss:"):
                    total += int(line.split()[1]) * 1024
        except OSError:
            continue
    return total


class MemoryWatch:
    """The most memory that a server had between two moments, looked at 20 times a second (a look at 600 MB takes a millisecond or more)."""

    def __init__(self, pid, pause=0.05):
        self.pid, self.pause, self.most, self.stop = pid, pause, memory(pid), threading.Event()
        self.thread = threading.Thread(target=self.watch, daemon=True)

    def watch(self):
        while not self.stop.wait(self.pause):
            self.most = max(self.most, memory(self.pid))

    def __enter__(self):
        self.thread.start()
        return self

    def __exit__(self, *_):
        self.stop.set()
        self.thread.join()
        self.most = max(self.most, memory(self.pid))
