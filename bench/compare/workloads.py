"""What the servers are given and asked: zones, changes of them, lists of names."""
import ipaddress, os, pathlib


class Zone:
    """A zone of A records `w<number>`, as a zone file and, for dnsmasq, as a hosts file. Writing is done aside; only the rename is a change."""

    def __init__(self, directory, name, count, labels="w{}", net="10.0.0.0"):
        self.name, self.count, self.labels, self.net = name, count, labels, net
        self.directory = pathlib.Path(directory)
        self.directory.mkdir(parents=True, exist_ok=True)
        self.file = self.directory / f"{name}.zone"
        self.hosts = self.directory / f"{name}.hosts"
        self.serial = 0
        self.updated = False
        self.addresses = {}
        self.prepare()
        self.publish()

    def owner(self, number):
        return f"{self.labels.format(number)}.{self.name}"

    def address(self, number):
        return self.addresses.get(number) or str(ipaddress.IPv4Address(self.net) + number)

    def prepare(self, changes=None):
        """Writes the next version beside the current one."""
        self.serial += 1
        self.addresses.update(changes or {})
        head = f"$ORIGIN {self.name}.\n$TTL 3600\n@ IN SOA ns hostmaster {self.serial} 3600 600 86400 300\n@ IN NS ns\nns IN A 10.0.0.53\n"
        with open(f"{self.file}.next", "w") as file:
            file.write(head)
            file.writelines(f"{self.labels.format(number)} IN A {self.address(number)}\n" for number in range(self.count))
        with open(f"{self.hosts}.next", "w") as file:
            file.writelines(f"{self.address(number)} {self.owner(number)}\n" for number in range(self.count))

    def publish(self):
        """Puts the next version in place."""
        os.replace(f"{self.hosts}.next", self.hosts)
        os.replace(f"{self.file}.next", self.file)

    @property
    def last(self):
        """The last record of the file: right once everything is read."""
        return self.count - 1


def write_names(path, names):
    """A list for `postern bench --names`, with the type, so that every answer is held to what it must be."""
    path.write_text("".join(f"{name} A\n" for name in names))
    return path
