"""The proxies, driven by one file: the article's, with ports in place of its names.

`$host` became `$http_host`: the port is not 80, and Trino builds its links from `Host`.
"""

import getpass
import os
import shutil
import signal
import subprocess

from answers import FORMAT
from process import Process, accepts, await_that, tail

ARTICLE = """
daemon off;
{process}
pid {directory}/{name}.pid;
error_log {directory}/{name}.error.log info;
events {{ }}
http {{
    log_format answers '{format}';
    access_log {directory}/{name}.access.log answers;
    client_body_temp_path {directory}/{name}.body;
    proxy_temp_path {directory}/{name}.proxy;

    upstream trino {{
       server {primary} fail_timeout=3s max_fails=1;
       server {backup} backup;
    }}
    server {{
        listen       127.0.0.1:{port};
        server_name  localhost;
        {extra}
        location / {{
            proxy_pass   {scheme}://trino;
            proxy_redirect  {scheme}://trino/ /;
            proxy_connect_timeout 3;
            proxy_set_header          Host            $http_host;
            proxy_set_header          X-Real-IP       $remote_addr;
            proxy_set_header          X-Forwarded-For $proxy_add_x_forwarded_for;
            {location}
        }}
    }}
}}
"""

# With a master nginx reloads as it does in service: old workers finish, and close idle connections.
PROCESS = f"user {getpass.getuser()}; worker_processes 1;"

# What docs/trino.md advises beyond the article, for prepared statements.
LARGE_HEADS = "large_client_header_buffers 4 2m;"

# How long a command to the proxy may take.
COMMAND_SECONDS = 10


class Proxy:
    """A proxy that is running: switchover, or nginx in its place."""

    def __init__(self, name, program, directory, port, cluster, extra="", location=""):
        self.name = name
        self.program = program
        self.directory = directory
        self.port = port
        self.cluster = cluster
        self.extra = extra
        self.location = location
        self.access_log = f"{directory}/{name}.access.log"
        self.error_log = f"{directory}/{name}.error.log"
        self.file = f"{directory}/{name}.conf"
        self.write("a", "b")
        self.process = Process(
            [program, "-p", directory, "-e", self.error_log, "-c", self.file],
            f"{directory}/{name}.out",
        )

        def opened():
            if not self.process.runs():
                raise RuntimeError(f"{name} has ended:\n{tail(self.process.log)}{tail(self.error_log)}")
            return accepts(port)

        await_that(f"{name} listens", opened, 10)

    def write(self, primary, backup):
        with open(self.file, "w") as out:
            out.write(
                ARTICLE.format(
                    directory=self.directory, name=self.name, port=self.port, extra=self.extra,
                    location=self.location, scheme="https" if self.cluster.https_ports else "http",
                    primary=self.address(primary), backup=self.address(backup), format=FORMAT,
                    process=PROCESS if self.is_nginx else "",
                )
            )

    @property
    def is_nginx(self):
        return os.path.basename(self.program) == "nginx"

    def prefer(self, primary, backup):
        """Writes the file anew, with these roles, and has it read."""
        self.write(primary, backup)
        self.process.child.send_signal(signal.SIGHUP)

    def promote(self, name, other):
        """New queries go to this coordinator from now on: by a command, or as nginx has it."""
        if self.is_nginx:
            return self.prefer(name, other)
        subprocess.run(
            [self.program, "-p", self.directory, "-c", self.file, "promote", self.address(name)],
            check=True, timeout=COMMAND_SECONDS, stdout=subprocess.DEVNULL,
        )

    def address(self, name):
        return f"127.0.0.1:{self.cluster.https_ports.get(name, self.cluster.ports[name])}"

    def end(self):
        self.process.end(signal.SIGTERM)


def nginx():
    """The path of nginx, if there is one."""
    return shutil.which("nginx") or shutil.which("nginx", path="/usr/sbin:/usr/local/sbin")
