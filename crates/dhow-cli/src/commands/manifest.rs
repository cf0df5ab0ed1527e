//! `manifest`: lists of images for several platforms, put together here and pushed to a registry.

mod entry;
mod registry;
mod store;

use dhow_oci::{Platform, Reference};

use super::runner;
use crate::command::{Arguments, Command};
use crate::error::{Error, Result};
use crate::session::{Session, all_or};
use dhow_options::flags::{Flag, Kind, Parsed};
use entry::{Entry, List, indented};
use registry::{Found, Registries};
use store::Store;

pub(crate) const COMMAND: Command = Command::group(
    "manifest",
    "Manage Docker image manifests and manifest lists",
    &[&ANNOTATE, &CREATE, &INSPECT, &PUSH, &RM],
);

const INSECURE: Flag = Flag::switch("insecure", "Allow communication with an insecure registry");

const ANNOTATE: Command = Command {
    arguments: Arguments::Exactly(2),
    flags: &[&[
        Flag::text("arch", "Set architecture"),
        Flag::text("os", "Set operating system"),
        Flag::new(
            "os-features",
            Kind::Strings,
            "strings",
            "Set operating system feature",
        ),
        Flag::text("os-version", "Set operating system version"),
        Flag::text("variant", "Set architecture variant"),
    ]],
    ..Command::new(
        "annotate",
        "Add additional information to a local image manifest",
        "[OPTIONS] MANIFEST_LIST MANIFEST",
        runner!(annotate),
    )
};

const CREATE: Command = Command {
    arguments: Arguments::AtLeast(2),
    flags: &[&[
        Flag::switch("amend", "Amend an existing manifest list").short('a'),
        INSECURE,
    ]],
    ..Command::new(
        "create",
        "Create a local manifest list for annotating and pushing to a registry",
        "MANIFEST_LIST MANIFEST [MANIFEST...]",
        runner!(create),
    )
};

const INSPECT: Command = Command {
    arguments: Arguments::Between(1, 2),
    flags: &[&[
        INSECURE,
        Flag::switch(
            "verbose",
            "Output additional info including layers and platform",
        )
        .short('v'),
    ]],
    ..Command::new(
        "inspect",
        "Display an image manifest, or manifest list",
        "[OPTIONS] [MANIFEST_LIST] MANIFEST",
        runner!(inspect),
    )
};

const PUSH: Command = Command {
    arguments: Arguments::Exactly(1),
    flags: &[&[
        Flag::switch("insecure", "Allow push to an insecure registry"),
        Flag::switch("purge", "Remove the local manifest list after push").short('p'),
    ]],
    ..Command::new(
        "push",
        "Push a manifest list to a repository",
        "[OPTIONS] MANIFEST_LIST",
        runner!(push),
    )
};

const RM: Command = Command {
    arguments: Arguments::AtLeast(1),
    ..Command::new(
        "rm",
        "Delete one or more manifest lists from local storage",
        "MANIFEST_LIST [MANIFEST_LIST...]",
        runner!(rm),
    )
};

/// What a list may say an image is for, as Docker has it.
const PLATFORMS: &[(&str, &[&str])] = &[
    ("darwin", &["386", "amd64", "arm", "arm64"]),
    ("dragonfly", &["amd64"]),
    ("freebsd", &["386", "amd64", "arm"]),
    (
        "linux",
        &[
            "386", "amd64", "arm", "arm64", "mips64", "mips64le", "ppc64le", "riscv64", "s390x",
        ],
    ),
    ("netbsd", &["386", "amd64", "arm"]),
    ("openbsd", &["386", "amd64", "arm"]),
    ("plan9", &["386", "amd64"]),
    ("solaris", &["amd64"]),
    ("windows", &["386", "amd64"]),
];

fn is_known(platform: &Platform) -> bool {
    PLATFORMS.iter().any(|(os, architectures)| {
        *os == platform.os && architectures.contains(&platform.architecture.as_str())
    })
}

/// A reference with its tag.
fn reference(text: &str) -> Result<Reference> {
    let reference = Reference::parse(text).map_err(|error| Error::text(error.to_string()))?;
    Ok(reference.with_default_tag())
}

fn missing(what: &Reference) -> Error {
    Error::text(format!("No such manifest: {}", what.canonical()))
}

async fn create(session: &Session, flags: &Parsed) -> Result<()> {
    let (target, names) = flags
        .arguments
        .split_first()
        .ok_or_else(|| Error::text("a list needs a name"))?;
    let target = reference(target)?;
    let store = Store::of(session);
    if store.has(&target) && !flags.switch("amend") {
        let text = "refusing to amend an existing manifest list with no --amend flag";
        return Err(Error::text(text));
    }
    let registries = Registries::new(session, flags.switch("insecure"))?;
    // All of them are looked up before the list changes.
    let mut entries = Vec::new();
    for name in names {
        let image = reference(name)?;
        let entry = match store.entry(&target, &image)? {
            Some(entry) => entry,
            None => match registries.find(&image).await? {
                Found::Image(entry) => *entry,
                Found::List(_) => {
                    return Err(Error::text(format!(
                        "{} is a manifest list",
                        image.canonical()
                    )));
                }
            },
        };
        entries.push((image, entry));
    }
    for (image, entry) in &entries {
        store.save(&target, image, entry)?;
    }
    session.println(&format!("Created manifest list {}", target.canonical()))
}

