//! The Dockerfiles of well-known tutorials, built and run: packages come over the real network.
//!
//! Their base images are not to be had everywhere, so that stand-ins for them are built first, from Debian; packages come
//! from wherever this machine's own tools get theirs.
#![allow(clippy::unwrap_used, reason = "a test that fails here says where")]

use std::io::{Read, Write};
use std::path::Path;

use dhow_testkit::{Cli, Engine, EngineOptions, Output, http::Body, images};

/// Certificates that this machine trusts, for what stands between it and the registries.
const CERTIFICATES: &str = "/etc/ssl/certs/ca-certificates.crt";

/// An engine on the host's network, with Debian.
fn engine(what: &str) -> Option<Engine> {
    if !dhow_testkit::root_or_skip(what) {
        return None;
    }
    let engine = Engine::start_with(EngineOptions {
        host_network: true,
        ..EngineOptions::default()
    });
    let tar = std::fs::read(images::debian_tar()).unwrap();
    let path = "/v1.44/images/create?fromSrc=-&repo=debian&tag=12";
    let body = Body::Bytes("application/x-tar", &tar);
    let answer = engine.client().request("POST", path, body);
    assert_eq!(answer.unwrap().status, 200);
    Some(engine)
}

/// Builds a folder of these files with the official `docker build`.
fn build(engine: &Engine, tag: &str, files: &[(&str, &str)]) -> Output {
    let folder = tempfile::tempdir().unwrap();
    for (name, text) in files {
        let path = folder.path().join(name);
        std::fs::create_dir_all(path.parent().unwrap()).unwrap();
        std::fs::write(path, text).unwrap();
    }
    if Path::new(CERTIFICATES).exists() {
        std::fs::copy(CERTIFICATES, folder.path().join("certificates.crt")).unwrap();
    } else {
        std::fs::write(folder.path().join("certificates.crt"), "").unwrap();
    }
    let mut command = Cli::Docker.command(engine.socket(), engine.home());
    command.env("DOCKER_BUILDKIT", "0");
    command.args(["build", "-t", tag]).arg(folder.path());
    let output = Output::of(&mut command, b"");
    assert_eq!(output.code, 0, "{}\n{}", output.stdout, output.stderr);
    output
}

/// A stand-in for an image that the tutorials begin with.
fn stand_in(engine: &Engine, tag: &str, packages: &str, rest: &str) {
    let dockerfile = format!(
        "FROM debian:12\n\
         COPY certificates.crt /etc/ssl/host.crt\n\
         RUN apt-get update -qq && \\\n    \
         DEBIAN_FRONTEND=noninteractive apt-get install -y -qq --no-install-recommends {packages} >/dev/null && \\\n    \
         rm -rf /var/lib/apt/lists/*\n{rest}"
    );
    let _ = build(engine, tag, &[("Dockerfile", &dockerfile)]);
}

fn run(engine: &Engine, words: &[&str]) -> String {
    Cli::Docker.run(engine, words).ok().to_owned()
}

/// Waits until a container's log says `text`.
fn until(engine: &Engine, container: &str, text: &str) {
    let mut command = Cli::Docker.command(engine.socket(), engine.home());
    command.args(["logs", "-f", container]);
    let (mut reader, writer) = std::io::pipe().unwrap();
    command.stdout(writer.try_clone().unwrap()).stderr(writer);
    let mut logs = command.spawn().unwrap();
    drop(command);
    let mut seen = String::new();
    while !seen.contains(text) {
        let mut buffer = [0; 4096];
        let read = reader.read(&mut buffer).unwrap();
        assert!(read > 0, "{container} ended: {seen}");
        seen.push_str(&String::from_utf8_lossy(&buffer[..read]));
    }
    logs.kill().unwrap();
    logs.wait().unwrap();
}

/// The body of a page.
fn page(engine: &Engine, address: &str) -> String {
    let mut stream = engine.connect(address).unwrap();
    stream
        .write_all(b"GET / HTTP/1.0\r\nHost: localhost\r\n\r\n")
        .unwrap();
    let mut text = String::new();
    stream.read_to_string(&mut text).unwrap();
    text
}

