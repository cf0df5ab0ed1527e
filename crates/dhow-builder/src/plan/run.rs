//! `RUN`.

use dhow_dockerfile::{
    CommandLine, Device, Expander, Heredoc, Mount, MountKind, MountSharing, Network, Run, Security,
};

use crate::graph::{MountSource, Op, RunMount, RunOp, Vertex, VertexId};
use crate::plan::copy::From;
use crate::plan::drawing::Drawing;
use crate::plan::environment::proxies;
use crate::plan::path::{absolute, base};
use crate::plan::problem::Problem;
use crate::plan::state::{State, Step, Titles, told};
use crate::request::Options;

/// Where the files of a command's mounts come from, in their order.
pub(crate) type Origins = Vec<From>;

/// Draws a `RUN`.
pub(crate) fn run(
    run: &Run,
    origins: &Origins,
    options: &Options,
    step: &Step<'_>,
    state: &mut State,
    (drawing, titles): (&mut Drawing, &mut Titles),
) -> Result<(), Problem> {
    let line = line(&run.command, step.original, state)?;
    let expander = Expander {
        lexer: step.lexer,
        variables: &state.environment,
    };
    let network = match run.network {
        Network::Default => options.network,
        other => other,
    };
    let mut devices = Vec::new();
    for device in &run.devices {
        let device = Device::parse(device, &expander)?;
        devices.push((device.name, device.required));
    }
    let mut inputs = vec![state.root];
    let mut mounts = Vec::new();
    for (position, (text, from)) in run.mounts.iter().zip(origins).enumerate() {
        let mount = Mount::parse(text, &expander)?;
        let mounted = Mounted {
            mount,
            position,
            from: *from,
            namespace: options.arguments.get("BUILDKIT_CACHE_MOUNT_NS"),
        };
        mounts.push(mounted.draw(state, &mut inputs, drawing)?);
    }
    let op = RunOp {
        args: line.args.clone(),
        env: state.environment.lines(),
        unkeyed_env: proxies(&options.arguments),
        working_dir: state.directory().to_owned(),
        user: state.image.config.user.clone(),
        mounts,
        network,
        security: run.security,
        devices,
        files: line.files,
        limits: options.limits.clone(),
    };
    check_entitlements(&op, options)?;
    let lexer = step.lexer.keeping_quotes().keeping_unset();
    let title = titles.next(&told(&line.told, &state.environment, &lexer));
    state.root = drawing.add(Vertex {
        op: Op::Run(Box::new(op)),
        inputs,
        name: title,
        platform: state.platform.clone(),
        no_cache: step.no_cache,
        lines: Some(step.lines),
    });
    let noted = noted(&line.args, state);
    state.note(format!("RUN {noted} # buildkit"), true);
    Ok(())
}

/// A command as it is run.
struct Line {
    args: Vec<String>,
    files: Vec<(String, Vec<u8>)>,
    /// As people are told.
    told: String,
}

/// Where here-scripts are while they run.
const SCRIPTS: &str = "/dev/pipes/";

fn line(command: &CommandLine, original: &str, state: &State) -> Result<Line, Problem> {
    let mut told = original.to_owned();
    let mut files = Vec::new();
    let Some(first) = command.heredocs.first() else {
        let args = state.command(command);
        return Ok(Line { args, files, told });
    };
    let [written] = command.words.as_slice() else {
        return Err("parsing produced an invalid run command".into());
    };
    let text = match Heredoc::of_word(written) {
        // Only a heredoc: its text is the script.
        Some(_) => {
            let script = first.text();
            told.push_str(&format!(" ({})", summary(&script)));
            if first.content.starts_with("#!") {
                let path = format!("{SCRIPTS}{}", first.name);
                files.push((path.clone(), script.into_bytes()));
                path
            } else {
                script
            }
        }
        // The shell reads them.
        None => {
            let mut full = written.clone();
            for doc in &command.heredocs {
                full.push('\n');
                full.push_str(&doc.content);
                full.push_str(&doc.name);
            }
            full
        }
    };
    let args = state.with_shell(&text);
    Ok(Line { args, files, told })
}

/// The first line of a script, with dots if there are more.
fn summary(script: &str) -> String {
    let lines: Vec<&str> = script.trim().split('\n').collect();
    match lines.as_slice() {
        [] => String::new(),
        [only] => (*only).to_owned(),
        [first, ..] => format!("{first}..."),
    }
}

/// What the history says: the arguments that were declared, then the command.
fn noted(args: &[String], state: &State) -> String {
    let mut declared: Vec<(&str, String)> = Vec::new();
    for (name, value) in &state.arguments {
        let value = state.environment.value(name).unwrap_or(value);
        let line = format!("{name}={value}");
        match declared.iter_mut().find(|(known, _)| known == name) {
            Some((_, old)) => *old = line,
            None => declared.push((name, line)),
        }
    }
    let mut words = Vec::new();
    if !declared.is_empty() {
        words.push(format!("|{}", declared.len()));
    }
    words.extend(declared.into_iter().map(|(_, line)| line));
    words.extend(args.iter().cloned());
    words.join(" ")
}