async fn annotate(session: &Session, flags: &Parsed) -> Result<()> {
    let (target, image) = (reference(flags.argument(0))?, reference(flags.argument(1))?);
    let store = Store::of(session);
    let mut entry = store.entry(&target, &image)?.ok_or_else(|| {
        Error::text(format!(
            "manifest for image {} does not exist in {}",
            flags.argument(1),
            flags.argument(0)
        ))
    })?;
    let platform = entry.descriptor.platform.get_or_insert_with(|| Platform {
        architecture: String::new(),
        os: String::new(),
        os_version: None,
        os_features: Vec::new(),
        variant: None,
    });
    let given = |name: &str| Some(flags.text(name).to_owned()).filter(|text| !text.is_empty());
    if let Some(os) = given("os") {
        platform.os = os;
    }
    if let Some(architecture) = given("arch") {
        platform.architecture = architecture;
    }
    for feature in flags.list("os-features") {
        if !platform.os_features.contains(&feature) {
            platform.os_features.push(feature);
        }
    }
    platform.variant = given("variant").or(platform.variant.take());
    platform.os_version = given("os-version").or(platform.os_version.take());
    if !is_known(platform) {
        return Err(Error::text(format!(
            "manifest entry for image has unsupported os/arch combination: {}/{}",
            flags.text("os"),
            flags.text("arch")
        )));
    }
    store.save(&target, &image, &entry)
}

async fn inspect(session: &Session, flags: &Parsed) -> Result<()> {
    let (store, verbose) = (Store::of(session), flags.switch("verbose"));
    if flags.arguments.len() == 2 {
        let (list, image) = (reference(flags.argument(0))?, reference(flags.argument(1))?);
        let entry = store.entry(&list, &image)?.ok_or_else(|| missing(&image))?;
        return print(session, &entry, verbose);
    }
    let name = reference(flags.argument(0))?;
    let here = store.entries(&name)?;
    if !here.is_empty() {
        return print_list(session, here, verbose);
    }
    let registries = Registries::new(session, flags.switch("insecure"))?;
    match registries.find(&name).await? {
        Found::Image(entry) => print(session, &entry, verbose),
        Found::List(index) => {
            print_list(session, registries.entries(&name, &index).await?, verbose)
        }
    }
}

fn print(session: &Session, entry: &Entry, verbose: bool) -> Result<()> {
    let text = if verbose {
        indented(entry, b"\t")?
    } else {
        indented(&entry.document()?, b"\t")?
    };
    session.println(&text)
}

fn print_list(session: &Session, entries: Vec<Entry>, verbose: bool) -> Result<()> {
    if verbose {
        return session.println(&indented(&entries, b"\t")?);
    }
    session.println(&List::of(&entries).text()?)
}

async fn push(session: &Session, flags: &Parsed) -> Result<()> {
    let target = reference(flags.argument(0))?;
    let store = Store::of(session);
    let entries = store.entries(&target)?;
    if entries.is_empty() {
        return Err(missing(&target));
    }
    let registries = Registries::new(session, flags.switch("insecure"))?;
    for entry in &entries {
        let source = reference(&entry.reference)?;
        if source.domain() != target.domain() {
            return Err(Error::text(format!(
                "cannot use source images from a different registry than the target image: {} != {}",
                source.domain(),
                target.domain()
            )));
        }
        check_platform(entry)?;
    }
    for entry in &entries {
        if let Some(pushed) = registries.copy(entry, &target).await? {
            session.println(&format!(
                "Pushed ref {pushed} with digest: {}",
                entry.descriptor.digest
            ))?;
        }
    }
    let list = List::of(&entries);
    let digest = registries.push_list(&target, &list).await?;
    session.println(&digest.to_string())?;
    if flags.switch("purge") {
        store.remove(&target)?;
    }
    Ok(())
}

fn check_platform(entry: &Entry) -> Result<()> {
    match &entry.descriptor.platform {
        Some(platform) if is_known(platform) => Ok(()),
        platform => {
            let (os, architecture) = platform
                .as_ref()
                .map_or(("", ""), |p| (p.os.as_str(), p.architecture.as_str()));
            Err(Error::text(format!(
                "manifest {} must have an OS and Architecture to be pushed to a registry: {os}/{architecture}",
                entry.reference
            )))
        }
    }
}

async fn rm(session: &Session, flags: &Parsed) -> Result<()> {
    let store = Store::of(session);
    let mut failures = Vec::new();
    for name in &flags.arguments {
        let target = reference(name)?;
        if !store.has(&target) {
            failures.push(missing(&target).to_string());
        } else if let Err(error) = store.remove(&target) {
            failures.push(error.to_string());
        }
    }
    all_or(failures)
}
