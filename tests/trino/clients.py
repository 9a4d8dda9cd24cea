"""Trino's own clients, each asked the same way: SQL in, rows of text out."""

import subprocess

import trino

# How long one of them may take.
PATIENCE = 120

# As it stands, this runs on the coordinator alone; sorted, some of it may run on the worker.
NODES = "select * from system.runtime.nodes"


def active(rows):
    """The nodes that are there: one that has gone is listed as inactive for a while."""
    return sorted(row[0] for row in rows if row[4] == "active")


class Clients:
    def __init__(self, java, classes, home, version, port):
        self.java = f"{java}/bin/java"
        self.home = home
        self.port = port
        self.jdbc_path = f"{classes}:{home}/trino-jdbc-{version}.jar"

    def cli(self, sql, form="ALIGNED"):
        """What the command line prints."""
        return run(
            [self.java, "-jar", f"{self.home}/trino-cli.jar", "--server",
             f"http://127.0.0.1:{self.port}", "--user", "article", "--output-format", form,
             "--execute", sql]
        )

    def jdbc(self, sql):
        text = run([self.java, "-cp", self.jdbc_path, "Ask", f"127.0.0.1:{self.port}", sql])
        return [line.split("\t") for line in text.splitlines()]

    def jdbc_load(self):
        """The command of a load over JDBC; see Load.java."""
        return [self.java, "-XX:TieredStopAtLevel=1", "-Xmx128M", "-cp", self.jdbc_path, "Load",
                f"127.0.0.1:{self.port}", NODES]

    def python(self, sql, port=None, properties=None):
        """The rows and the query's id."""
        cursor = self.cursor(port, properties)
        cursor.execute(sql)
        rows = cursor.fetchall()
        return rows, cursor.query_id

    def cursor(self, port=None, properties=None):
        connection = trino.dbapi.connect(
            host="127.0.0.1", port=port or self.port, user="article", http_scheme="http",
            session_properties=properties or {},
        )
        return connection.cursor()


def run(argv):
    done = subprocess.run(
        argv, stdin=subprocess.DEVNULL, capture_output=True, text=True, timeout=PATIENCE, check=False
    )
    if done.returncode != 0:
        raise RuntimeError(f"{argv[-1]}: {done.stderr.strip() or done.stdout.strip()}")
    return done.stdout
