// Containers with dockerode: hijacked streams, demultiplexing, exec, events, progress, archives, typed errors.
import assert from 'node:assert/strict';
import { PassThrough, Readable } from 'node:stream';
import { buffer, text } from 'node:stream/consumers';
import { after, test } from 'node:test';
import { createRequire } from 'node:module';

const Docker = createRequire(process.env.NODE_FOLDER + '/')('dockerode');
const docker = new Docker();
const registry = process.env.REGISTRY;

after(async () => {
  for (const one of await docker.listContainers({ all: true })) {
    await docker.getContainer(one.Id).remove({ force: true, v: true });
  }
});

/** Splits a multiplexed stream and gives what came on stdout and on stderr. */
async function demux(stream) {
  const out = new PassThrough();
  const err = new PassThrough();
  docker.modem.demuxStream(stream, out, err);
  stream.on('end', () => { out.end(); err.end(); });
  return Promise.all([text(out), text(err)]);
}

/** A running container for the time of one test. */
async function sleeper(t, options = {}) {
  const one = await docker.createContainer({ Image: 'busybox', Cmd: ['sleep', '1000'], ...options });
  t.after(() => one.remove({ force: true, v: true }));
  await one.start();
  return one;
}

function follow(stream) {
  const seen = [];
  return new Promise((resolve, reject) => {
    docker.modem.followProgress(stream, (error, all) => (error ? reject(error) : resolve([all, seen])), (line) => seen.push(line));
  });
}

test('ping, version and info', async () => {
  assert.equal((await docker.ping()).toString(), 'OK');
  const version = await docker.version();
  assert.match(version.ApiVersion, /^1\.\d+$/);
  assert.equal((await docker.info()).OSType, 'linux');
});

test('run copies the output and tells the exit code', async () => {
  const out = new PassThrough();
  const collected = text(out);
  const [result, one] = await docker.run('busybox', ['sh', '-c', 'echo from run; exit 3'], out);
  out.end();
  assert.equal(result.StatusCode, 3);
  assert.equal(await collected, 'from run\r\n');
  await one.remove();
});

test('create, attach, start: a hijacked conversation', async (t) => {
  const one = await docker.createContainer({
    Image: 'busybox', Cmd: ['sh', '-c', 'while read line; do echo "got $line"; echo "err $line" >&2; done'],
    OpenStdin: true, StdinOnce: true, AttachStdin: true, AttachStdout: true, AttachStderr: true, Tty: false,
  });
  t.after(() => one.remove({ force: true }));
  const stream = await one.attach({ stream: true, hijack: true, stdin: true, stdout: true, stderr: true });
  const both = demux(stream);
  await one.start();
  stream.write('first\n');
  stream.write('second\n');
  stream.end();
  assert.deepEqual(await both, ['got first\ngot second\n', 'err first\nerr second\n']);
  assert.equal((await one.wait()).StatusCode, 0);
});

test('a terminal is raw and has a size', async (t) => {
  const one = await docker.createContainer({ Image: 'busybox', Cmd: ['sh'], OpenStdin: true, Tty: true });
  t.after(() => one.remove({ force: true }));
  const stream = await one.attach({ stream: true, hijack: true, stdin: true, stdout: true, stderr: true });
  const output = text(stream);
  await one.start();
  await one.resize({ h: 30, w: 100 });
  stream.write('stty size; exit 5\n');
  assert.match(await output, /30 100\r\n/);
  assert.equal((await one.wait()).StatusCode, 5);
});

test('exec with input, hijacked and not', async (t) => {
  const one = await sleeper(t);
  const exec = await one.exec({ Cmd: ['cat'], AttachStdin: true, AttachStdout: true, AttachStderr: true });
  const stream = await exec.start({ hijack: true, stdin: true });
  const both = demux(stream);
  stream.end('through cat');
  assert.deepEqual(await both, ['through cat', '']);
  assert.equal((await exec.inspect()).ExitCode, 0);

  const plain = await one.exec({ Cmd: ['sh', '-c', 'echo o; echo e >&2; exit 9'], AttachStdout: true, AttachStderr: true });
  assert.deepEqual(await demux(await plain.start({})), ['o\n', 'e\n']);
  const seen = await plain.inspect();
  assert.deepEqual([seen.Running, seen.ExitCode, seen.ContainerID], [false, 9, one.id]);

  const terminal = await one.exec({ Cmd: ['tty'], AttachStdout: true, Tty: true });
  assert.match(await text(await terminal.start({ hijack: true, stdin: true, Tty: true })), /^\/dev\/pts\/\d+\r\n$/);
});

test('logs at once and followed', async (t) => {
  const one = await docker.createContainer({ Image: 'busybox', Cmd: ['sh', '-c', 'echo a; echo b >&2; sleep 0.2; echo c'] });
  t.after(() => one.remove({ force: true }));
  await one.start();
  const [out, err] = await demux(await one.logs({ follow: true, stdout: true, stderr: true }));
  assert.deepEqual([out, err], ['a\nc\n', 'b\n']);
  const last = await one.logs({ stdout: true, tail: 1 });
  assert.equal(last.subarray(8).toString(), 'c\n');
});

