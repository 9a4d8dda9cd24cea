"""A Trino cluster on loopback: coordinators a and b, and a worker that knows only the proxy."""

import glob
import json
import os
import signal
import urllib.error
import urllib.request

from process import Process, accepts, await_that, tail

# How long a node may take to start. It takes 10 s on two idle cores.
START_SECONDS = 180

# From this version on, coordinators refuse X-Forwarded-... unless told what to do with it.
FORWARDED_REFUSED = 451

# From this version on, workers announce themselves by POST /v1/announce.
ANNOUNCE = 477

# The plugin that knows passwords, and nothing to read from.
PASSWORDS = "passwords"

# How long a worker keeps tasks that no coordinator asks for; Trino's own value is 2 minutes. They would
# take the processors from what is measured next.
TASKS_END = "15s"


def speaks_h2c(version):
    """Whether workers announce themselves over cleartext HTTP/2 unless told otherwise."""
    return 463 <= version <= 466 or version >= 480


class Cluster:
    def __init__(self, version, home, java, classes, directory, ports, proxy_port):
        self.version = version
        self.home = home
        self.java = java
        self.classes = classes
        self.directory = directory
        self.ports = dict(zip(("a", "b", "worker"), ports))
        self.proxy_port = proxy_port
        self.nodes = {}
        self.plugins = f"{home}/plugin"
        # More lines of catalogs' files.
        self.settings = {}
        # More lines of nodes' config.properties, and more files of etc.
        self.properties = {}
        self.files = {}
        # Where coordinators listen with TLS.
        self.https_ports = {}

    def start(self, name, extra=(), without=()):
        """Starts a node, with lines added to its configuration or left out; does not wait."""
        directory = os.path.join(self.directory, name)
        os.makedirs(os.path.join(directory, "etc", "catalog"), exist_ok=True)
        for catalog in self.catalogs():
            path = os.path.join(directory, "etc", "catalog", f"{catalog}.properties")
            write(path, [f"connector.name={catalog}", *self.settings.get(catalog, ())])
        write(
            os.path.join(directory, "etc", "node.properties"),
            [f"node.data-dir={directory}/data"],
        )
        for file, lines in self.files.get(name, {}).items():
            write(os.path.join(directory, "etc", file), lines)
        write(
            os.path.join(directory, "etc", "config.properties"),
            [line for line in self.configuration(name) if not line.startswith(tuple(without))]
            + list(extra),
        )
        vm = ["-Xmx1G", "-XX:+UseG1GC", "-XX:TieredStopAtLevel=1", "-Dconfig=etc/config.properties"]
        if self.version >= 447:
            vm.append("--add-modules=jdk.incubator.vector")
        path = f"{self.classes}:{self.home}/lib/*"
        self.nodes[name] = Process(
            [f"{self.java}/bin/java", *vm, "-cp", path, *self.main()],
            os.path.join(self.directory, f"{name}.log"),
            cwd=directory,
        )

    def catalogs(self):
        """The plugins that could be had; each is a connector of that name."""
        return [name for name in os.listdir(self.plugins) if name != PASSWORDS]

    def main(self):
        """The class that is a node, and its arguments."""
        if glob.glob(f"{self.home}/lib/trino-server-main-*.jar"):
            return ["io.trino.server.TrinoServer"]
        return ["Launch", str(self.version)]

    def configuration(self, name):
        own = f"http://127.0.0.1:{self.ports[name]}"
        proxy = f"http://127.0.0.1:{self.proxy_port}"
        lines = [
            f"coordinator={'false' if name == 'worker' else 'true'}",
            f"discovery.uri={proxy if name == 'worker' else own}",
            f"http-server.http.port={self.ports[name]}",
            f"node.id={name}",
            "node.environment=article",
            "node.internal-address=127.0.0.1",
            f"plugin.dir={self.plugins}",
        ]
        if self.version >= FORWARDED_REFUSED and name != "worker":
            lines.append("http-server.process-forwarded=true")
        if name == "worker":
            lines.append(f"task.client.timeout={TASKS_END}")
        if self.version < ANNOUNCE and name != "worker":
            # On a busy machine a tenth of the pings is late at times, and the worker would vanish.
            lines.append("failure-detector.threshold=0.5")
        return lines + self.properties.get(name, [])

    def info(self, name):
        """What the node tells about itself, or nothing while its port is closed."""
        try:
            uri = f"http://127.0.0.1:{self.ports[name]}/v1/info"
            with urllib.request.urlopen(uri, timeout=2) as answer:
                return json.load(answer)
        except (OSError, ValueError, urllib.error.URLError):
            return None

    def is_ready(self, name):
        node = self.nodes[name]
        if not node.runs():
            raise RuntimeError(f"{name} has ended:\n{tail(node.log)}")
        info = self.info(name)
        return info is not None and not info["starting"]

    def is_open(self, name):
        return accepts(self.ports[name])

    def await_ready(self, name):
        await_that(f"{name} is ready", lambda: self.is_ready(name), START_SECONDS)

    def signal(self, name, number):
        self.nodes[name].child.send_signal(number)

    def kill(self, name):
        self.nodes[name].end(signal.SIGKILL)

    def end(self):
        for node in self.nodes.values():
            node.end(signal.SIGKILL)


def write(path, lines):
    with open(path, "w") as file:
        file.writelines(f"{line}\n" for line in lines)
