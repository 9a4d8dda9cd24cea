"""The proxies, driven by one file: the article's, with ports in place of its names.

`$host` became `$http_host`: the port is not 80, and Trino builds its links from `Host`. One of them
is switchover with what docs/trino.md advises beyond the article.
"""

import shutil
import signal

from process import Process, accepts, await_that, tail

ARTICLE = """
daemon off;
master_process off;
pid {directory}/{name}.pid;
error_log {directory}/{name}.error.log info;
events {{ }}
http {{
    log_format sizes '$request_method $request_uri $status $request_length $bytes_sent $body_bytes_sent $upstream_addr';
    access_log {directory}/{name}.access.log sizes;
    client_body_temp_path {directory}/{name}.body;
    proxy_temp_path {directory}/{name}.proxy;

    upstream trino {{
       server 127.0.0.1:{primary} fail_timeout=3s max_fails=1;
       server 127.0.0.1:{backup} backup;
    }}
    server {{
        listen       127.0.0.1:{port};
        server_name  localhost;
        {extra}
        location / {{
            proxy_pass   http://trino;
            proxy_redirect  http://trino/ /;
            proxy_connect_timeout 3;
            proxy_set_header          Host            $http_host;
            proxy_set_header          X-Real-IP       $remote_addr;
            proxy_set_header          X-Forwarded-For $proxy_add_x_forwarded_for;
            {inner}
        }}
    }}
}}
"""


ADVICE = """
        large_client_header_buffers 4 2m;
        proxy_next_upstream error timeout non_idempotent;
"""
# What is inherited only where there is nothing of the same kind.
ADVICE_IN_LOCATION = """
            proxy_set_header          X-Forwarded-Host  "";
            proxy_set_header          X-Forwarded-Proto "";
"""


class Proxy:
    """A proxy that is running: `switchover`, or `nginx` in its place."""

    def __init__(self, name, program, directory, port, cluster, extra="", inner=""):
        self.name = name
        self.directory = directory
        self.port = port
        self.cluster = cluster
        self.extra = extra
        self.inner = inner
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
        ports = self.cluster.ports
        with open(self.file, "w") as out:
            out.write(
                ARTICLE.format(
                    directory=self.directory, name=self.name, port=self.port, extra=self.extra, inner=self.inner,
                    primary=ports[primary], backup=ports[backup],
                )
            )

    def prefer(self, primary, backup):
        """Exchanges the roles of the coordinators while everything goes on."""
        self.write(primary, backup)
        self.process.child.send_signal(signal.SIGHUP)

    def end(self):
        self.process.end(signal.SIGTERM)


def nginx():
    """The path of nginx, if there is one."""
    return shutil.which("nginx") or shutil.which("nginx", path="/usr/sbin:/usr/local/sbin")
