//! What devices of vendors (CDI) change in the document.

use dhow_oci::runtime::{Hook, HookBuilder, Hooks, Mount, Spec};

use crate::cdi;
use crate::spec::Invalid;

/// Puts the variables, mounts and hooks of devices into the document. Their nodes come with the other devices, their
/// groups with those that are looked up in the container.
pub(super) fn apply(spec: &mut Spec, edits: &cdi::Edits) -> Result<(), Invalid> {
    if let Some(process) = spec.process_mut() {
        let mut env = process.env().clone().unwrap_or_default();
        super::process::override_with(&mut env, &edits.env);
        process.set_env(Some(env));
    }
    let mut mounts = spec.mounts().clone().unwrap_or_default();
    mounts.extend(edits.mounts.iter().map(mount));
    spec.set_mounts(Some(mounts));
    if !edits.hooks.is_empty() {
        let mut hooks = spec.hooks().clone().unwrap_or_default();
        for wish in &edits.hooks {
            add(&mut hooks, &wish.hook_name, hook(wish)?);
        }
        spec.set_hooks(Some(hooks));
    }
    Ok(())
}

fn mount(wish: &cdi::Mount) -> Mount {
    let kind = if wish.kind.is_empty() {
        "bind"
    } else {
        &wish.kind
    };
    let mut mount = Mount::default();
    mount
        .set_destination(wish.container_path.clone())
        .set_source(Some(wish.host_path.clone()))
        .set_typ(Some(kind.to_owned()))
        .set_options(Some(wish.options.clone()));
    mount
}

fn hook(wish: &cdi::Hook) -> Result<Hook, Invalid> {
    let list = |list: &Vec<String>| (!list.is_empty()).then(|| list.clone());
    let mut hook = HookBuilder::default()
        .path(&wish.path)
        .build()
        .map_err(|error| Invalid(error.to_string()))?;
    hook.set_args(list(&wish.args))
        .set_env(list(&wish.env))
        .set_timeout(wish.timeout);
    Ok(hook)
}

fn add(hooks: &mut Hooks, kind: &str, hook: Hook) {
    #[allow(deprecated, reason = "specifications of devices may still name it")]
    let list = match kind {
        "prestart" => hooks.prestart_mut(),
        "createRuntime" => hooks.create_runtime_mut(),
        "createContainer" => hooks.create_container_mut(),
        "startContainer" => hooks.start_container_mut(),
        "poststart" => hooks.poststart_mut(),
        _ => hooks.poststop_mut(),
    };
    list.get_or_insert_default().push(hook);
}
