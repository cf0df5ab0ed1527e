//! Making a container: everything validated first, every step with its undoing, one transaction at the end.

use std::collections::BTreeMap;
use std::fs::DirBuilder;
use std::os::unix::fs::DirBuilderExt;
use std::path::Path;
use std::sync::Arc;

use dhow_image::Image;
use dhow_metadata::Transaction;
use jiff::Timestamp;

use super::{Undo, links, log, mounts, report};
use crate::container::{ContainerRecord, Created, ImageRef, MountPoint, State};
use crate::services::Services;
use crate::store::{Container, Undertaking};
use crate::{Error, Result, host, names};
use dhow_container::mount::Wanted;
use dhow_container::oci;
use dhow_container::spec::Invalid;
use dhow_container::spec::validate::{self, Facts};
use dhow_container::spec::{
    CgroupnsMode, ContainerConfig, CreateContainer, EndpointSettings, HostConfig, IpcMode,
    NetworkMode, UtsMode, merge, storage_size,
};

/// Makes a container of a request. Blocking.
pub(crate) fn create(services: &Services, request: CreateContainer) -> Result<Created> {
    let runtimes = services.runtime_names();
    let facts = Facts {
        cpus: host::machine::cpus(),
        memory_nodes: &host::machine::memory_nodes(),
        apparmor: host::machine::has_apparmor(),
        quotas: services.snapshots.has_quotas(),
        runtimes: &runtimes,
    };
    let name = request.name.as_deref().filter(|name| !name.is_empty());
    let name = name.map(validate::name).transpose()?.map(str::to_owned);
    let warnings = validate::create(&request, &facts)?;
    let host = complete(services, request.host)?;
    let links = links::resolve(services, &host)?;
    let wanted = dhow_container::mount::wanted(&host, inherited(services, &host)?)?;
    mounts::check(&wanted)?;
    mounts::check_images(services, &wanted)?;
    host::devices::look_up(&host.resources.devices)?;

    let image = services
        .images
        .resolve(&request.config.image, request.platform.as_ref())?;
    let config = merge::with_image(request.config, &image.config.config)?;
    validate::restart_check(&host.restart_policy, &config)?;
    let chain = services.images.unpack(&image)?;
    let origin = ImageRef {
        id: image.id,
        chain,
        os: if image.config.os.is_empty() {
            "linux".into()
        } else {
            image.config.os.clone()
        },
        manifest: Some(described(&image)),
    };
    let mut draft = draft(services, origin, config, host);
    draft.links = links;
    draft.networks = endpoints(services, &draft, request.networking)?;
    let record = make(services, draft, name, wanted)?;
    let container = Arc::new(Container::new(record));
    let record = container.record();
    services.containers.insert(container);
    services.tell(&record, "create");
    Ok(Created {
        id: record.id.clone(),
        warnings,
    })
}

/// Takes the name, makes the volumes, the snapshot and the folder, and writes the record.
fn make(
    services: &Services,
    mut record: ContainerRecord,
    name: Option<String>,
    wanted: Vec<Wanted>,
) -> Result<ContainerRecord> {
    let id = record.id.clone();
    let folder = services.folder(&id);
    let mut undo = Undo::default();
    let take = |name: &str| services.containers.take_name(name, &id);
    record.name = match name {
        Some(name) => take(&name).map(|()| name)?,
        None => names::generate(take)?,
    };
    let (name, owner) = (record.name.clone(), id.clone());
    undo.push(move || services.containers.free_name(&name, &owner));
    record.mounts = mounts::make(services, &record, wanted, &mut undo)?;
    mounts::hold_images(services, &mut record, &mut undo)?;
    services
        .snapshots
        .prepare(&id, record.image.chain.as_ref())?;
    undo.push(|| report("remove snapshot", services.snapshots.remove(&id)));
    // That it can be limited was seen before.
    if let Some(limit) = storage_size(&record.host.storage_opt, true)? {
        services.snapshots.limit(&id, limit)?;
    }
    mounts::populate(services, &id, &record.mounts)?;
    make_folder(&folder)?;
    undo.push(|| report("remove folder", std::fs::remove_dir_all(&folder)));
    services.db.write(|tx| commit(tx, &record))?;
    undo.keep();
    Ok(record)
}

fn commit(tx: &Transaction<'_>, record: &ContainerRecord) -> Result<()> {
    tx.insert(&record.id, record)?;
    tx.delete::<Undertaking>(&record.id)?;
    Ok(())
}

/// The manifest that was chosen, with its platform, as Docker shows it.
fn described(image: &Image) -> dhow_oci::Descriptor {
    let mut manifest = image.manifest.clone();
    manifest
        .platform
        .get_or_insert_with(|| image.config.platform());
    manifest
}

/// A record without name, mounts and networks.
fn draft(
    services: &Services,
    image: ImageRef,
    mut config: ContainerConfig,
    host: HostConfig,
) -> ContainerRecord {
    let id = new_id();
    if host.uts_mode == UtsMode::Host
        || host.network_mode == NetworkMode::Host && config.hostname.is_empty()
    {
        config.hostname = host::machine::name();
    } else if let NetworkMode::Container(other) = &host.network_mode {
        // Whose address and `hosts` it shares, whose name it has.
        if let Ok(other) = services.find(other) {
            let other = other.record();
            config.hostname.clone_from(&other.config.hostname);
            config.domainname.clone_from(&other.config.domainname);
        }
    } else if config.hostname.is_empty() {
        config.hostname = id.get(..12).unwrap_or_default().to_owned();
    }
    let (path, args) = merge::path(&config).unwrap_or_default();
    let bounded = services.config.defaults.bounded_logs;
    let log = log::config(&services.folder(&id), &id, &host, bounded);
    ContainerRecord {
        id,
        name: String::new(),
        created: Timestamp::now(),
        path,
        args,
        image,
        config,
        host,
        networks: BTreeMap::new(),
        ports: BTreeMap::new(),
        mounts: Vec::new(),
        links: Vec::new(),
        log,
        state: State::default(),
        restart_count: 0,
        manually_stopped: false,
        started_before: false,
    }
}

