"""Passwords and TLS on real Trino: secured.py VERSION HOME JAVA CLASSES SWITCHOVER DIRECTORY.

Coordinators that ask for a password, and clients over TLS: the command line, JDBC and Python. TLS ends at
the proxy, which asks coordinators over plain HTTP; then there is TLS on both sides of it. In both ways
statements wait for coordinators, passwords are wrong, and the active coordinator is killed and comes back
as in scenario.py. The worker announces itself at a plain port of the proxy. WAYS names some of the ways
(proxy,servers).
"""

import base64
import os
import subprocess
import sys
import time
import urllib.error
import urllib.request
import zipfile

from answers import answers
from clients import Clients, Login
from cluster import FORWARDED_REFUSED, PASSWORDS, speaks_h2c
from every_client import ASKING_SECONDS, QUICK, QUICK_ROWS, SLOW, EveryClient, in_java, main
from process import await_that, free_ports
from proxies import Proxy
from scenario import HTTP_1, SEEN_SECONDS

# What the play calls each way, by where TLS ends.
WAYS = {"proxy": "TLS to the proxy", "servers": "TLS both ways"}

PASSWORD = "correct-horse"
SECRET = "internal-communication.shared-secret=known to all nodes"

# As much of what a client said is told.
SAID_CHARACTERS = 100

# The name in the certificate of the coordinators, which is no client's `Host`.
COORDINATORS = "coordinators.test"


