"""Ports for programs that cannot be told to take any."""
import pathlib, random, socket

# From here on the kernel gives ports to whoever asks somebody, at any moment.
TAKEN_FROM = int(pathlib.Path("/proc/sys/net/ipv4/ip_local_port_range").read_text().split()[0])


def free_port():
    """A port of 127.0.0.1 that is free for UDP and TCP and, where the kernel's range starts above 20,000, given to nobody by chance before its
    server has started."""
    while True:
        port = random.randrange(10_000, max(TAKEN_FROM, 20_000))
        with socket.socket(socket.AF_INET, socket.SOCK_DGRAM) as udp, socket.socket() as tcp:
            try:
                udp.bind(("127.0.0.1", port))
                tcp.bind(("127.0.0.1", port))
                return port
            except OSError:
                continue


def free_block(count):
    """The first of COUNT neighboring ports of 127.0.0.1 that are free for UDP and TCP, below those that the kernel gives away."""
    while True:
        first = random.randrange(10_000, max(TAKEN_FROM, 20_000) - count)
        held = []
        try:
            for port in range(first, first + count):
                for kind in (socket.SOCK_DGRAM, socket.SOCK_STREAM):
                    held.append(socket.socket(socket.AF_INET, kind))
                    held[-1].bind(("127.0.0.1", port))
            return first
        except OSError:
            continue
        finally:
            for one in held:
                one.close()
