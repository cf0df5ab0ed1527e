"""Builds with Docker's Python SDK: from folders, archives and texts, with arguments, limits and errors."""

import io
import tarfile
import tempfile
import unittest
from pathlib import Path

import docker
from docker.errors import APIError, BuildError


class Builds(unittest.TestCase):
    def setUp(self):
        self.client = docker.from_env(timeout=60)
        self.addCleanup(self.client.close)

    def folder(self, **files):
        """A folder of files; two underscores in a name are a dot."""
        folder = tempfile.TemporaryDirectory()
        self.addCleanup(folder.cleanup)
        for name, content in files.items():
            (Path(folder.name) / name.replace("__", ".")).write_text(content)
        return folder.name

    def run_image(self, image, command):
        return self.client.containers.run(image, command, remove=True)

    def test_a_folder(self):
        folder = self.folder(
            Dockerfile="FROM busybox\nARG WHO=nobody\nCOPY . /files/\nRUN echo hello $WHO > /hello\nLABEL a=b\n",
            one="1",
            two="2",
            __dockerignore="two\n",
        )
        image, log = self.client.images.build(
            path=folder, tag="built:1", buildargs={"WHO": "world"}, labels={"c": "d"}, rm=True
        )
        self.assertEqual(image.tags, ["built:1"])
        self.assertEqual(self.run_image("built:1", "cat /hello"), b"hello world\n")
        self.assertEqual(self.run_image("built:1", "ls /files"), b"Dockerfile\none\n")
        self.assertEqual(image.labels, {"a": "b", "c": "d"})
        steps = [line["stream"] for line in log if line.get("stream", "").startswith("Step ")]
        self.assertEqual(steps[0], "Step 1/6 : FROM busybox")
        self.assertEqual(steps[5], "Step 6/6 : LABEL c=d")
        again, log = self.client.images.build(path=folder, buildargs={"WHO": "world"}, labels={"c": "d"})
        self.assertEqual(again.id, image.id)
        self.assertIn(" ---> Using cache\n", [line.get("stream") for line in log])
        anew, log = self.client.images.build(path=folder, nocache=True)
        self.assertNotIn(" ---> Using cache\n", [line.get("stream") for line in log])

    def test_a_dockerfile_alone(self):
        text = io.BytesIO(b"FROM busybox\nCMD echo alone\n")
        image, _ = self.client.images.build(fileobj=text, tag="alone")
        self.assertEqual(self.run_image(image.id, None), b"alone\n")

    def test_an_archive_and_a_stage(self):
        dockerfile = b"FROM busybox AS one\nRUN echo 1 > /n\nFROM busybox AS two\nRUN echo 2 > /n\n"
        buffer = io.BytesIO()
        with tarfile.open(fileobj=buffer, mode="w:gz") as tar:
            member = tarfile.TarInfo("sub/Other")
            member.size = len(dockerfile)
            tar.addfile(member, io.BytesIO(dockerfile))
        buffer.seek(0)
        image, _ = self.client.images.build(
            fileobj=buffer, custom_context=True, encoding="gzip", dockerfile="sub/Other", target="one"
        )
        self.assertEqual(self.run_image(image.id, "cat /n"), b"1\n")

    def test_limits_hosts_and_networks(self):
        dockerfile = (
            "FROM busybox\n"
            "RUN grep -q '^10.1.2.3.there$' /etc/hosts\n"
            "RUN [ $(df -k /dev/shm | tail -1 | awk '{print $2}') = 2048 ]\n"
            "RUN [ $(ls /sys/class/net | wc -w) = 1 ]\n"
        )
        self.client.images.build(
            path=self.folder(Dockerfile=dockerfile),
            extra_hosts={"there": "10.1.2.3"},
            shmsize=2 << 20,
            network_mode="none",
            container_limits={"memory": 64 << 20, "cpushares": 100},
        )

    def test_errors(self):
        with self.assertRaises(BuildError) as failed:
            self.client.images.build(path=self.folder(Dockerfile="FROM busybox\nRUN echo bad; exit 3\n"))
        self.assertEqual(failed.exception.msg, "The command '/bin/sh -c echo bad; exit 3' returned a non-zero code: 3")
        self.assertIn({"stream": "bad\n"}, list(failed.exception.build_log))
        with self.assertRaises(APIError) as refused:
            self.client.images.build(path=self.folder(Dockerfile="NONSENSE\n"))
        self.assertEqual(refused.exception.status_code, 400)
        self.assertIn("unknown instruction: NONSENSE", refused.exception.explanation)

    def test_the_cache(self):
        self.client.images.build(path=self.folder(Dockerfile="FROM busybox\nRUN echo cached > /x\n"))
        records = self.client.df()["BuildCache"]
        self.assertGreaterEqual(len(records), 1)
        self.assertGreater(records[0]["Size"], 0)
        for image in self.client.images.list():
            if image.tags != ["busybox:latest"]:
                self.client.images.remove(image.id, force=True)
        pruned = self.client.api.prune_builds(all=True)
        self.assertGreater(pruned["SpaceReclaimed"], 0)
        self.assertEqual(self.client.df()["BuildCache"], [])
        with self.assertRaises(APIError):
            self.client.api.prune_builds(filters={"nonsense": "x"})
