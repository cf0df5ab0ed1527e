"""Networks and ports with Docker's Python SDK."""

import http.client
import unittest

import docker
from docker.errors import APIError, NotFound
from docker.types import IPAMConfig, IPAMPool


class Networks(unittest.TestCase):
    def setUp(self):
        self.client = docker.from_env(timeout=30)
        self.addCleanup(self.client.close)

    def network(self, name, **options):
        network = self.client.networks.create(name, **options)
        self.addCleanup(network.remove)
        return network

    def run_in(self, command="sleep 1000", **options):
        one = self.client.containers.run("busybox", command, detach=True, **options)
        self.addCleanup(one.remove, force=True)
        return one

    def test_containers_on_a_network(self):
        network = self.network("names", labels={"for": "names"})
        server = self.run_in(
            ["sh", "-c", "mkdir /www; echo served >/www/index.html; exec httpd -f -p 80 -h /www"],
            name="server",
            network="names",
        )
        one = self.run_in(network="names")
        server.reload()
        address = server.attrs["NetworkSettings"]["Networks"]["names"]["IPAddress"]
        fetch = f"until wget -q -O - http://{address}/ 2>/dev/null; do sleep 0.1; done"
        self.assertEqual(one.exec_run(["sh", "-c", fetch]).output, b"served\n")
        network.reload()
        self.assertEqual({c.name for c in network.containers}, {"server", one.name})
        with self.assertRaises(APIError) as busy:
            network.remove()
        self.assertEqual(busy.exception.status_code, 403)
        network.disconnect(one)
        self.assertNotEqual(one.exec_run(f"wget -q -O - -T 2 http://{address}/").exit_code, 0)
        network.connect(one, aliases=["again"])
        one.reload()
        self.assertIn("again", one.attrs["NetworkSettings"]["Networks"]["names"]["Aliases"])
        self.assertEqual(one.exec_run(["sh", "-c", fetch]).output, b"served\n")
        self.assertEqual(self.client.networks.list(filters={"label": "for=names"}), [network])

    def test_addresses(self):
        pool = IPAMPool(subnet="10.199.7.0/24", gateway="10.199.7.1")
        network = self.network("addresses", driver="bridge", ipam=IPAMConfig(pool_configs=[pool]))
        one = self.run_in()
        network.connect(one, ipv4_address="10.199.7.77")
        one.reload()
        settings = one.attrs["NetworkSettings"]["Networks"]["addresses"]
        self.assertEqual((settings["IPAddress"], settings["Gateway"]), ("10.199.7.77", "10.199.7.1"))
        self.assertIn(b"10.199.7.77", one.exec_run("ip -4 addr").output)
        with self.assertRaises(APIError):
            network.connect(self.run_in(), ipv4_address="10.199.7.77")
        with self.assertRaises(APIError) as overlap:
            self.client.networks.create("overlap", ipam=IPAMConfig(pool_configs=[pool]))
        self.assertIn("overlaps", overlap.exception.explanation)

    def test_published_ports(self):
        one = self.run_in(
            ["sh", "-c", "mkdir /www; echo port >/www/index.html; echo up; exec httpd -f -p 8080 -h /www"],
            ports={"8080/tcp": None, "9000/udp": ("127.0.0.1", 0)},
        )
        self.assertEqual(next(one.logs(stream=True)), b"up\n")
        one.reload()
        port = int(one.ports["8080/tcp"][0]["HostPort"])
        self.assertEqual(one.ports["9000/udp"][0]["HostIp"], "127.0.0.1")
        self.assertEqual(self.fetch(port), b"port\n")
        with self.assertRaises(APIError) as taken:
            self.run_in(ports={"8080/tcp": port})
        self.assertIn(taken.exception.status_code, (500, 409))
        for left in self.client.containers.list(all=True, filters={"status": "created"}):
            left.remove(force=True)

    def fetch(self, port):
        """Asks until the server behind the port is up."""
        for _ in range(100):
            try:
                connection = http.client.HTTPConnection("127.0.0.1", port, timeout=10)
                connection.request("GET", "/")
                return connection.getresponse().read()
            except (ConnectionError, http.client.HTTPException):
                continue
        self.fail("the published port does not answer")

    def test_modes(self):
        run = self.client.containers.run
        alone = run("busybox", "ip addr", network_mode="none", remove=True)
        self.assertNotIn(b"eth0", alone)
        one = self.run_in(hostname="shared")
        joined = run("busybox", "hostname", network_mode="container:" + one.id, remove=True)
        self.assertEqual(joined, b"shared\n")
        with self.assertRaises((APIError, NotFound)) as missing:
            self.client.containers.create("busybox", network="nowhere").start()
        self.assertEqual(missing.exception.status_code, 404)
        for left in self.client.containers.list(all=True, filters={"status": "created"}):
            left.remove(force=True)

    def test_prune_and_low_level(self):
        made = self.client.api.create_network("pruned", check_duplicate=True, internal=True)
        self.assertTrue(self.client.api.inspect_network(made["Id"])["Internal"])
        with self.assertRaises(APIError) as twice:
            self.client.networks.create("pruned")
        self.assertEqual(twice.exception.status_code, 409)
        self.assertIn("pruned", self.client.networks.prune()["NetworksDeleted"])
        with self.assertRaises(NotFound):
            self.client.networks.get("pruned")


if __name__ == "__main__":
    unittest.main()