/// Fills in the engine's defaults.
fn complete(services: &Services, mut host: HostConfig) -> Result<HostConfig> {
    let defaults = &services.config.defaults;
    if host.network_mode == NetworkMode::Default {
        host.network_mode = NetworkMode::Bridge;
    }
    if host.ipc_mode == IpcMode::Default {
        host.ipc_mode = defaults.ipc_mode.clone();
    }
    if host.cgroupns_mode == CgroupnsMode::Default {
        host.cgroupns_mode = match defaults.cgroupns_mode {
            CgroupnsMode::Default if host.privileged || !host::machine::has_cgroup_v2() => {
                CgroupnsMode::Host
            }
            CgroupnsMode::Default => CgroupnsMode::Private,
            mode => mode,
        };
    }
    if host.shm_size == 0 {
        host.shm_size = defaults.shm_size;
    }
    if host.runtime.is_empty() {
        host.runtime.clone_from(&services.config.default_runtime);
    }
    let limits = &mut host.resources;
    if limits.memory > 0 && limits.memory_swap == 0 {
        limits.memory_swap = limits.memory.saturating_mul(2);
    }
    limits.oom_kill_disable.get_or_insert(false);
    if host.privileged {
        host.masked_paths.get_or_insert_default();
        host.readonly_paths.get_or_insert_default();
    }
    host.masked_paths.get_or_insert_with(oci::masked_paths);
    host.readonly_paths.get_or_insert_with(oci::readonly_paths);
    host.log = log::wished(&host.log, &defaults.log);
    dhow_logging::validate(&host.log.driver, &host.log.options)?;
    Ok(host)
}

/// The mounts of the containers named by `--volumes-from`.
fn inherited(services: &Services, host: &HostConfig) -> Result<Vec<MountPoint>> {
    let mut list = Vec::new();
    for text in &host.volumes_from {
        let (name, mode) = text.split_once(':').unwrap_or((text, "rw"));
        if !mode
            .split(',')
            .all(|option| matches!(option, "rw" | "ro" | "z" | "Z"))
        {
            return Err(Error::Invalid(Invalid(format!("invalid mode: {mode}"))));
        }
        let readonly = mode.split(',').any(|option| option == "ro");
        // That the container is not there is no reason to look for the image elsewhere, which clients do after a 404.
        let other = services
            .find(name)
            .map_err(|error| Error::Invalid(Invalid(error.to_string())))?;
        for point in &other.record().mounts {
            let mut point = point.clone();
            point.rw &= !readonly;
            point.anonymous = false;
            point.copy = false;
            list.push(point);
        }
    }
    Ok(list)
}

/// The container's endpoints, by the networks' names where they exist already.
fn endpoints(
    services: &Services,
    record: &ContainerRecord,
    wishes: BTreeMap<String, EndpointSettings>,
) -> Result<BTreeMap<String, EndpointSettings>> {
    let Some(first) = record.host.network_mode.network() else {
        return Ok(BTreeMap::new());
    };
    if record.config.network_disabled {
        return Ok(BTreeMap::new());
    }
    let name = |wanted: &str| {
        services
            .networks
            .get(wanted)
            .map_or(wanted.to_owned(), |network| network.name)
    };
    let mut networks = BTreeMap::from([(name(first), EndpointSettings::default())]);
    for (network, wish) in wishes {
        let network = if network == "default" {
            name(first)
        } else {
            name(&network)
        };
        if let Ok(known) = services.networks.get(&network) {
            super::wish::check(&known, &wish).map_err(|error| {
                Invalid(format!("invalid config for network {network}: {error}"))
            })?;
        }
        networks.insert(network, wish);
    }
    Ok(networks)
}

/// Makes a folder that only we may look into.
pub(crate) fn make_folder(path: &Path) -> Result<()> {
    DirBuilder::new()
        .recursive(true)
        .mode(0o710)
        .create(path)
        .map_err(|source| Error::File {
            action: "make folder",
            path: path.to_owned(),
            source,
        })
}

/// 64 random hexadecimal digits that are no number, so that no prefix of it is taken for one.
pub fn new_id() -> String {
    loop {
        let mut bytes = [0_u8; 32];
        if getrandom::fill(&mut bytes).is_err() {
            // Without random numbers the time and the process must do; ids must differ, not be secret.
            let now = Timestamp::now().as_nanosecond().to_le_bytes();
            bytes[..16].copy_from_slice(&now);
            bytes[16..20].copy_from_slice(&std::process::id().to_le_bytes());
        }
        let id = hex(&bytes);
        if id
            .get(..12)
            .is_some_and(|short| short.bytes().any(|byte| byte.is_ascii_alphabetic()))
        {
            return id;
        }
    }
}

fn hex(bytes: &[u8]) -> String {
    use std::fmt::Write;
    bytes
        .iter()
        .fold(String::with_capacity(64), |mut text, byte| {
            let _ = write!(text, "{byte:02x}");
            text
        })
}
