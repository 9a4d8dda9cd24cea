"""The two proxies, driven by one file: the article's, with ports in place of its names.

`$host` became `$http_host`: the port is not 80, and Trino builds its links from `Host`.
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
       server 127.0.0.1:{a} fail_timeout=3s max_fails=1;
       server 127.0.0.1:{b} backup;
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
        }}
    }}
}}
"""


class Proxy:
    """A proxy that is running: `switchover`, or `nginx` in its place."""

    def __init__(self, name, program, directory, port, cluster, extra=""):
        self.name = name
        self.access_log = f"{directory}/{name}.access.log"
        self.error_log = f"{directory}/{name}.error.log"
        file = f"{directory}/{name}.conf"
        with open(file, "w") as out:
            out.write(
                ARTICLE.format(
                    directory=directory, name=name, port=port, extra=extra,
                    a=cluster.ports["a"], b=cluster.ports["b"],
                )
            )
        self.process = Process(
            [program, "-p", directory, "-e", self.error_log, "-c", file],
            f"{directory}/{name}.out",
        )

        def opened():
            if not self.process.runs():
                raise RuntimeError(f"{name} has ended:\n{tail(self.process.log)}{tail(self.error_log)}")
            return accepts(port)

        await_that(f"{name} listens", opened, 10)

    def end(self):
        self.process.end(signal.SIGTERM)


def nginx():
    """The path of nginx, if there is one."""
    return shutil.which("nginx") or shutil.which("nginx", path="/usr/sbin:/usr/local/sbin")
