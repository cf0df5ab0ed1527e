"""Images with Docker's Python SDK, and a registry: pull, push, tag, save, load, import, remove."""

import io
import os
import tarfile
import unittest

import docker
from docker.errors import APIError, ImageLoadError, ImageNotFound, NotFound

REGISTRY = os.environ["REGISTRY"]


class Images(unittest.TestCase):
    def setUp(self):
        self.client = docker.from_env(timeout=60)
        self.addCleanup(self.client.close)
        self.busybox = self.client.images.get("busybox")

    def test_look(self):
        self.assertEqual(self.busybox.tags, ["busybox:latest"])
        self.assertTrue(self.busybox.id.startswith("sha256:"))
        self.assertEqual(self.busybox.attrs["Os"], "linux")
        self.assertIn(self.busybox, self.client.images.list())
        self.assertEqual(self.client.images.list(name="nothing"), [])
        self.assertEqual(self.client.images.list(filters={"reference": "busy*"}), [self.busybox])
        self.assertEqual(self.client.images.list(filters={"dangling": True}), [])
        self.assertEqual(self.busybox.history()[0]["Id"], self.busybox.id)
        with self.assertRaises(ImageNotFound) as missing:
            self.client.images.get("nothing:here")
        self.assertEqual(missing.exception.explanation, "No such image: nothing:here")

    def test_tag_and_remove(self):
        self.assertTrue(self.busybox.tag("other/name", tag="v2"))
        self.busybox.reload()
        self.assertEqual(sorted(self.busybox.tags), ["busybox:latest", "other/name:v2"])
        self.client.images.remove("other/name:v2")
        with self.assertRaises(ImageNotFound):
            self.client.images.get("other/name:v2")
        with self.assertRaises(APIError) as wrong:
            self.busybox.tag("Not/Allowed")
        self.assertEqual(wrong.exception.status_code, 400)

    def test_push_and_pull(self):
        name = REGISTRY + "/python/box"
        self.busybox.tag(name, tag="1")
        self.busybox.tag(name, tag="2")
        pushed = list(self.client.images.push(name, tag="1", stream=True, decode=True))
        self.assertNotIn("error", [key for line in pushed for key in line])
        digest = next(line["aux"]["Digest"] for line in pushed if "aux" in line)
        self.assertRegex(self.client.images.push(name, tag="2"), "2: digest: " + digest)
        data = self.client.images.get_registry_data(name + ":1")
        self.assertEqual(data.id, digest)
        self.assertTrue(data.has_platform("linux"))
        self.client.images.remove(name + ":1")
        self.client.images.remove(name + ":2")
        one = self.client.images.pull(name, tag="1")
        self.assertEqual(one.tags.count(name + ":1"), 1)
        self.assertIn(name + "@" + digest, one.attrs["RepoDigests"])
        by_digest = self.client.images.pull(name + "@" + digest)
        self.assertEqual(by_digest.id, one.id)
        lines = list(self.client.api.pull(name, tag="1", stream=True, decode=True))
        self.assertEqual(lines[-1]["status"], f"Status: Image is up to date for {name}:1")
        with self.assertRaises(NotFound):
            self.client.images.pull(REGISTRY + "/python/none", tag="1")
        failed = list(self.client.images.push(REGISTRY + "/not/tagged", stream=True, decode=True))
        self.assertIn("does not exist", failed[-1]["error"])
        self.client.images.remove(name + ":1")

    def test_save_and_load(self):
        self.busybox.tag("saved", tag="1")
        data = b"".join(self.client.images.get("saved:1").save(named="saved:1"))
        with tarfile.open(fileobj=io.BytesIO(data)) as tar:
            self.assertIn("manifest.json", tar.getnames())
        self.client.images.remove("saved:1")
        loaded = self.client.images.load(data)
        self.assertEqual([image.id for image in loaded], [self.busybox.id])
        self.assertIn("saved:1", loaded[0].tags)
        self.client.images.remove("saved:1")
        with self.assertRaises((APIError, ImageLoadError)):
            self.client.images.load(b"this is no archive" * 100)

    def test_import_and_prune(self):
        buffer = io.BytesIO()
        with tarfile.open(fileobj=buffer, mode="w") as tar:
            member = tarfile.TarInfo("only")
            member.size = 4
            tar.addfile(member, io.BytesIO(b"file"))
        self.client.api.import_image_from_data(buffer.getvalue(), repository="imported", tag="x", changes=["ENV A=b"])
        image = self.client.images.get("imported:x")
        self.assertEqual(image.attrs["Config"]["Env"], ["A=b"])
        self.assertEqual(len(image.attrs["RootFS"]["Layers"]), 1)
        self.busybox.tag("imported", tag="x")
        self.assertEqual([i.id for i in self.client.images.list(filters={"dangling": True})], [image.id])
        pruned = self.client.images.prune(filters={"dangling": True})
        self.assertIn({"Deleted": image.id}, pruned["ImagesDeleted"])
        self.client.images.remove("imported:x")

    def test_a_used_image_is_not_removed(self):
        one = self.client.containers.create("busybox", "true")
        self.addCleanup(one.remove)
        with self.assertRaises(APIError) as used:
            self.client.images.remove(self.busybox.id)
        self.assertEqual(used.exception.status_code, 409)
        self.assertEqual(one.image.id, self.busybox.id)


if __name__ == "__main__":
    unittest.main()
