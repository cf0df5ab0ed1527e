//! A planned configuration and a root become an image's configuration: pure.

use dhow_oci::{History, ImageConfig, Platform};

use crate::plan::{Plan, Target};
use crate::result::{Layer, Root};

/// What BuildKit's exporter notes of layers that no instruction accounts for.
const COMMENT: &str = "buildkit.exporter.image.v0";

/// One platform's image.
#[derive(Debug, Clone, PartialEq)]
pub(super) struct Composed {
    /// Its platform.
    pub(super) platform: Platform,
    /// Its configuration, whole.
    pub(super) config: ImageConfig,
    /// Its layers, lowest first.
    pub(super) layers: Vec<Layer>,
    /// How many of them are the base image's.
    pub(super) inherited: usize,
}

/// The images of all targets.
pub(super) fn compose(plan: &Plan, roots: &[Root]) -> Vec<Composed> {
    let targets = plan.targets.iter().zip(roots);
    targets
        .map(|(target, root)| Composed {
            platform: target.platform.clone(),
            config: config(target, &root.layers),
            layers: root.layers.clone(),
            inherited: target.inherited.min(root.layers.len()),
        })
        .collect()
}

fn config(target: &Target, layers: &[Layer]) -> ImageConfig {
    let mut config = target.image.clone();
    config.rootfs.diff_ids = layers.iter().map(|layer| layer.diff_id).collect();
    config.history = history(std::mem::take(&mut config.history), layers);
    if config.created.is_none() {
        let times = config
            .history
            .iter()
            .rev()
            .filter_map(|entry| entry.created);
        config.created = times.into_iter().next();
    }
    config
}

/// The history with as many layers as there are, each entry with a time.
fn history(mut history: Vec<History>, layers: &[Layer]) -> Vec<History> {
    let mut position = 0;
    for entry in &mut history {
        if entry.empty_layer {
            continue;
        }
        match layers.get(position) {
            // The history tells of more layers than there are.
            None => entry.empty_layer = true,
            Some(layer) => {
                entry.created = entry.created.or(layer.created);
                position += 1;
            }
        }
    }
    for layer in layers.iter().skip(position) {
        history.push(History {
            created: layer.created,
            comment: Some(COMMENT.into()),
            ..History::default()
        });
    }
    // What made no layer has the time of the layer before, or of the first new one.
    let first_open = history.iter().position(|entry| entry.created.is_none());
    let after = |at: usize| history[at..].iter().find_map(|entry| entry.created);
    let Some(first) = first_open else {
        return history;
    };
    let before = history[..first]
        .iter()
        .rev()
        .find_map(|entry| entry.created);
    let mut time = after(first).or(before);
    for entry in &mut history[first..] {
        match entry.created {
            Some(created) => time = Some(created),
            None => entry.created = time,
        }
    }
    history
}

#[cfg(test)]
mod tests {
    #![allow(clippy::unwrap_used, reason = "tests")]
    use super::*;
    use dhow_oci::{Descriptor, Digest};
    use jiff::Timestamp;

    fn layer(second: i64) -> Layer {
        let digest = Digest::of(&second.to_le_bytes());
        Layer {
            diff_id: digest,
            chain_id: digest,
            blob: Descriptor::new("x", digest, 1),
            size: 1,
            created: Timestamp::from_second(second).ok(),
        }
    }

    fn entry(second: Option<i64>, empty_layer: bool) -> History {
        History {
            created: second.map(|second| Timestamp::from_second(second).unwrap()),
            empty_layer,
            ..History::default()
        }
    }

    fn times(history: Vec<History>) -> Vec<(i64, bool)> {
        history
            .into_iter()
            .map(|entry| (entry.created.unwrap().as_second(), entry.empty_layer))
            .collect()
    }

    #[test]
    fn entries_get_the_times_of_their_layers() {
        let written = vec![
            entry(Some(1), false),
            entry(None, true),
            entry(None, false),
            entry(None, true),
            entry(None, false),
            entry(None, true),
        ];
        let made = history(written, &[layer(1), layer(20), layer(10)]);
        assert_eq!(
            times(made),
            [
                (1, false),
                (20, true),
                (20, false),
                (20, true),
                (10, false),
                (10, true)
            ]
        );
    }

    #[test]
    fn layers_and_entries_are_made_as_many() {
        let more = history(vec![entry(Some(1), false)], &[layer(1), layer(2)]);
        assert_eq!(more.len(), 2);
        assert_eq!(more[1].comment.as_deref(), Some(COMMENT));
        let fewer = history(vec![entry(None, false), entry(None, false)], &[layer(3)]);
        assert_eq!(times(fewer), [(3, false), (3, true)]);
        assert!(history(vec![entry(None, true)], &[])[0].created.is_none());
    }
}
