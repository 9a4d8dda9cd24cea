"""Trino's own clients, each asked the same way: SQL in, rows of text out."""

import collections
import subprocess

import trino

# How long one of them may take.
PATIENCE = 120

# As it stands, this runs on the coordinator alone; sorted, some of it may run on the worker.
NODES = "select * from system.runtime.nodes"


def active(rows):
    """The nodes that are there: one that has gone is listed as inactive for a while."""
    return sorted(row[0] for row in rows if row[4] == "active")


# A password, and the file of the certificates that clients trust: they ask over TLS.
Login = collections.namedtuple("Login", "password authorities")


class Clients:
    def __init__(self, java, classes, home, version, port, login=None):
        self.java = f"{java}/bin/java"
        self.home = home
        self.port = port
        self.login = login
        self.jdbc_path = f"{classes}:{home}/trino-jdbc-{version}.jar"

    def cli(self, sql, form="ALIGNED"):
        """What the command line prints."""
        return run([*self.command_line(), "--output-format", form, "--execute", sql])

    def command_line(self):
        """Its command, but for what is asked and how it is printed."""
        words = [self.java, "-jar", f"{self.home}/trino-cli.jar", "--user", "article", "--server"]
        if self.login is None:
            return [*words, self.url()]
        return ["env", f"TRINO_PASSWORD={self.login.password}", *words, self.url(),
                "--password", "--truststore-path", self.login.authorities]

    def url(self):
        return f"{'https' if self.login else 'http'}://127.0.0.1:{self.port}"

    def jdbc(self, sql):
        text = run([self.java, "-cp", self.jdbc_path, "Ask", self.jdbc_server(), sql])
        return [line.split("\t") for line in text.splitlines()]

    def jdbc_server(self):
        """What stands behind `jdbc:trino://`."""
        server = f"127.0.0.1:{self.port}"
        if self.login is None:
            return server
        return (f"{server}?SSL=true&SSLTrustStorePath={self.login.authorities}"
                f"&password={self.login.password}")

    def jdbc_load(self):
        """The command of a load over JDBC; see Load.java."""
        return [self.java, "-XX:TieredStopAtLevel=1", "-Xmx128M", "-cp", self.jdbc_path, "Load",
                self.jdbc_server(), NODES]

    def python(self, sql, port=None, properties=None):
        """The rows and the query's id."""
        cursor = self.cursor(port, properties)
        cursor.execute(sql)
        rows = cursor.fetchall()
        return rows, cursor.query_id

    def cursor(self, port=None, properties=None):
        return cursor("127.0.0.1", port or self.port, properties, self.login)


def cursor(host, port, properties, login):
    """One of the Python client's, on a connection of its own."""
    safety = {"http_scheme": "http"} if login is None else {
        "http_scheme": "https", "verify": login.authorities,
        "auth": trino.auth.BasicAuthentication("article", login.password),
    }
    return trino.dbapi.connect(
        host=host, port=port, user="article", session_properties=properties or {}, **safety
    ).cursor()


def run(argv):
    done = subprocess.run(
        argv, stdin=subprocess.DEVNULL, capture_output=True, text=True, timeout=PATIENCE, check=False
    )
    if done.returncode != 0:
        raise RuntimeError(f"{argv[-1]}: {done.stderr.strip() or done.stdout.strip()}")
    return done.stdout
