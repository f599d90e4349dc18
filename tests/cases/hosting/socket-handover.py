# Restarts under 5,000 questions a second lose none of them if a service manager holds the sockets.
# The case plays systemd: it opens the sockets of a socket unit, and passes them to each start of the server.
import os, sys; sys.dont_write_bytecode = True; sys.path.insert(0, os.path.join(os.path.dirname(os.path.abspath(__file__)), "..", "lib"))
import select
from caselib import *
args = arguments()
RATE, RESTARTS, SO_RCVBUFFORCE = 5000, 4, 33
UPSTREAM_SHARE = 5  # one question in five is for the upstream, under a name of its own
QUESTIONS = 12 * RATE  # below 65,536, so that each has an ID of its own
# Moves the passed sockets to the descriptors from 3 on, as systemd does, and becomes the server.
START = """import fcntl, os, sys
count = int(sys.argv[1])
held = [fcntl.fcntl(int(fd), fcntl.F_DUPFD, 100) for fd in sys.argv[2:2 + count]]
for place, fd in enumerate(held): os.dup2(fd, 3 + place, inheritable=True); os.close(fd)
os.environ.update(LISTEN_PID=str(os.getpid()), LISTEN_FDS=str(count))
os.execv(sys.argv[2 + count], sys.argv[2 + count:])"""
p, case = args.port, Case(args.postern)

udp = socket.socket(socket.AF_INET, socket.SOCK_DGRAM)
try:
    udp.setsockopt(socket.SOL_SOCKET, SO_RCVBUFFORCE, 16 << 20)  # ReceiveBuffer= of the unit
except PermissionError:
    udp.setsockopt(socket.SOL_SOCKET, socket.SO_RCVBUF, 16 << 20)
tcp = socket.socket()
for listening in (udp, tcp):
    listening.bind(("127.0.0.1", p))
tcp.listen(128)

upstream = subprocess.Popen([case.postern, "bench", "upstream", "--listen", f"127.0.0.1:{p + 1}"], stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL)
case.children.append(upstream)
case.write("corp.zone", "* 60 IN A 10.0.0.1\n")
CONFIG = f"""[server]
listen = ["127.0.0.1:{p}"]
[api]
socket = false
[[zone]]
name = "corp.contoso.com"
file = "corp.zone"
[[forward]]
zone = "."
upstreams = ["127.0.0.1:{p + 1}"]
"""


def start():
    """Starts a server on the sockets. It logs to a file of all starts."""
    fds = [str(listening.fileno()) for listening in (udp, tcp)]
    command = [sys.executable, "-c", START, str(len(fds)), *fds, case.postern, "serve", "-c", case.path("postern.toml")]
    with open(case.path("postern.log"), "ab") as log:
        child = subprocess.Popen(command, cwd=case.dir, stdout=log, stderr=log, pass_fds=(udp.fileno(), tcp.fileno()))
    case.children.append(child)
    return child


def wire(number):
    zone = "contoso.example" if number % UPSTREAM_SHARE == 0 else "corp.contoso.com"
    message = dns.message.make_query(f"n{number}.{zone}", "A", id=number)
    return message.to_wire()


def receive():
    """Notes each answer with its RCODE and the time that it took, until `done` is set and nothing has come for ten seconds."""
    quiet = time.monotonic()
    while time.monotonic() - quiet < 10 and not (done.is_set() and len(answers) == QUESTIONS):
        if not select.select([client], [], [], 0.1)[0]:
            quiet = quiet if done.is_set() else time.monotonic()
            continue
        octets, quiet = client.recv(4096), time.monotonic()
        number = struct.unpack("!H", octets[:2])[0]
        answers[number] = (octets[3] & 15, quiet - sent[number])


# A socket that the configuration does not list would never be read.
case.write("postern.toml", CONFIG.replace(f":{p}\"]", f":{p + 2}\"]", 1))
stranger = start()
if stranger.wait(timeout=60) == 0 or f"systemd passed a socket for 127.0.0.1:{p}, which `server.listen` does not list" not in case.log():
    verdict(False, case.log(), "a passed socket that is not in `server.listen` is refused")
case.write("postern.toml", CONFIG)

questions = [wire(number) for number in range(QUESTIONS)]
answers, sent, done, over_tcp = {}, {}, threading.Event(), []
client = socket.socket(socket.AF_INET, socket.SOCK_DGRAM)
try:
    client.setsockopt(socket.SOL_SOCKET, SO_RCVBUFFORCE, 16 << 20)  # what is lost here is not lost by the server
except PermissionError:
    client.setsockopt(socket.SOL_SOCKET, socket.SO_RCVBUF, 8 << 20)
client.connect(("127.0.0.1", p))
server = start()
if query(p, "first.corp.contoso.com", timeout=60) is None:
    verdict(False, case.log(), "a server that answers on the passed sockets")
receiver = threading.Thread(target=receive)
receiver.start()


def restart_often():
    global server
    for number in range(RESTARTS):
        restart_at[number].wait()
        server.terminate()
        server.wait(timeout=60)
        # No process has the sockets now: the connection and its question wait in the queue of the listener.
        late = threading.Thread(target=lambda: over_tcp.append(rcode(query(p, "tcp.corp.contoso.com", tcp=True, timeout=60))))
        late.start()
        server = start()
        late.join()


restart_at = [threading.Event() for _ in range(RESTARTS)]
restarter = threading.Thread(target=restart_often)
restarter.start()
began = time.monotonic()
for number, question in enumerate(questions):
    due = began + number / RATE
    if (wait := due - time.monotonic()) > 0:
        time.sleep(wait)
    if number % (QUESTIONS // (RESTARTS + 1)) == 0 and number:
        restart_at[min(number // (QUESTIONS // (RESTARTS + 1)), RESTARTS) - 1].set()
    sent[number] = time.monotonic()
    client.send(question)
took = time.monotonic() - began
restarter.join()
done.set()
receiver.join()
lost = QUESTIONS - len(answers)
failed = sum(code != 0 for code, _ in answers.values())
slowest = max((took for _, took in answers.values()), default=0)
got = (f"{QUESTIONS:,} questions at {QUESTIONS / took:,.0f} a second, {RESTARTS} restarts: {lost} lost, {failed} failed, "
       f"the slowest answer after {slowest * 1000:.0f} ms; over TCP during restarts: {' '.join(over_tcp)}")
right = lost == 0 and failed == 0 and over_tcp == ["NOERROR"] * RESTARTS
if not right:
    print(case.log()[-3000:])
verdict(right, got, "0 lost, 0 failed, and an answer over TCP at each restart")