test('events are filtered and arrive as they happen', async (t) => {
  const events = await docker.getEvents({ filters: { type: ['container'], event: ['start', 'die'], label: ['of=dockerode'] } });
  const lines = events[Symbol.asyncIterator]();
  const next = async () => JSON.parse((await lines.next()).value.toString());
  const one = await sleeper(t, { Labels: { of: 'dockerode' } });
  const started = await next();
  assert.deepEqual([started.Action, started.Actor.ID], ['start', one.id]);
  await one.kill();
  assert.equal((await next()).Actor.Attributes.exitCode, '137');
  events.destroy();
});

test('inspect, list, top, update, rename, pause, stats', async (t) => {
  const one = await sleeper(t, { name: 'watched', HostConfig: { Memory: 32 << 20 }, Labels: { role: 'seen' } });
  const list = await docker.listContainers({ filters: { label: ['role=seen'] } });
  assert.deepEqual(list.map((c) => [c.Names, c.State]), [[['/watched'], 'running']]);
  assert.equal((await one.inspect()).HostConfig.Memory, 32 << 20);
  assert.equal((await one.top({ ps_args: '-o pid,comm' })).Processes.length, 1);
  await one.update({ Memory: 64 << 20, MemorySwap: 128 << 20 });
  await one.rename({ name: 'renamed' });
  await one.pause();
  const paused = await docker.getContainer('renamed').inspect();
  assert.deepEqual([paused.State.Status, paused.HostConfig.Memory], ['paused', 64 << 20]);
  await one.unpause();
  const stats = await one.stats({ stream: false });
  assert.equal(stats.memory_stats.limit, 64 << 20);
});

test('archives travel both ways', async (t) => {
  const one = await sleeper(t);
  const exec = await one.exec({ Cmd: ['sh', '-c', 'mkdir /from /to; echo carried >/from/file'], AttachStdout: true });
  await text(await exec.start({}));
  const archive = await one.getArchive({ path: '/from' });
  await one.putArchive(archive, { path: '/to' });
  const read = await one.exec({ Cmd: ['cat', '/to/from/file'], AttachStdout: true });
  assert.deepEqual(await demux(await read.start({})), ['carried\n', '']);
  const info = await one.infoArchive({ path: '/to/from/file' });
  info.resume();
  const header = info.headers['x-docker-container-path-stat'];
  assert.equal(JSON.parse(Buffer.from(header, 'base64').toString()).size, 8);
});

test('push and pull are followed', async () => {
  const name = `${registry}/node/box`;
  await docker.getImage('busybox').tag({ repo: name, tag: '1' });
  const [pushed] = await follow(await docker.getImage(`${name}:1`).push({}));
  const { Digest } = pushed.find((line) => line.aux).aux;
  assert.match(Digest, /^sha256:[0-9a-f]{64}$/);
  await docker.getImage(`${name}:1`).remove();
  const [pulled, seen] = await follow(await docker.pull(`${name}:1`));
  assert.equal(pulled.at(-1).status, `Status: Downloaded newer image for ${name}:1`);
  assert.deepEqual(seen, pulled);
  assert.ok((await docker.getImage(`${name}:1`).inspect()).RepoDigests.includes(`${name}@${Digest}`));
  await docker.getImage(`${name}:1`).remove();
  await assert.rejects(docker.pull(`${registry}/node/none:1`), { statusCode: 404 });
  const [failed] = await follow(await docker.getImage(`${registry}/node/none`).push({}));
  assert.match(failed.at(-1).error, /does not exist/);
});

test('save, load, history', async () => {
  await docker.getImage('busybox').tag({ repo: 'carried', tag: '1' });
  const archive = await buffer(await docker.getImage('carried:1').get());
  const [loaded] = await follow(await docker.loadImage(Readable.from([archive])));
  assert.equal(loaded.at(-1).stream, 'Loaded image: carried:1\n');
  assert.equal((await docker.getImage('carried:1').history()).length, 1);
  await docker.getImage('carried:1').remove();
});

test('networks and volumes', async (t) => {
  const network = await docker.createNetwork({ Name: 'node-net', Labels: { a: 'b' } });
  const volume = await docker.createVolume({ Name: 'node-volume' });
  assert.equal(volume.Name ?? volume.name, 'node-volume');
  const one = await sleeper(t, { HostConfig: { Binds: ['node-volume:/data'] } });
  await network.connect({ Container: one.id });
  const seen = await network.inspect();
  assert.deepEqual(Object.keys(seen.Containers), [one.id]);
  await network.disconnect({ Container: one.id, Force: true });
  await network.remove();
  assert.deepEqual(await docker.listNetworks({ filters: { name: ['node-net'] } }), []);
  await assert.rejects(docker.getVolume('node-volume').remove(), { statusCode: 409 });
});

test('errors carry status and text', async () => {
  const missing = await docker.getContainer('nobody').inspect().catch((error) => error);
  assert.deepEqual([missing.statusCode, missing.json.message], [404, 'No such container: nobody']);
  await assert.rejects(docker.createContainer({ Image: 'no-such-image' }), { statusCode: 404 });
  await assert.rejects(docker.createContainer({ Image: 'busybox', HostConfig: { Memory: 1 } }), { statusCode: 400 });
});

test('a wait can be given up', async (t) => {
  const one = await sleeper(t);
  const gave = new AbortController();
  const waiting = one.wait({ abortSignal: gave.signal });
  setImmediate(() => gave.abort());
  await assert.rejects(waiting);
  assert.equal((await one.inspect()).State.Running, true);
});
