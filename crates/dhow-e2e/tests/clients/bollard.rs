//! bollard, Rust's client.

use bollard::Docker;
use bollard::container::LogOutput;
use bollard::errors::Error;
use bollard::exec::{CreateExecOptions, StartExecResults};
use bollard::models::{ContainerCreateBody, HostConfig};
use bollard::query_parameters::{
    AttachContainerOptionsBuilder, CreateContainerOptionsBuilder, EventsOptionsBuilder,
    ListContainersOptionsBuilder, LogsOptionsBuilder, RemoveContainerOptionsBuilder,
    StatsOptionsBuilder, WaitContainerOptionsBuilder,
};
use dhow_e2e::Bench;
use dhow_testkit::Cli;
use futures::{StreamExt, TryStreamExt};
use std::collections::HashMap;
use tokio::io::AsyncWriteExt;

fn words(line: &str) -> Option<Vec<String>> {
    Some(line.split(' ').map(str::to_owned).collect())
}

fn shell(script: &str) -> Option<Vec<String>> {
    Some(["sh", "-c", script].map(str::to_owned).to_vec())
}

/// Creates a busybox container of that name.
async fn create(docker: &Docker, name: &str, body: ContainerCreateBody) -> String {
    let options = CreateContainerOptionsBuilder::default().name(name).build();
    let body = ContainerCreateBody {
        image: Some("busybox".to_owned()),
        ..body
    };
    docker
        .create_container(Some(options), body)
        .await
        .unwrap()
        .id
}

/// What came on stdout and on stderr.
async fn split(output: impl futures::Stream<Item = Result<LogOutput, Error>>) -> (String, String) {
    let parts: Vec<LogOutput> = output.try_collect().await.unwrap();
    let mut texts = (String::new(), String::new());
    for part in parts {
        match part {
            LogOutput::StdErr { message } => texts.1 += std::str::from_utf8(&message).unwrap(),
            other => texts.0 += std::str::from_utf8(&other.into_bytes()).unwrap(),
        }
    }
    texts
}

fn status(error: &Error) -> (u16, &str) {
    match error {
        Error::DockerResponseServerError {
            status_code,
            message,
        } => (*status_code, message),
        other => panic!("no answer of the engine: {other}"),
    }
}

#[test]
fn bollard() {
    if !dhow_testkit::root_or_skip("bollard") {
        return;
    }
    let bench = Bench::new(Cli::Dhow);
    let path = bench.engine.socket().display().to_string();
    let runtime = tokio::runtime::Runtime::new().unwrap();
    runtime.block_on(async {
        let docker = Docker::connect_with_unix(&path, 30, bollard::API_DEFAULT_VERSION).unwrap();
        let docker = docker.negotiate_version().await.unwrap();
        lives(&docker).await;
        converses(&docker).await;
        watches(&docker).await;
        carries(&docker).await;
    });
}

async fn lives(docker: &Docker) {
    let body = ContainerCreateBody {
        cmd: shell("echo out; echo err >&2; exit 4"),
        ..Default::default()
    };
    let id = create(docker, "lives", body).await;
    docker.start_container(&id, None).await.unwrap();
    let options = WaitContainerOptionsBuilder::default()
        .condition("not-running")
        .build();
    let waited: Vec<_> = docker.wait_container(&id, Some(options)).collect().await;
    // bollard tells of a bad exit code as an error.
    match &waited[..] {
        [Err(Error::DockerContainerWaitError { code, .. })] => assert_eq!(*code, 4),
        other => panic!("{other:?}"),
    }
    let options = LogsOptionsBuilder::default()
        .stdout(true)
        .stderr(true)
        .build();
    let logs = split(docker.logs(&id, Some(options))).await;
    assert_eq!(logs, ("out\n".to_owned(), "err\n".to_owned()));
    let taken = CreateContainerOptionsBuilder::default()
        .name("lives")
        .build();
    let body = ContainerCreateBody {
        image: Some("busybox".to_owned()),
        ..Default::default()
    };
    let conflict = docker
        .create_container(Some(taken), body)
        .await
        .unwrap_err();
    assert_eq!(status(&conflict).0, 409);
    docker.remove_container(&id, None).await.unwrap();
    let missing = docker.inspect_container("lives", None).await.unwrap_err();
    assert_eq!(status(&missing), (404, "No such container: lives"));
}

