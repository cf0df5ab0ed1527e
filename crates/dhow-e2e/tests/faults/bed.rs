//! An engine, a registry with an image, and what goes wrong between them.

use dhow_e2e::Bench;
use dhow_testkit::faults::{Asked, Fault, FaultProxy};
use dhow_testkit::http::{Body, Response};
use dhow_testkit::tokens::base64;
use dhow_testkit::{Cli, Engine, EngineOptions, Registry, RegistryKind, images};

/// How large each layer's file is; random, so that it does not shrink.
const LAYER: usize = 300_000;
/// How many layers there are.
pub(crate) const LAYERS: usize = 4;

/// An address of the engine's host that is no loopback one, and whose plain registries are not trusted.
pub(crate) const STRANGER: &str = "10.254.253.1";

/// See the module.
pub(crate) struct Bed {
    pub(crate) bench: Bench,
    pub(crate) registry: Registry,
    _folder: tempfile::TempDir,
}

impl Bed {
    /// An engine that tells everything in its log; nothing without root.
    pub(crate) fn new() -> Option<Self> {
        if !dhow_testkit::root_or_skip("faults of registries") {
            return None;
        }
        let options = EngineOptions {
            arguments: vec!["--log-level".into(), "debug".into()],
            settings: Some(
                serde_json::json!({ "insecure-registries": [dhow_testkit::HOST_ADDRESS] }),
            ),
            ..EngineOptions::default()
        };
        let engine = Engine::start_with(options);
        let registry = Registry::start_beside(RegistryKind::Plain, engine.pid());
        let folder = tempfile::tempdir().unwrap();
        let layout = folder.path().join("layout");
        make_image(&layout);
        registry.fill(&layout, "team/app:1");
        // An address that nobody said anything about.
        let ip = dhow_testkit::packages::tool("ip", "iproute2");
        let mut add = std::process::Command::new("nsenter");
        add.arg(format!("--net=/proc/{}/ns/net", engine.pid()))
            .arg(ip.path())
            .args(["addr", "add", &format!("{STRANGER}/32"), "dev", "lo"]);
        dhow_testkit::packages::run(&mut add);
        let bench = Bench {
            cli: Cli::Dhow,
            engine,
        };
        Some(Self {
            bench,
            registry,
            _folder: folder,
        })
    }

    /// A proxy before the registry.
    pub(crate) fn proxy(
        &self,
        plan: impl Fn(&Asked) -> Fault + Send + Sync + 'static,
    ) -> FaultProxy {
        FaultProxy::start(Some(self.bench.engine.pid()), &self.registry.host(), plan)
    }

    /// Pulls `HOST/team/app:1` as `user`, a name and a password: how it ended.
    pub(crate) fn pull(&self, host: &str, user: Option<(&str, &str)>) -> Result<(), String> {
        let path = format!("/v1.44/images/create?fromImage={host}/team/app&tag=1");
        outcome(&self.post(&path, user))
    }

    /// Pushes `HOST/NAME:1`, which the engine has: how it ended.
    pub(crate) fn push(
        &self,
        host: &str,
        name: &str,
        user: Option<(&str, &str)>,
    ) -> Result<(), String> {
        let path = format!("/v1.44/images/{host}/{name}/push?tag=1");
        outcome(&self.post(&path, user))
    }

    fn post(&self, path: &str, user: Option<(&str, &str)>) -> Response {
        let mut client = self.bench.engine.client();
        let auth = user.map(|(name, password)| {
            let text = format!(r#"{{"username":"{name}","password":"{password}"}}"#);
            base64(text.as_bytes()).replace('+', "-").replace('/', "_")
        });
        let fields: Vec<(&str, &str)> = auth
            .iter()
            .map(|auth| ("X-Registry-Auth", &**auth))
            .collect();
        client
            .request_with("POST", path, &fields, Body::Empty)
            .unwrap()
    }

    /// The image under `host` is whole, and goes away again.
    #[track_caller]
    pub(crate) fn is_whole(&self, host: &str) {
        self.is_in_order();
        let name = format!("{host}/team/app:1");
        let path = format!("/v1.44/images/{name}/json");
        let image = self.bench.engine.client().get(&path).unwrap();
        assert_eq!(image.status, 200, "{}", image.text());
        let layers = image.json()["RootFS"]["Layers"].as_array().map(Vec::len);
        assert_eq!(layers, Some(LAYERS + 1));
        let _ = self.bench.words_ok(&["rmi", &name]);
    }

    /// What is stored is what it should be.
    #[track_caller]
    pub(crate) fn is_in_order(&self) {
        let report = self.bench.ok("system fsck --deep");
        assert_eq!(report, "everything is in order");
    }

    /// There is no image.
    #[track_caller]
    pub(crate) fn has_nothing(&self) {
        assert_eq!(self.bench.ok("images -qa"), "");
        self.is_in_order();
    }

    /// Nothing of `secrets` stands in the engine's log.
    #[track_caller]
    pub(crate) fn kept_quiet(&self, secrets: &[&str]) {
        let log = self.bench.engine.log();
        for secret in secrets {
            assert!(!log.contains(secret), "{secret} is in the log:\n{log}");
        }
    }
}

/// One error, told once, or none.
fn outcome(answer: &Response) -> Result<(), String> {
    let text = answer.text();
    if answer.status != 200 {
        return Err(text);
    }
    let errors: Vec<&str> = text
        .lines()
        .filter(|line| line.contains("\"error\""))
        .collect();
    match errors.as_slice() {
        [] => Ok(()),
        [error] => Err((*error).to_owned()),
        _ => panic!("more than one error: {text}"),
    }
}

/// Busybox with some layers of random files on it.
fn make_image(layout: &std::path::Path) {
    let busybox = std::fs::read(images::busybox_tar()).unwrap();
    let mut image = images::Layout::new(layout).layer(&busybox);
    for number in 0..LAYERS {
        let bytes = noise(u64::try_from(number).unwrap() + 1);
        let mut layer = tar::Builder::new(Vec::new());
        let mut header = tar::Header::new_gnu();
        header.set_size(bytes.len() as u64);
        header.set_mode(0o644);
        let name = format!("data{number}");
        layer
            .append_data(&mut header, name, bytes.as_slice())
            .unwrap();
        image = image.layer(&layer.into_inner().unwrap());
    }
    image.finish("app:1");
}

fn noise(seed: u64) -> Vec<u8> {
    let mut random = dhow_testkit::fuzz::Random::new(seed);
    (0..LAYER / 8)
        .flat_map(|_| random.number().to_le_bytes())
        .collect()
}
