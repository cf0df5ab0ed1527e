"""Files in and out of containers with Docker's Python SDK: archives, export, commit, changes, volumes, mounts."""

import io
import tarfile
import tempfile
import unittest
from pathlib import Path

import docker
from docker.errors import APIError, NotFound
from docker.types import Mount


def archive(**files):
    """A tar archive in memory; a dot in a name is written as two underscores."""
    buffer = io.BytesIO()
    with tarfile.open(fileobj=buffer, mode="w") as tar:
        for name, content in files.items():
            member = tarfile.TarInfo(name.replace("__", "."))
            member.size, member.mode, member.uid, member.mtime = len(content), 0o640, 1000, 1_000_000_000
            tar.addfile(member, io.BytesIO(content))
    return buffer.getvalue()


class Files(unittest.TestCase):
    def setUp(self):
        self.client = docker.from_env(timeout=30)
        self.addCleanup(self.client.close)

    def sleeper(self, **options):
        one = self.client.containers.run("busybox", "sleep 1000", detach=True, **options)
        self.addCleanup(self.remove, one.id)
        return one

    def remove(self, name):
        try:
            self.client.containers.get(name).remove(force=True, v=True)
        except NotFound:
            pass

    def test_archives_in_and_out(self):
        stopped = self.client.containers.create("busybox", "true")
        self.addCleanup(stopped.remove)
        for one in (self.sleeper(), stopped):
            self.assertTrue(one.put_archive("/tmp", archive(a__txt=b"alpha", b__txt=b"beta")))
            parts, stat = one.get_archive("/tmp/a.txt")
            self.assertEqual((stat["name"], stat["size"], stat["linkTarget"]), ("a.txt", 5, ""))
            with tarfile.open(fileobj=io.BytesIO(b"".join(parts))) as tar:
                member = tar.getmember("a.txt")
                self.assertEqual((member.mode, member.uid, member.mtime), (0o640, 1000, 1_000_000_000))
                self.assertEqual(tar.extractfile(member).read(), b"alpha")
            parts, _ = one.get_archive("/tmp", encode_stream=True)
            with tarfile.open(fileobj=io.BytesIO(b"".join(parts)), mode="r:*") as tar:
                self.assertLessEqual({"tmp/a.txt", "tmp/b.txt"}, {n.rstrip("/") for n in tar.getnames()})
            with self.assertRaises(NotFound):
                one.get_archive("/no/such")
            with self.assertRaises(NotFound):
                one.put_archive("/no/such", archive(x=b""))
            with self.assertRaises(APIError) as wrong:
                one.put_archive("/etc/passwd", archive(x=b""))
            self.assertEqual(wrong.exception.status_code, 400)

    def test_changes_commit_and_export(self):
        one = self.sleeper()
        one.exec_run(["sh", "-c", "echo new >/root/new; rm /etc/group; chmod 600 /etc/passwd"])
        kinds = {change["Path"]: change["Kind"] for change in one.diff()}
        self.assertEqual((kinds["/root/new"], kinds["/etc/group"], kinds["/etc/passwd"]), (1, 2, 0))
        image = one.commit(
            "derived", tag="v1", message="made by hand", author="Ada",
            changes=["ENV FROM=commit", 'CMD ["cat", "/root/new"]'],
        )
        self.addCleanup(self.client.images.remove, "derived:v1", force=True)
        self.assertIn("derived:v1", image.tags)
        self.assertEqual((image.attrs["Author"], image.attrs["Comment"]), ("Ada", "made by hand"))
        self.assertIn("FROM=commit", image.attrs["Config"]["Env"])
        self.assertEqual(self.client.containers.run("derived:v1", remove=True), b"new\n")
        with tarfile.open(fileobj=io.BytesIO(b"".join(one.export()))) as tar:
            names = tar.getnames()
            self.assertIn("root/new", names)
            self.assertNotIn("etc/group", names)

    def test_volumes(self):
        volume = self.client.volumes.create("kept", labels={"of": "test"})
        self.assertEqual((volume.name, volume.attrs["Driver"]), ("kept", "local"))
        one = self.sleeper(volumes={"kept": {"bind": "/data", "mode": "rw"}})
        one.exec_run(["sh", "-c", "echo stored >/data/file"])
        with self.assertRaises(APIError) as used:
            volume.remove()
        self.assertEqual(used.exception.status_code, 409)
        one.remove(force=True)
        read = self.client.containers.run
        self.assertEqual(read("busybox", "cat /data/file", volumes=["kept:/data:ro"], remove=True), b"stored\n")
        other = self.client.volumes.create("idle")
        names = lambda **how: sorted(v.name for v in self.client.volumes.list(**how))
        self.assertEqual(names(filters={"label": "of=test"}), ["kept"])
        self.assertEqual(names(filters={"name": "idle"}), ["idle"])
        pruned = self.client.volumes.prune(filters={"all": True})
        self.assertEqual(sorted(pruned["VolumesDeleted"]), ["idle", "kept"])
        with self.assertRaises(NotFound):
            self.client.volumes.get(other.name)

    def test_mounts(self):
        with tempfile.TemporaryDirectory() as folder:
            Path(folder, "host").write_text("from the host\n")
            mounts = [
                Mount("/bound", folder, type="bind", read_only=True),
                Mount("/scratch", None, type="tmpfs", tmpfs_size=1 << 20, tmpfs_mode=0o700),
                Mount("/anonymous", None, type="volume"),
            ]
            one = self.sleeper(mounts=mounts)
            script = "cat /bound/host; touch /bound/x 2>/dev/null || echo ro; stat -c %a /scratch"
            self.assertEqual(one.exec_run(["sh", "-c", script]).output, b"from the host\nro\n700\n")
            kinds = sorted((m["Type"], m["Destination"], m["RW"]) for m in one.attrs["Mounts"])
            self.assertEqual(
                kinds, [("bind", "/bound", False), ("tmpfs", "/scratch", True), ("volume", "/anonymous", True)]
            )
            with self.assertRaises(APIError) as missing:
                self.client.containers.create(
                    "busybox", mounts=[Mount("/x", folder + "/none", type="bind")]
                )
            self.assertEqual(missing.exception.status_code, 400)
            self.assertIn("bind source path does not exist", missing.exception.explanation)


if __name__ == "__main__":
    unittest.main()
