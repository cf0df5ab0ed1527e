"""Containers for tests, as testcontainers-python makes them: wait strategies, ports, networks, the reaper."""

import io
import os
import subprocess
import sys
import tarfile
import tempfile
import unittest
import urllib.request

import docker
from testcontainers.core.config import testcontainers_config
from testcontainers.core.container import DockerContainer
from testcontainers.core.network import Network
from testcontainers.core.wait_strategies import (
    ExecWaitStrategy,
    HealthcheckWaitStrategy,
    HttpWaitStrategy,
    LogMessageWaitStrategy,
    PortWaitStrategy,
)

# A page over HTTP, after a moment in which nobody listens.
SERVER = ["sh", "-c", "mkdir /www; echo served >/www/index.html; sleep 0.3; echo listening soon; exec httpd -f -p 8080 -h /www"]

# What stands in for the reaper's image: it says that it has started, takes the filter of one session, and when that
# connection ends removes the session's containers with the command line that was put beside it.
REAPER = """#!/bin/sh
engine="/dhow -H unix:///var/run/docker.sock"
echo "ryuk Started!"
filter=$(nc -l -p 8080 | head -n 1 | tr -d '\\r')
$engine rm -f -v $($engine ps -aq --filter "$filter")
"""


class WithoutReaper(unittest.TestCase):
    @classmethod
    def setUpClass(cls):
        testcontainers_config.ryuk_disabled = True
        testcontainers_config.sleep_time = 0.1

    def fetch(self, container):
        host, port = container.get_container_host_ip(), container.get_exposed_port(8080)
        with urllib.request.urlopen(f"http://{host}:{port}/", timeout=10) as page:
            return page.read()

    def server(self):
        return DockerContainer("busybox").with_command(SERVER).with_exposed_ports(8080)

    def test_waits(self):
        for strategy in (
            LogMessageWaitStrategy("listening soon"),
            PortWaitStrategy(8080),
            HttpWaitStrategy(8080).for_status_code(200),
            ExecWaitStrategy(["wget", "-q", "-O", "/dev/null", "http://127.0.0.1:8080/"]),
        ):
            with self.subTest(strategy=type(strategy).__name__):
                strategy.with_startup_timeout(20)
                with self.server().waiting_for(strategy) as container:
                    if not isinstance(strategy, LogMessageWaitStrategy):
                        self.assertEqual(self.fetch(container), b"served\n")

    def test_health(self):
        second = 1_000_000_000
        check = {"test": ["CMD-SHELL", "wget -q -O /dev/null http://127.0.0.1:8080/"], "interval": second // 5}
        server = self.server().with_kwargs(healthcheck=check)
        with server.waiting_for(HealthcheckWaitStrategy().with_startup_timeout(20)) as container:
            self.assertEqual(container.get_wrapped_container().health, "healthy")

    def test_what_a_container_offers(self):
        container = (
            DockerContainer("busybox")
            .with_command("sleep 1000")
            .with_env("COLOUR", "green")
            .with_name("offers")
            .with_copy_into_container(b"brought along", "/tmp/brought")
        )
        with container:
            code, output = container.exec(["sh", "-c", "echo $COLOUR; cat /tmp/brought"])
            self.assertEqual((code, output), (0, b"green\nbrought along"))
            out, err = container.get_logs()
            self.assertEqual((out, err), (b"", b""))
        self.assertEqual(docker.from_env().containers.list(all=True), [])

    def test_a_network(self):
        with Network() as network:
            ready = PortWaitStrategy(8080).with_startup_timeout(20)
            with self.server().with_network(network).with_network_aliases("web").waiting_for(ready) as server:
                server.get_wrapped_container().reload()
                address = server.get_wrapped_container().attrs["NetworkSettings"]["Networks"][network.name]
                with DockerContainer("busybox").with_command("sleep 1000").with_network(network) as client:
                    got = client.exec(["wget", "-q", "-O", "-", f"http://{address['IPAddress']}:8080/"])
                    self.assertEqual(got.output, b"served\n")


class WithReaper(unittest.TestCase):
    def test_what_a_session_leaves_is_removed(self):
        client = docker.from_env()
        base = client.containers.create("busybox", "/reaper")
        self.put(base)
        base.commit("reaper", tag="1")
        base.remove()
        # A process of its own, that leaves without a word.
        script = (
            "import os\nfrom testcontainers.core.container import DockerContainer\n"
            "print(DockerContainer('busybox').with_command('sleep 1000').start().get_wrapped_container().id, flush=True)\n"
            "os._exit(0)\n"
        )
        environment = dict(os.environ, RYUK_CONTAINER_IMAGE="reaper:1", TC_POOLING_INTERVAL="0.1")
        gone = client.events(decode=True, filters={"type": "container", "event": "destroy"})
        output = subprocess.run(
            [sys.executable, "-c", script], env=environment, stdout=subprocess.PIPE, check=True, timeout=60
        )
        left = output.stdout.decode().strip()
        self.assertEqual(len(left), 64)
        self.assertIn(left, (event["Actor"]["ID"] for event in gone))
        # The reaper was started to be removed when it is done.
        for one in client.containers.list():
            try:
                one.wait(condition="removed")
            except docker.errors.NotFound:
                pass  # It is gone already.
        client.images.remove("reaper:1")

    def put(self, container):
        """Puts the stand-in for the reaper, and the program that it runs, into a container."""
        with tempfile.TemporaryFile() as file:
            with tarfile.open(fileobj=file, mode="w") as tar:
                member = tarfile.TarInfo("reaper")
                member.size, member.mode = len(REAPER), 0o755
                tar.addfile(member, io.BytesIO(REAPER.encode()))
                tar.add(os.environ["DHOW"], "dhow")
            file.seek(0)
            container.put_archive("/", file)


if __name__ == "__main__":
    unittest.main()
