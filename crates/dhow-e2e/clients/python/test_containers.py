"""Containers with Docker's Python SDK: run, create, look, wait, stop, remove."""

import time
import unittest

import docker
from docker.errors import APIError, ContainerError, ImageNotFound, NotFound


class Containers(unittest.TestCase):
    def setUp(self):
        self.client = docker.from_env(timeout=30)
        self.addCleanup(self.client.close)

    def keep(self, container):
        """Has the container removed at the end of the test."""
        self.addCleanup(self.remove, container.id)
        return container

    def remove(self, name):
        try:
            self.client.containers.get(name).remove(force=True, v=True)
        except NotFound:
            pass

    def sleeper(self, **options):
        return self.keep(self.client.containers.run("busybox", "sleep 1000", detach=True, **options))

    def test_run_returns_the_output(self):
        run = self.client.containers.run
        self.assertEqual(run("busybox", "echo hello world", remove=True), b"hello world\n")
        both = "echo out; sleep 0.1; echo err >&2"
        self.assertEqual(run("busybox", ["sh", "-c", both], remove=True), b"out\n")
        self.assertEqual(run("busybox", ["sh", "-c", both], stderr=True, remove=True), b"out\nerr\n")
        self.assertEqual(
            run("busybox", ["sh", "-c", both], stdout=False, stderr=True, remove=True), b"err\n"
        )
        lines = run("busybox", ["sh", "-c", "echo a; echo b"], stream=True, remove=True)
        self.assertEqual(b"".join(lines), b"a\nb\n")
        self.assertEqual(self.client.containers.list(all=True), [])

    def test_run_with_a_bad_end_raises(self):
        with self.assertRaises(ContainerError) as failed:
            self.client.containers.run("busybox", ["sh", "-c", "echo no >&2; exit 3"], remove=True)
        self.assertEqual(failed.exception.exit_status, 3)
        self.assertEqual(failed.exception.stderr, b"no\n")
        with self.assertRaises(APIError) as failed:
            self.client.containers.run("busybox", "/no/such/program", remove=True)
        self.assertEqual(failed.exception.response.status_code, 400)
        self.assertIn("no such file or directory", failed.exception.explanation)

    def test_errors_are_typed(self):
        with self.assertRaises(NotFound) as missing:
            self.client.containers.get("nobody")
        self.assertEqual(missing.exception.explanation, "No such container: nobody")
        with self.assertRaises(ImageNotFound):
            self.client.containers.create("registry.invalid/none:1")
        one = self.sleeper(name="taken")
        with self.assertRaises(APIError) as conflict:
            self.client.containers.create("busybox", name="taken")
        self.assertEqual(conflict.exception.status_code, 409)
        self.assertTrue(conflict.exception.is_client_error())
        with self.assertRaises(APIError) as running:
            one.remove()
        self.assertEqual(running.exception.status_code, 409)
        with self.assertRaises(APIError) as wrong:
            one.kill("SIGNONE")
        self.assertEqual(wrong.exception.status_code, 400)

    def test_the_life_of_a_container(self):
        one = self.keep(
            self.client.containers.create(
                "busybox",
                ["sh", "-c", "trap 'exit 5' TERM; echo ready; while true; do sleep 0.05; done"],
                name="life",
                labels={"role": "test", "empty": ""},
                environment={"COLOUR": "green"},
            )
        )
        self.assertEqual((one.status, one.name), ("created", "life"))
        self.assertEqual(one.labels, {"role": "test", "empty": ""})
        one.start()
        self.assertEqual(next(one.logs(stream=True)), b"ready\n")
        one.reload()
        self.assertEqual(one.status, "running")
        one.pause()
        one.reload()
        self.assertEqual(one.status, "paused")
        one.unpause()
        one.rename("lives")
        self.assertEqual(self.client.containers.get("lives").id, one.id)
        one.stop(timeout=10)
        self.assertEqual(one.wait()["StatusCode"], 5)
        one.restart(timeout=1)
        one.reload()
        self.assertEqual(one.status, "running")
        one.kill()
        self.assertEqual(one.wait()["StatusCode"], 137)
        one.remove()
        with self.assertRaises(NotFound):
            one.reload()

    def test_lists_and_filters(self):
        one = self.sleeper(name="listed-one", labels={"tier": "front"})
        two = self.keep(self.client.containers.create("busybox", "true", name="listed-two"))
        names = lambda **how: sorted(c.name for c in self.client.containers.list(**how))
        self.assertEqual(names(), ["listed-one"])
        self.assertEqual(names(all=True), ["listed-one", "listed-two"])
        self.assertEqual(names(filters={"label": "tier=front"}), ["listed-one"])
        self.assertEqual(names(all=True, filters={"status": "created"}), ["listed-two"])
        self.assertEqual(names(all=True, filters={"name": "two"}), ["listed-two"])
        self.assertEqual(names(all=True, filters={"since": one.name}), ["listed-two"])
        self.assertEqual(names(all=True, filters={"before": two.name}), ["listed-one"])
        self.assertEqual(names(limit=1), ["listed-two"])
        sparse = self.client.containers.list(sparse=True)[0]
        self.assertEqual(sparse.attrs["Names"], ["/listed-one"])
        with self.assertRaises(APIError) as unknown:
            self.client.containers.list(filters={"colour": "green"})
        self.assertEqual(unknown.exception.status_code, 400)

    def test_logs(self):
        script = "for i in 1 2 3 4 5; do echo line $i; done; echo oops >&2; sleep 0.2; echo last"
        one = self.keep(self.client.containers.run("busybox", ["sh", "-c", script], detach=True))
        followed = b"".join(one.logs(stream=True, follow=True, stderr=False))
        self.assertEqual(followed.splitlines()[-2:], [b"line 5", b"last"])
        self.assertEqual(one.logs(stdout=False), b"oops\n")
        self.assertEqual(one.logs(tail=1), b"last\n")
        stamped = one.logs(timestamps=True, tail=1).decode()
        self.assertRegex(stamped, r"^\d{4}-\d\d-\d\dT[0-9:.]+Z last\n$")
        self.assertEqual(one.logs(since=int(time.time()) + 3600), b"")
        self.assertIn(b"line 1", one.logs(until=int(time.time()) + 3600))

    def test_wait_conditions(self):
        one = self.keep(self.client.containers.create("busybox", ["sh", "-c", "sleep 0.2; exit 9"]))
        one.start()
        self.assertEqual(one.wait(condition="not-running")["StatusCode"], 9)
        self.assertEqual(one.wait(timeout=5)["StatusCode"], 9)
        gone = self.client.containers.run(
            "busybox", ["sh", "-c", "sleep 0.2; exit 4"], detach=True, auto_remove=True
        )
        self.assertEqual(gone.wait(condition="removed")["StatusCode"], 4)
        with self.assertRaises(NotFound):
            gone.reload()
        with self.assertRaises(APIError) as wrong:
            one.wait(condition="sometime")
        self.assertEqual(wrong.exception.status_code, 400)
        slow = self.sleeper()
        import requests

        with self.assertRaises((requests.exceptions.ReadTimeout, requests.exceptions.ConnectionError)):
            slow.wait(timeout=0.3)

    def test_options_reach_the_container(self):
        one = self.sleeper(
            hostname="inside",
            user="1000:1000",
            working_dir="/tmp",
            environment=["A=1", "B=two words"],
            mem_limit="64m",
            nano_cpus=500_000_000,
            pids_limit=50,
            read_only=True,
            tmpfs={"/tmp": "size=1m,mode=1777"},
            cap_drop=["ALL"],
            cap_add=["NET_BIND_SERVICE"],
            extra_hosts={"elsewhere": "192.0.2.7"},
            dns=["192.0.2.53"],
            sysctls={"net.ipv4.ip_unprivileged_port_start": "80"},
            ulimits=[docker.types.Ulimit(name="nofile", soft=64, hard=128)],
            shm_size="8m",
            stop_signal="SIGINT",
            network_mode="bridge",
        )
        ask = lambda command: one.exec_run(["sh", "-c", command]).output.decode().strip()
        self.assertEqual(ask("hostname; id -u; id -g; pwd"), "inside\n1000\n1000\n/tmp")
        self.assertEqual(ask("echo $A-$B"), "1-two words")
        self.assertEqual(ask("ulimit -n"), "64")
        self.assertEqual(ask("touch /here 2>&1 || echo refused").splitlines()[-1], "refused")
        self.assertEqual(ask("touch /tmp/here && echo yes"), "yes")
        self.assertEqual(ask("grep CapBnd /proc/1/status | cut -f2"), "0000000000000400")
        self.assertIn("192.0.2.7\telsewhere", ask("cat /etc/hosts"))
        self.assertIn("nameserver 192.0.2.53", ask("cat /etc/resolv.conf"))
        self.assertEqual(ask("cat /proc/sys/net/ipv4/ip_unprivileged_port_start"), "80")
        host = self.client.containers.get(one.id).attrs["HostConfig"]
        self.assertEqual((host["Memory"], host["NanoCpus"], host["PidsLimit"]), (64 << 20, 500_000_000, 50))
        self.assertEqual(host["Ulimits"], [{"Name": "nofile", "Hard": 128, "Soft": 64}])

    def test_update_and_restart_policy(self):
        one = self.sleeper(mem_limit="32m")
        answer = one.update(mem_limit="48m", memswap_limit="96m", cpu_shares=512)
        self.assertIn("Warnings", answer)
        one.update(restart_policy={"Name": "on-failure", "MaximumRetryCount": 2})
        one.reload()
        host = one.attrs["HostConfig"]
        self.assertEqual((host["Memory"], host["CpuShares"]), (48 << 20, 512))
        self.assertEqual(host["RestartPolicy"], {"Name": "on-failure", "MaximumRetryCount": 2})
        failing = self.keep(
            self.client.containers.run(
                "busybox",
                ["sh", "-c", "echo try; exit 1"],
                detach=True,
                restart_policy={"Name": "on-failure", "MaximumRetryCount": 1},
            )
        )
        deadline = time.monotonic() + 20
        while failing.logs() != b"try\ntry\n" and time.monotonic() < deadline:
            failing.wait()
        self.assertEqual(failing.logs(), b"try\ntry\n")
        with self.assertRaises(APIError):
            self.client.containers.create(
                "busybox", restart_policy={"Name": "always"}, auto_remove=True
            )

    def test_health(self):
        second = 1_000_000_000
        one = self.sleeper(
            healthcheck={
                "test": ["CMD-SHELL", "test -e /well"],
                "interval": second // 5,
                "timeout": 5 * second,
                "retries": 2,
            }
        )
        self.await_health(one, "unhealthy")
        one.exec_run("touch /well")
        self.await_health(one, "healthy")
        log = one.attrs["State"]["Health"]["Log"]
        self.assertEqual(log[-1]["ExitCode"], 0)
        self.assertLessEqual(len(log), 5)

    def await_health(self, container, state):
        """Waits for the event that tells of the state, unless it is there already."""
        events = self.client.events(
            decode=True, filters={"container": container.id, "event": "health_status"}
        )
        container.reload()
        if container.health != state:
            for event in events:
                if event["Action"] == "health_status: " + state:
                    break
        events.close()
        container.reload()
        self.assertEqual(container.health, state)

    def test_top_and_prune(self):
        one = self.sleeper(name="topped")
        top = one.top()
        self.assertIn("PID", top["Titles"])
        self.assertIn("sleep 1000", top["Processes"][0][-1])
        top = one.top(ps_args="-o pid,comm")
        self.assertEqual(top["Titles"], ["PID", "COMMAND"])
        self.client.containers.create("busybox", "true", name="dead", labels=["rubbish"])
        pruned = self.client.containers.prune(filters={"label": "rubbish"})
        self.assertEqual(len(pruned["ContainersDeleted"]), 1)
        self.assertIn("SpaceReclaimed", pruned)
        self.assertIn("topped", [c.name for c in self.client.containers.list(all=True)])


if __name__ == "__main__":
    unittest.main()