/// What a command asks for must have been allowed.
fn check_entitlements(op: &RunOp, options: &Options) -> Result<(), Problem> {
    let needed = [
        ("network.host", op.network == Network::Host),
        ("security.insecure", op.security == Security::Insecure),
        ("device", op.devices.iter().any(|(_, required)| *required)),
    ];
    for (name, needs) in needed {
        let allowed = |entitlement: &String| {
            entitlement == name || entitlement.starts_with(&format!("{name}="))
        };
        if needs && !options.entitlements.iter().any(allowed) {
            return Err(Problem {
                hint: Some(format!("allow it with --allow {name}")),
                ..Problem::new(format!("failed to load LLB: {name} is not allowed"))
            });
        }
    }
    Ok(())
}

/// One `--mount`.
struct Mounted<'a> {
    mount: Mount,
    position: usize,
    from: From,
    namespace: Option<&'a String>,
}

impl Mounted<'_> {
    fn draw(
        &self,
        state: &State,
        inputs: &mut Vec<VertexId>,
        drawing: &mut Drawing,
    ) -> Result<RunMount, Problem> {
        let mount = &self.mount;
        let mut target = mount.target.clone();
        let source = match mount.kind {
            MountKind::Bind => {
                let (input, path) = self.origin(inputs, drawing);
                MountSource::Bind { input, path }
            }
            MountKind::Cache => self.cache(inputs, drawing),
            MountKind::Tmpfs => MountSource::Tmpfs {
                size: Some(mount.size).filter(|size| *size > 0),
            },
            MountKind::Secret => self.secret(&mut target)?,
            MountKind::Ssh => {
                if target.is_empty() {
                    target = format!("/run/buildkit/ssh_agent.{}", self.position);
                }
                MountSource::Ssh {
                    id: match mount.id.as_str() {
                        "" => "default".to_owned(),
                        id => id.to_owned(),
                    },
                    required: mount.required,
                    mode: mount.mode.unwrap_or(0o600),
                    uid: mount.uid.unwrap_or(0),
                    gid: mount.gid.unwrap_or(0),
                }
            }
        };
        let target = absolute(state.directory(), &target);
        let target = match target.trim_end_matches('/') {
            "" => return Err("invalid mount target \"/\"".into()),
            target => target.to_owned(),
        };
        Ok(RunMount {
            target,
            read_only: mount.read_only,
            source,
        })
    }

    /// The position of the input, and the path within it.
    fn origin(&self, inputs: &mut Vec<VertexId>, drawing: &mut Drawing) -> (usize, String) {
        let path = absolute("/", &self.mount.source);
        drawing.uses(self.from.vertex, &path);
        let found = inputs.iter().position(|id| *id == self.from.vertex);
        let input = found.unwrap_or_else(|| {
            inputs.push(self.from.vertex);
            inputs.len() - 1
        });
        (input, path)
    }

    fn cache(&self, inputs: &mut Vec<VertexId>, drawing: &mut Drawing) -> MountSource {
        let mount = &self.mount;
        let id = match mount.id.as_str() {
            "" => mount.target.clone(),
            id => id.to_owned(),
        };
        MountSource::Cache {
            id: match self.namespace {
                Some(namespace) => format!("{namespace}/{id}"),
                None => id,
            },
            sharing: mount.sharing.unwrap_or(MountSharing::Shared),
            from: mount.from.as_ref().map(|_| self.origin(inputs, drawing)),
            mode: mount.mode.unwrap_or(0o755),
            uid: mount.uid.unwrap_or(0),
            gid: mount.gid.unwrap_or(0),
        }
    }

    fn secret(&self, target: &mut String) -> Result<MountSource, Problem> {
        let mount = &self.mount;
        let mut id = match mount.source.as_str() {
            "" => mount.id.clone(),
            source => source.to_owned(),
        };
        if id.is_empty() {
            if target.is_empty() {
                return Err("one of source, target required".into());
            }
            base(target).clone_into(&mut id);
        }
        let file = !target.is_empty() || mount.env.is_none();
        if target.is_empty() {
            *target = format!("/run/secrets/{}", base(&id));
        }
        Ok(MountSource::Secret {
            id,
            env: mount.env.clone(),
            file,
            required: mount.required,
            mode: mount.mode.unwrap_or(0o400),
            uid: mount.uid.unwrap_or(0),
            gid: mount.gid.unwrap_or(0),
        })
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn scripts_are_summed_up() {
        assert_eq!(summary("a\nb\n"), "a...");
        assert_eq!(summary("a\n"), "a");
    }
}
