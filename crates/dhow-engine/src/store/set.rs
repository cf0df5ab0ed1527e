//! All containers in memory, by id and by name.

use std::collections::{BTreeMap, HashMap};
use std::sync::{Arc, PoisonError, RwLock, RwLockReadGuard, RwLockWriteGuard};

use super::Container;
use super::shelf::Shelf;
use dhow_container::spec::Invalid;

use crate::{Error, Result};

/// All containers. No lock is held while something is waited for.
#[derive(Default)]
pub(crate) struct ContainerSet {
    inner: RwLock<Inner>,
    shelf: Arc<Shelf>,
}

#[derive(Debug, Default)]
struct Inner {
    containers: BTreeMap<Arc<str>, Arc<Container>>,
    /// Ids by name; a name is taken before its container is there.
    names: HashMap<Box<str>, Arc<str>>,
}

impl ContainerSet {
    fn read(&self) -> RwLockReadGuard<'_, Inner> {
        self.inner.read().unwrap_or_else(PoisonError::into_inner)
    }

    fn write(&self) -> RwLockWriteGuard<'_, Inner> {
        self.inner.write().unwrap_or_else(PoisonError::into_inner)
    }

    /// The container with that id, name or beginning of an id, in this order.
    pub(crate) fn find(&self, name: &str) -> Result<Arc<Container>> {
        let missing = || Error::NoSuchContainer(name.to_owned());
        if name.is_empty() {
            return Err(Invalid::new("invalid name or ID supplied: \"\"").into());
        }
        let inner = self.read();
        if let Some(container) = inner.containers.get(name) {
            return Ok(container.clone());
        }
        let bare = name.strip_prefix('/').unwrap_or(name);
        if let Some(id) = inner.names.get(bare) {
            return inner.containers.get(id).cloned().ok_or_else(missing);
        }
        let mut fitting = inner.containers.range(Arc::<str>::from(name)..);
        let mut next = || fitting.next().filter(|(id, _)| id.starts_with(name));
        match (next(), next()) {
            (None, _) => Err(missing()),
            (Some((_, container)), None) => Ok(container.clone()),
            (Some(_), Some(_)) => Err(Error::AmbiguousContainer(name.to_owned())),
        }
    }

    /// Every container.
    pub(crate) fn all(&self) -> Vec<Arc<Container>> {
        self.read().containers.values().cloned().collect()
    }

    /// Whether the container `id` is there, or being made.
    pub(crate) fn knows(&self, id: &str) -> bool {
        let inner = self.read();
        inner.containers.contains_key(id) || inner.names.values().any(|owner| **owner == *id)
    }

    /// How many there are.
    pub(crate) fn len(&self) -> usize {
        self.read().containers.len()
    }

    /// Takes a name for the container `id`.
    pub(crate) fn take_name(&self, name: &str, id: &str) -> Result<()> {
        let mut inner = self.write();
        if let Some(by) = inner.names.get(name) {
            return Err(Error::NameTaken {
                name: name.to_owned(),
                by: by.to_string(),
            });
        }
        inner.names.insert(name.into(), id.into());
        Ok(())
    }

    /// Gives a name back if `id` has it.
    pub(crate) fn free_name(&self, name: &str, id: &str) {
        let mut inner = self.write();
        if inner.names.get(name).is_some_and(|by| **by == *id) {
            inner.names.remove(name);
        }
    }

    /// Adds a container, whose name is taken already or now.
    pub(crate) fn insert(&self, container: Arc<Container>) {
        let record = container.record();
        let id: Arc<str> = container.id.as_str().into();
        {
            let mut inner = self.write();
            inner.names.insert(record.name.as_str().into(), id.clone());
            inner.containers.insert(id, container.clone());
        }
        drop(record);
        container.settle(&self.shelf);
    }

    /// Takes a container out, its name included.
    pub(crate) fn remove(&self, container: &Container) {
        let name = container.outline().name.clone();
        let mut inner = self.write();
        inner.containers.remove(container.id.as_str());
        if inner
            .names
            .get(&name)
            .is_some_and(|by| **by == *container.id)
        {
            inner.names.remove(&name);
        }
    }
}
