"""The engine itself with Docker's Python SDK: versions, information, events, stats, disk use."""

import itertools
import time
import unittest

import docker
from docker.errors import APIError, DockerException, NotFound


class EngineItself(unittest.TestCase):
    def setUp(self):
        self.client = docker.from_env(timeout=30)
        self.addCleanup(self.client.close)

    def sleeper(self, **options):
        one = self.client.containers.run("busybox", "sleep 1000", detach=True, **options)
        self.addCleanup(self.remove, one.id)
        return one

    def remove(self, name):
        try:
            self.client.containers.get(name).remove(force=True)
        except NotFound:
            pass

    def test_every_version_is_spoken(self):
        newest = self.client.api._version
        self.assertEqual(self.client.version()["MinAPIVersion"], "1.24")
        for minor in range(24, int(newest.split(".")[1]) + 1):
            with self.subTest(version=f"1.{minor}"):
                client = docker.from_env(version=f"1.{minor}", timeout=30)
                self.assertEqual(client.version(api_version=True)["ApiVersion"], newest)
                output = client.containers.run("busybox", "echo spoken", remove=True)
                self.assertEqual(output, b"spoken\n")
                client.images.list()
                client.networks.list()
                client.volumes.list()
                client.close()
        ahead = docker.from_env(version=f"1.{int(newest.split('.')[1]) + 1}")
        with self.assertRaises(APIError) as new:
            ahead.info()
        self.assertEqual(new.exception.status_code, 400)
        self.assertIn("is too new. Maximum supported API version is " + newest, new.exception.explanation)
        with self.assertRaises(DockerException):
            docker.from_env(version="1.12")

    def test_information(self):
        self.assertTrue(self.client.ping())
        info = self.client.info()
        self.assertEqual((info["OSType"], info["Swarm"]["LocalNodeState"]), ("linux", "inactive"))
        self.assertGreater(info["NCPU"], 0)
        usage = self.client.df()
        self.assertEqual({"Images", "Containers", "Volumes", "BuildCache"} - set(usage), set())
        with self.assertRaises(APIError) as refused:
            self.client.services.list()
        self.assertIn(refused.exception.status_code, (501, 503))

    def test_events(self):
        since = int(time.time()) - 1
        one = self.sleeper(name="eventful", labels={"watched": "yes"})
        stream = self.client.events(
            decode=True, since=since, filters={"type": "container", "label": "watched=yes"}
        )
        seen = [event["Action"] for event in itertools.islice(stream, 2)]
        self.assertEqual(seen, ["create", "start"])
        one.exec_run("true")
        started = list(itertools.islice(stream, 3))
        self.assertEqual([e["Action"].split(":")[0] for e in started], ["exec_create", "exec_start", "exec_die"])
        self.assertEqual(started[2]["Actor"]["Attributes"]["exitCode"], "0")
        one.kill()
        rest = list(itertools.islice(stream, 2))
        self.assertEqual(sorted(e["Action"] for e in rest), ["die", "kill"])
        attributes = rest[1]["Actor"]["Attributes"]
        self.assertEqual((attributes["name"], attributes["image"]), ("eventful", "busybox"))
        stream.close()
        past = self.client.events(decode=True, since=since, until=int(time.time()) + 1, filters={"event": ["die"], "container": "eventful"})
        self.assertEqual([e["Actor"]["Attributes"]["exitCode"] for e in past], ["137"])

    def test_events_of_networks_and_volumes(self):
        since = int(time.time()) - 1
        network = self.client.networks.create("loud")
        one = self.sleeper(network="loud")
        one.remove(force=True)
        network.remove()
        self.client.volumes.create("loud").remove()
        self.client.images.get("busybox").tag("loud", tag="1")
        self.client.images.remove("loud:1")
        seen = [
            (event["Type"], event["Action"])
            for event in self.client.events(decode=True, since=since, until=int(time.time()) + 1)
        ]
        for expected in [
            ("network", "create"), ("network", "connect"), ("network", "disconnect"), ("network", "destroy"),
            ("volume", "create"), ("volume", "destroy"), ("image", "tag"), ("image", "untag"),
            ("container", "destroy"),
        ]:
            self.assertIn(expected, seen)

    def test_stats(self):
        one = self.sleeper(mem_limit="32m", name="measured")
        once = one.stats(stream=False)
        self.assertEqual((once["name"], once["id"]), ("/measured", one.id))
        self.assertEqual(once["memory_stats"]["limit"], 32 << 20)
        self.assertGreater(once["cpu_stats"]["cpu_usage"]["total_usage"], 0)
        self.assertGreater(once["precpu_stats"]["system_cpu_usage"], 0)
        self.assertEqual(list(once["networks"]), ["eth0"])
        stream = one.stats(decode=True)
        first, second = next(stream), next(stream)
        self.assertLess(first["read"], second["read"])
        self.assertEqual(second["precpu_stats"]["cpu_usage"], first["cpu_stats"]["cpu_usage"])
        stream.close()


if __name__ == "__main__":
    unittest.main()