async fn converses(docker: &Docker) {
    let body = ContainerCreateBody {
        cmd: words("cat"),
        open_stdin: Some(true),
        stdin_once: Some(true),
        attach_stdin: Some(true),
        ..Default::default()
    };
    let id = create(docker, "converses", body).await;
    let options = AttachContainerOptionsBuilder::default()
        .stdin(true)
        .stdout(true)
        .stream(true)
        .build();
    let mut attached = docker.attach_container(&id, Some(options)).await.unwrap();
    docker.start_container(&id, None).await.unwrap();
    attached.input.write_all(b"there and back\n").await.unwrap();
    let first = attached.output.next().await.unwrap().unwrap();
    assert_eq!(first.into_bytes(), "there and back\n");
    let exec = CreateExecOptions {
        attach_stdin: Some(true),
        attach_stdout: Some(true),
        attach_stderr: Some(true),
        cmd: Some(vec!["sh", "-c", "read x; echo $x; echo e >&2; exit 6"]),
        ..Default::default()
    };
    let exec = docker.create_exec(&id, exec).await.unwrap().id;
    let StartExecResults::Attached { output, mut input } =
        docker.start_exec(&exec, None).await.unwrap()
    else {
        panic!("the exec is attached");
    };
    input.write_all(b"asked\n").await.unwrap();
    assert_eq!(
        split(output).await,
        ("asked\n".to_owned(), "e\n".to_owned())
    );
    assert_eq!(docker.inspect_exec(&exec).await.unwrap().exit_code, Some(6));
    attached.input.shutdown().await.unwrap();
    let waited: Vec<_> = docker
        .wait_container(&id, None)
        .try_collect()
        .await
        .unwrap();
    assert_eq!(waited[0].status_code, 0);
    docker.remove_container(&id, None).await.unwrap();
}

async fn watches(docker: &Docker) {
    let filters = HashMap::from([("type", vec!["container"]), ("event", vec!["start", "die"])]);
    let options = EventsOptionsBuilder::default().filters(&filters).build();
    let mut events = docker.events(Some(options)).boxed();
    // The stream is asked for when it is first polled; the start is seen whichever comes first.
    let body = ContainerCreateBody {
        cmd: words("sleep 1000"),
        labels: Some(HashMap::from([("of".to_owned(), "bollard".to_owned())])),
        host_config: Some(HostConfig {
            memory: Some(32 << 20),
            ..Default::default()
        }),
        ..Default::default()
    };
    let id = create(docker, "watched", body).await;
    let (event, started) = futures::join!(events.next(), docker.start_container(&id, None));
    started.unwrap();
    assert_eq!(event.unwrap().unwrap().action.as_deref(), Some("start"));
    let filters = HashMap::from([("label", vec!["of=bollard"])]);
    let options = ListContainersOptionsBuilder::default()
        .filters(&filters)
        .build();
    let list = docker.list_containers(Some(options)).await.unwrap();
    assert_eq!(list.len(), 1);
    let options = StatsOptionsBuilder::default().stream(false).build();
    let stats = docker
        .stats(&id, Some(options))
        .next()
        .await
        .unwrap()
        .unwrap();
    assert_eq!(stats.memory_stats.unwrap().limit, Some(32 << 20));
    let options = RemoveContainerOptionsBuilder::default().force(true).build();
    docker.remove_container(&id, Some(options)).await.unwrap();
    let died = events.next().await.unwrap().unwrap();
    assert_eq!(died.actor.unwrap().attributes.unwrap()["exitCode"], "137");
}

async fn carries(docker: &Docker) {
    let body = ContainerCreateBody {
        cmd: words("true"),
        ..Default::default()
    };
    let id = create(docker, "carries", body).await;
    let exported: usize = docker
        .export_container(&id)
        .try_fold(0, async |sum, part| Ok(sum + part.len()))
        .await
        .unwrap();
    assert!(exported > 1 << 20, "{exported}");
    docker.remove_container(&id, None).await.unwrap();
    let saved: Vec<_> = docker.export_image("busybox").try_collect().await.unwrap();
    assert!(saved.iter().map(|part| part.len()).sum::<usize>() > 1 << 20);
}