#[test]
fn flask_counts_in_redis() {
    let Some(engine) = engine("Flask with Redis") else {
        return;
    };
    stand_in(
        &engine,
        "python:3",
        "python3 python3-pip",
        "ENV PIP_BREAK_SYSTEM_PACKAGES=1 PIP_ROOT_USER_ACTION=ignore PIP_CERT=/etc/ssl/host.crt\n\
         RUN ln -s python3 /usr/bin/python\n",
    );
    stand_in(
        &engine,
        "redis:alpine",
        "redis-server",
        "CMD [\"redis-server\", \"--bind\", \"0.0.0.0\", \"--protected-mode\", \"no\"]\n",
    );
    let app = "import redis\n\
        from flask import Flask\n\
        app = Flask(__name__)\n\
        cache = redis.Redis(host='redis', port=6379)\n\
        @app.route('/')\n\
        def hello():\n    \
        return 'seen %d times' % cache.incr('hits')\n";
    let dockerfile = "FROM python:3\n\
        WORKDIR /code\n\
        ENV FLASK_APP=app.py\n\
        ENV FLASK_RUN_HOST=0.0.0.0\n\
        COPY requirements.txt requirements.txt\n\
        RUN pip install -r requirements.txt\n\
        EXPOSE 5000\n\
        COPY . .\n\
        CMD [\"python\", \"-m\", \"flask\", \"run\"]\n";
    let files = [
        ("Dockerfile", dockerfile),
        ("requirements.txt", "flask\nredis\n"),
        ("app.py", app),
    ];
    let built = build(&engine, "web", &files);
    assert!(
        built.stdout.contains("Successfully installed"),
        "{}",
        built.stdout
    );
    // A change of the program does not install anything again.
    let changed = app.replace("seen", "visited");
    let files = [files[0], files[1], ("app.py", &changed)];
    let built = build(&engine, "web", &files);
    assert!(
        !built.stdout.contains("Successfully installed"),
        "{}",
        built.stdout
    );
    assert_eq!(
        built.stdout.matches(" ---> Using cache").count(),
        6,
        "{}",
        built.stdout
    );

    run(&engine, &["run", "-d", "--name", "redis", "redis:alpine"]);
    until(&engine, "redis", "Ready to accept connections");
    let port = "127.0.0.1:16500:5000";
    run(
        &engine,
        &[
            "run", "-d", "--link", "redis", "--name", "web", "-p", port, "web",
        ],
    );
    until(&engine, "web", "Running on");
    assert!(page(&engine, "127.0.0.1:16500").ends_with("visited 1 times"));
    assert!(page(&engine, "127.0.0.1:16500").ends_with("visited 2 times"));
}

#[test]
fn node_serves_what_npm_installed() {
    let Some(engine) = engine("Node with a package") else {
        return;
    };
    stand_in(
        &engine,
        "node:18",
        "nodejs npm",
        "ENV NODE_EXTRA_CA_CERTS=/etc/ssl/host.crt npm_config_cafile=/etc/ssl/host.crt\n",
    );
    let package = r#"{"name": "app", "version": "1.0.0", "dependencies": {"ms": "2.1.3"}}"#;
    let server = "const ms = require('ms');\n\
        require('http').createServer((_, answer) => answer.end('two days are ' + ms('2 days')))\n\
        .listen(8080, () => console.log('listening'));\n";
    let dockerfile = "FROM node:18\n\
        WORKDIR /usr/src/app\n\
        COPY package*.json ./\n\
        RUN npm install\n\
        COPY . .\n\
        VOLUME /data\n\
        EXPOSE 8080\n\
        CMD [ \"node\", \"server.js\" ]\n";
    let files = [
        ("Dockerfile", dockerfile),
        ("package.json", package),
        ("server.js", server),
        (".dockerignore", "node_modules\nnpm-debug.log\n"),
    ];
    let _ = build(&engine, "app", &files);
    let port = "127.0.0.1:16508:8080";
    run(
        &engine,
        &["run", "-d", "--init", "--name", "app", "-p", port, "app"],
    );
    until(&engine, "app", "listening");
    assert!(page(&engine, "127.0.0.1:16508").ends_with("two days are 172800000"));
}

#[test]
fn php_is_served_by_apache() {
    let Some(engine) = engine("PHP with Apache") else {
        return;
    };
    stand_in(
        &engine,
        "php:apache",
        "apache2 libapache2-mod-php",
        "RUN rm /var/www/html/index.html && echo 'ServerName localhost' >> /etc/apache2/apache2.conf && \\\n    \
         ln -sf /dev/stderr /var/log/apache2/error.log\n\
         WORKDIR /var/www/html\n\
         EXPOSE 80\n\
         STOPSIGNAL SIGWINCH\n\
         CMD [\"apache2ctl\", \"-D\", \"FOREGROUND\"]\n",
    );
    let dockerfile = "FROM php:apache\nCOPY src/ /var/www/html/\n";
    let files = [
        ("Dockerfile", dockerfile),
        ("src/index.php", "<?php echo 'sum ' . (40 + 2);\n"),
    ];
    let _ = build(&engine, "php", &files);
    let port = "127.0.0.1:16580:80";
    run(&engine, &["run", "-d", "--name", "php", "-p", port, "php"]);
    until(&engine, "php", "resuming normal operations");
    let text = page(&engine, "127.0.0.1:16580");
    assert!(text.ends_with("sum 42"), "{text}");
}

#[test]
fn an_entrypoint_of_installed_tools() {
    let Some(engine) = engine("apt with an entry point") else {
        return;
    };
    let dockerfile = "FROM debian:12\n\
        RUN apt-get update && apt-get install -y --no-install-recommends \\\n        \
        bc \\\n        \
        cowsay \\\n    \
        && rm -rf /var/lib/apt/lists/*\n\
        ENV PATH=$PATH:/usr/games\n\
        ENTRYPOINT [\"bc\", \"-q\"]\n";
    let _ = build(&engine, "calc", &[("Dockerfile", dockerfile)]);
    let output = Cli::Docker.run_with_input(&engine, &["run", "-i", "--rm", "calc"], b"6*7\n");
    assert_eq!(output.ok(), "42");
    let said = run(
        &engine,
        &["run", "--rm", "--entrypoint", "cowsay", "calc", "moo"],
    );
    assert!(said.contains("< moo >"), "{said}");
}