class Secured(EveryClient):
    def __init__(self, version, home, java, classes, switchover, directory):
        super().__init__(version, home, java, classes, switchover, directory)
        self.way = None
        [self.tls_port] = free_ports(1)
        self.certify("proxy", "localhost")
        self.certify("coordinators", COORDINATORS)
        self.clients, self.strangers = (
            Clients(java, classes, home, version, self.tls_port, Login(password, f"{directory}/proxy.pem"))
            for password in (PASSWORD, "wrong"))
        self.commands = self.commands_of(self.clients)
        # The Python client would prefer these to the certificates that it is given.
        for name in ("REQUESTS_CA_BUNDLE", "CURL_CA_BUNDLE"):
            os.environ.pop(name, None)
        self.add_passwords(classes)

    def share(self, home):
        self.own_plugins(home)

    def add_passwords(self, classes):
        """Trino finds a plugin by what a file in its jar names."""
        os.makedirs(f"{self.cluster.plugins}/{PASSWORDS}")
        with zipfile.ZipFile(f"{self.cluster.plugins}/{PASSWORDS}/{PASSWORDS}.jar", "w") as jar:
            jar.write(f"{classes}/Passwords.class", "Passwords.class")
            jar.writestr("META-INF/services/io.trino.spi.Plugin", "Passwords\n")

    def certify(self, name, host):
        """A certificate that signs itself, its key, and both in one file, as Trino reads it."""
        certificate, key = f"{self.directory}/{name}.pem", f"{self.directory}/{name}.key"
        subprocess.run(
            ["openssl", "req", "-x509", "-nodes", "-days", "30", "-newkey", "rsa:2048", "-subj", f"/CN={host}",
             "-addext", f"subjectAltName=DNS:{host},IP:127.0.0.1", "-keyout", key, "-out", certificate],
            check=True, capture_output=True,
        )
        with open(f"{self.directory}/{name}.store.pem", "w") as store:
            for path in (certificate, key):
                with open(path) as file:
                    store.write(file.read())

    def commands_of(self, clients):
        environment = [f"TRINO_PASSWORD={clients.login.password}", f"TRINO_AUTHORITIES={clients.login.authorities}"]
        ask = f"{os.path.dirname(os.path.abspath(__file__))}/ask.py"
        python = ["env", *environment, sys.executable, ask, "dbapi", f"127.0.0.1:{self.tls_port}"]
        return {**in_java(clients), "Python": python}

    # The parts of the play, in order.

    def whole(self, ways):
        for way in ways:
            self.way = way
            self.say(f"======== Trino {self.version}, {WAYS[way]} ========")
            noted = {"proxy": WAYS[way], "http2": False}
            self.notes["rounds"].append(noted)
            self.prepare()
            self.await_coordinators(noted)
            self.listed("a", "worker")
            self.warm()
            self.three_clients("a")
            self.passwords(noted)
            self.failover(noted)
            self.failback(noted)
            self.every_one(noted)
            self.sizes(WAYS[way])
            self.proxy.end()
            self.cluster.end()

    def prepare(self):
        """The files of nodes and proxy."""
        cluster, at = self.cluster, self.directory
        lines = ["http-server.authentication.type=PASSWORD", SECRET]
        if self.version < FORWARDED_REFUSED:
            lines.append("http-server.process-forwarded=true")
        location = "proxy_set_header X-Forwarded-Proto $scheme;"
        cluster.https_ports = {}
        if self.way == "servers":
            cluster.https_ports = dict(zip(("a", "b"), free_ports(2)))
            location += f"""
            proxy_ssl_trusted_certificate {at}/coordinators.pem;
            proxy_ssl_name {COORDINATORS};
            proxy_ssl_server_name on;"""
        for name in ("a", "b"):
            https = [
                "http-server.https.enabled=true", f"http-server.https.port={cluster.https_ports[name]}",
                f"http-server.https.keystore.path={at}/coordinators.store.pem",
            ] if self.way == "servers" else []
            cluster.properties[name] = lines + https
            cluster.files[name] = {
                "password-authenticator.properties": [f"password-authenticator.name={PASSWORDS}", f"article={PASSWORD}"]}
        cluster.properties["worker"] = [SECRET]
        # A server whose coordinators speak TLS carries no HTTP/2.
        if speaks_h2c(self.version) and self.way == "servers":
            cluster.properties["worker"].append(HTTP_1)
        extra = f"""listen 127.0.0.1:{self.tls_port} ssl;
        ssl_certificate {at}/proxy.pem;
        ssl_certificate_key {at}/proxy.key;"""
        self.proxy = Proxy(self.way, self.switchover, at, self.port, cluster, extra, location)

    def known(self, noted):
        """Coordinators take no password at their own ports."""

    def warm(self):
        for name, other in (("b", "a"), ("a", "b")):
            self.proxy.promote(name, other)
            self.clients.python(QUICK)

    def await_coordinators(self, noted):
        """Statements wait for the first coordinator, one of them with a wrong password."""
        began = time.time()
        asked = self.ask_all(QUICK)
        self.commands = self.commands_of(self.strangers)
        wrong = self.ask("Python", QUICK)
        self.commands = self.commands_of(self.clients)
        await_that("all clients are told that they are queued",
                   lambda: len(self.polled("queued", began)) == len(asked) + 1, ASKING_SECONDS)
        started = time.time()
        for name in ("a", "b", "worker"):
            self.cluster.start(name)
        self.await_end([*asked, wrong])
        self.judge_rows(f"queued, {self.way}", asked, QUICK_ROWS, started)
        noted["queued"] = sum(one.rows == QUICK_ROWS for one in asked)
        self.expect("a statement that waited with a wrong password fails", wrong.failure and not wrong.has_rows)
        self.say(f"  {wrong.failure}")
        for name in ("a", "b", "worker"):
            self.cluster.await_ready(name)

    def passwords(self, noted):
        """Trino refuses a wrong password, and a right one that comes unencrypted."""
        since = time.time()
        self.commands = self.commands_of(self.strangers)
        asked = [self.ask(name, QUICK) for name in self.commands]
        self.commands = self.commands_of(self.clients)
        self.await_end(asked)
        noted["refused"] = sum(bool(one.failure) and not one.has_rows for one in asked)
        for one in asked:
            self.say(f"  {one.name}, wrong password: {one.failure[-SAID_CHARACTERS:]}")
        # Lines of the log come a moment later.
        await_that("a has answered each of them with 401", lambda: len(asked) == sum(
            one.status == 401 and one.servers == [self.proxy.address("a")]
            for one in answers(self.proxy.access_log, since)
        ), SEEN_SECONDS)
        self.expect("each client fails with a wrong password", noted["refused"] == len(asked))
        noted["plain"] = self.plain()
        self.say(f"the right password at the plain port, where it should never be sent: {noted['plain']}")
        # Over TLS the proxy's connection is safe to coordinators, whatever its client's was.
        if self.way == "proxy":
            self.expect("coordinators take no password that came without TLS", noted["plain"] == 403)

    def plain(self):
        """What a statement with the right password gets at the proxy's plain port."""
        word = base64.b64encode(f"article:{PASSWORD}".encode()).decode()
        request = urllib.request.Request(
            f"http://127.0.0.1:{self.port}/v1/statement", QUICK.encode(),
            {"Authorization": f"Basic {word}", "X-Trino-User": "article"})
        try:
            with urllib.request.urlopen(request, timeout=ASKING_SECONDS) as answer:
                return answer.status
        except urllib.error.HTTPError as refusal:
            return refusal.code

    def every_one(self, noted):
        """The active coordinator is killed while each client waits for its first row."""
        self.listed("a", "worker")
        wanted = ["\t".join(map(str, row)) for row in self.clients.python(SLOW)[0]]
        asked, killed = self.kill_running(("a",))
        self.await_end(asked)
        self.expect("each was under way at the kill", all(one.ended > killed for one in asked))
        self.judge_rows(f"moved, {self.way}", asked, wanted, killed)
        noted["moved"] = sum(one.failure is None and one.rows == wanted for one in asked)


if __name__ == "__main__":
    main(Secured, "WAYS", "proxy,servers", "tls.json")
