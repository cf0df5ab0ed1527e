"""Exec and attach with Docker's Python SDK: streams, sockets, terminals."""

import socket
import unittest

import docker
from docker.errors import APIError, NotFound
from docker.utils.socket import frames_iter


def raw(sock):
    """The socket itself behind what the SDK returns for the transport at hand."""
    return getattr(sock, "_sock", sock)


class Streams(unittest.TestCase):
    @classmethod
    def setUpClass(cls):
        cls.client = docker.from_env(timeout=30)
        cls.one = cls.client.containers.run("busybox", "sleep 1000", detach=True, name="streams")

    @classmethod
    def tearDownClass(cls):
        cls.one.remove(force=True)
        cls.client.close()

    def test_exec_run(self):
        result = self.one.exec_run("echo hello")
        self.assertEqual((result.exit_code, result.output), (0, b"hello\n"))
        self.assertEqual(self.one.exec_run(["sh", "-c", "exit 7"]).exit_code, 7)
        code, (out, err) = self.one.exec_run(["sh", "-c", "echo o; echo e >&2"], demux=True)
        self.assertEqual((code, out, err), (0, b"o\n", b"e\n"))
        code, (out, err) = self.one.exec_run("true", demux=True)
        self.assertEqual((code, out, err), (0, None, None))
        result = self.one.exec_run(
            ["sh", "-c", "id -un; pwd; echo $X"], user="web", workdir="/tmp", environment={"X": "y"}
        )
        self.assertEqual(result.output, b"web\n/tmp\ny\n")

    def test_exec_streams(self):
        script = "for i in 1 2 3; do echo $i; sleep 0.05; done"
        code, output = self.one.exec_run(["sh", "-c", script], stream=True)
        self.assertIsNone(code)
        self.assertEqual(b"".join(output), b"1\n2\n3\n")
        _, output = self.one.exec_run(
            ["sh", "-c", "echo o; sleep 0.1; echo e >&2"], stream=True, demux=True
        )
        self.assertEqual(list(output), [(b"o\n", None), (None, b"e\n")])
        big = self.one.exec_run(["sh", "-c", "head -c 3000000 /dev/zero"]).output
        self.assertEqual(len(big), 3_000_000)

    def test_exec_with_a_terminal(self):
        result = self.one.exec_run(["sh", "-c", "tty; echo e >&2"], tty=True)
        self.assertRegex(result.output, rb"^/dev/pts/\d+\r\ne\r\n$")

    def test_exec_in_the_background(self):
        result = self.one.exec_run(["sh", "-c", "echo x >/tmp/background"], detach=True)
        self.assertFalse(result.output)
        wait = "while ! test -s /tmp/background; do sleep 0.05; done; cat /tmp/background"
        self.assertEqual(self.one.exec_run(["sh", "-c", wait]).output, b"x\n")

    def test_exec_socket_is_a_conversation(self):
        _, sock = self.one.exec_run("cat", stdin=True, socket=True)
        link = raw(sock)
        link.sendall(b"first\n")
        frames = frames_iter(sock, tty=False)
        self.assertEqual(next(frames), (1, b"first\n"))
        link.sendall(b"second\n")
        self.assertEqual(next(frames), (1, b"second\n"))
        link.shutdown(socket.SHUT_WR)
        self.assertEqual(list(frames), [])
        sock.close()

    def test_exec_through_the_low_level_client(self):
        api = self.client.api
        created = api.exec_create(self.one.id, ["sh", "-c", "read x; exit $x"], stdin=True, tty=True)
        seen = api.exec_inspect(created["Id"])
        self.assertEqual((seen["Running"], seen["ExitCode"]), (False, None))
        self.assertEqual(seen["ProcessConfig"]["arguments"], ["-c", "read x; exit $x"])
        sock = api.exec_start(created["Id"], socket=True, tty=True)
        api.exec_resize(created["Id"], height=40, width=120)
        self.assertTrue(api.exec_inspect(created["Id"])["Running"])
        raw(sock).sendall(b"6\n")
        while raw(sock).recv(4096):
            pass
        sock.close()
        seen = api.exec_inspect(created["Id"])
        self.assertEqual((seen["Running"], seen["ExitCode"]), (False, 6))
        with self.assertRaises(APIError) as again:
            api.exec_start(created["Id"], detach=True)
        self.assertEqual(again.exception.status_code, 409)
        with self.assertRaises(NotFound):
            api.exec_inspect("0" * 64)

    def test_exec_needs_a_running_container(self):
        stopped = self.client.containers.create("busybox", "true")
        self.addCleanup(stopped.remove)
        with self.assertRaises(APIError) as refused:
            stopped.exec_run("true")
        self.assertEqual(refused.exception.status_code, 409)
        self.assertIn("is not running", refused.exception.explanation)
        self.assertEqual(self.one.exec_run("/no/such").exit_code, 127)

    def test_attach(self):
        script = "echo out; echo err >&2; sleep 0.3; echo end"
        one = self.client.containers.create("busybox", ["sh", "-c", script])
        self.addCleanup(one.remove)
        output = one.attach(stream=True, demux=True)
        one.start()
        parts = list(output)
        self.assertEqual(b"".join(out for out, _ in parts if out), b"out\nend\n")
        self.assertEqual(b"".join(err for _, err in parts if err), b"err\n")
        self.assertEqual(one.logs(stderr=False), b"out\nend\n")

    def test_attach_socket(self):
        one = self.client.containers.create("busybox", "cat", stdin_open=True)
        self.addCleanup(one.remove)
        sock = one.attach_socket(params={"stdin": 1, "stdout": 1, "stderr": 1, "stream": 1})
        one.start()
        raw(sock).sendall(b"over the socket\n")
        frames = frames_iter(sock, tty=False)
        self.assertEqual(next(frames), (1, b"over the socket\n"))
        raw(sock).shutdown(socket.SHUT_WR)
        sock.close()
        one.stop(timeout=0)

    def test_attach_to_a_terminal(self):
        one = self.client.containers.create("busybox", "sh", stdin_open=True, tty=True)
        self.addCleanup(one.remove, force=True)
        sock = one.attach_socket(params={"stdin": 1, "stdout": 1, "stream": 1})
        one.start()
        one.resize(height=33, width=111)
        raw(sock).sendall(b"stty size; exit 8\n")
        seen = b""
        while part := raw(sock).recv(4096):
            seen += part
        sock.close()
        self.assertIn(b"33 111", seen)
        self.assertEqual(one.wait()["StatusCode"], 8)

    def test_stdin_ends_with_the_client_that_brings_it(self):
        options = self.client.api.create_host_config(auto_remove=False)
        made = self.client.api.create_container(
            "busybox", ["sh", "-c", "wc -c"], stdin_open=True, host_config=options
        )
        one = self.client.containers.get(made["Id"])
        self.addCleanup(one.remove, force=True)
        sock = one.attach_socket(params={"stdin": 1, "stdout": 1, "stream": 1})
        one.start()
        raw(sock).sendall(b"x" * 200_000)
        raw(sock).shutdown(socket.SHUT_WR)
        self.assertEqual(one.wait(timeout=20)["StatusCode"], 0)
        self.assertEqual(one.logs().strip(), b"200000")
        sock.close()


if __name__ == "__main__":
    unittest.main()
