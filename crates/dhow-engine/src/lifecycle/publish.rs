//! Changing what a running container publishes.
//!
//! In steps, each of which is undone when a later one fails: the new ports are taken; the supervisor holds their
//! sockets; the kernel's table and the endpoint's record have them; the container's record has them, which is the one
//! that counts; the supervisor lets go of the others. Should the engine die in between, the next one makes all the
//! others agree with the container's record ([`mend`]).

use std::os::fd::OwnedFd;
use std::sync::Arc;

use dhow_errdefs::{Classify, ErrorKind};
use dhow_network::{Endpoint, NetworkRecord, PortBinding};
use dhow_shim::HeldPort;

use super::{network, report};
use crate::container::{ContainerRecord, PublishedPort};
use crate::services::{Services, blocking};
use crate::supervisor::{self, Task};
use crate::{Error, Result};
use dhow_container::spec::{Invalid, NetworkMode, Port, PublishPlan};

/// A change that was made, but for the container's record.
pub(crate) struct Changed {
    task: Task,
    before: Endpoint,
    after: Endpoint,
}

/// Checks that a container can publish ports at all.
pub(crate) fn check(services: &Services, record: &ContainerRecord) -> Result<()> {
    let mode = &record.host.network_mode;
    if !mode.is_private() || *mode == NetworkMode::None {
        let text = format!("ports can't be published in the network mode {mode}");
        return Err(Invalid(text).into());
    }
    if let Some((name, _)) = network::in_order(record).first() {
        let network = services.networks.get(name).map_err(Error::Networking)?;
        if network.internal {
            let text = format!("the network {name} is internal: nothing of it can be published");
            return Err(Invalid(text).into());
        }
    }
    Ok(())
}

/// Changes what a container publishes now; nothing where it does not run or is on no network. The caller holds its
/// lifecycle lock, and notes the change in its record or calls [`Changed::undo`].
pub(crate) async fn change(
    services: &Arc<Services>,
    record: &ContainerRecord,
    task: Option<Task>,
    plan: &PublishPlan,
) -> Result<Option<Changed>> {
    let (Some(task), false) = (task, plan.opened.is_empty() && plan.closed.is_empty()) else {
        return Ok(None);
    };
    let Some(before) = endpoint(services, record)? else {
        return Ok(None);
    };
    let (after, sockets) = take(services, &before, plan).await?;
    if !sockets.is_empty()
        && let Err(error) = task.hold(sockets, None).await
    {
        let changed = Changed {
            task,
            after: before.clone(),
            before,
        };
        changed.let_go().await;
        return Err(older(error));
    }
    let (own, id) = (services.clone(), before.id.clone());
    let published = blocking(move || own.networks.publish(&id, after).map_err(Error::Networking));
    match published.await {
        Ok(after) => Ok(Some(Changed {
            task,
            before,
            after,
        })),
        Err(error) => {
            let changed = Changed {
                task,
                after: before.clone(),
                before,
            };
            changed.let_go().await;
            Err(error)
        }
    }
}

impl Changed {
    /// Notes in the record where the ports are now.
    pub(crate) fn note(&self, record: &mut ContainerRecord) {
        let exposed = record.config.exposed_ports.iter();
        record.ports = exposed.map(|port| (*port, Vec::new())).collect();
        network::note_ports(record, &self.after);
    }

    /// Lets the supervisor close the sockets of ports that are published no more.
    pub(crate) async fn let_go(&self) {
        let keep = self.after.ports.iter().map(held).collect();
        match self.task.hold(Vec::new(), Some(keep)).await {
            // One of an older release holds them until its container ends.
            Err(error) if error.kind() == ErrorKind::NotImplemented => {}
            Err(error) if supervisor::is_over(&error) => {}
            done => report("let go of ports", done),
        }
    }

    /// Takes the change back.
    pub(crate) async fn undo(mut self, services: &Arc<Services>) {
        let (own, before) = (services.clone(), self.before.clone());
        let undone = blocking(move || {
            let published = own.networks.publish(&before.id, before.ports);
            published.map(drop).map_err(Error::Networking)
        });
        report("undo a change of ports", undone.await);
        self.after = self.before.clone();
        self.let_go().await;
    }
}

/// Makes what a container that was found running publishes agree with its record.
pub(crate) async fn mend(
    services: &Arc<Services>,
    record: &ContainerRecord,
    task: &Task,
) -> Result<()> {
    let Some(before) = endpoint(services, record)? else {
        return Ok(());
    };
    let wanted: Vec<PortBinding> = record
        .ports
        .iter()
        .flat_map(|(port, places)| places.iter().map(|place| binding(*port, place)))
        .collect();
    let agree = before.ports.iter().all(|port| wanted.contains(port))
        && wanted.iter().all(|port| before.ports.contains(port));
    if before.ports.is_empty() && agree {
        return Ok(());
    }
    let mut after = before.clone();
    if !agree {
        let (own, id) = (services.clone(), before.id.clone());
        let published =
            blocking(move || own.networks.publish(&id, wanted).map_err(Error::Networking));
        after = published.await?;
    }
    let task = task.clone();
    Changed {
        task,
        before,
        after,
    }
    .let_go()
    .await;
    Ok(())
}

/// The endpoint whose ports are published; none while the container is on no network.
fn endpoint(services: &Services, record: &ContainerRecord) -> Result<Option<Endpoint>> {
    let mut attached = network::in_order(record).into_iter();
    let Some((name, settings)) = attached.find(|(_, settings)| !settings.endpoint_id.is_empty())
    else {
        return Ok(None);
    };
    let network: NetworkRecord = services.networks.get(name).map_err(Error::Networking)?;
    let (endpoints, _) = services
        .networks
        .occupancy(&network.id)
        .map_err(Error::Networking)?;
    let mut endpoints = endpoints.into_iter();
    Ok(endpoints.find(|endpoint| endpoint.id == settings.endpoint_id))
}

/// Takes the new ports; gives all that the endpoint will have, and the new ones' sockets.
async fn take(
    services: &Arc<Services>,
    before: &Endpoint,
    plan: &PublishPlan,
) -> Result<(Vec<PortBinding>, Vec<OwnedFd>)> {
    let closed = plan.closed.iter();
    let given_up: Vec<PortBinding> = closed.map(|(port, place)| binding(*port, place)).collect();
    let opened = plan.opened.iter();
    let requests: Vec<_> = opened
        .map(|(port, wish)| network::port_request(port, wish))
        .collect();
    let (own, id) = (services.clone(), before.id.clone());
    let mut after = before.ports.clone();
    after.retain(|port| !given_up.contains(port));
    let (new, sockets) = blocking(move || {
        let taken = own.networks.take_ports(&id, &requests, &given_up);
        taken.map_err(Error::Networking)
    })
    .await?;
    after.extend(new);
    Ok((after, sockets))
}

fn binding(port: Port, place: &PublishedPort) -> PortBinding {
    PortBinding {
        protocol: network::protocol(port.protocol),
        container_port: port.number,
        host_ip: place.host_ip,
        host_port: place.host_port,
    }
}

fn held(port: &PortBinding) -> HeldPort {
    HeldPort {
        protocol: port.protocol.number(),
        address: (port.host_ip, port.host_port).into(),
    }
}

/// What it means when a supervisor does not take sockets.
fn older(error: supervisor::Error) -> Error {
    if error.kind() == ErrorKind::NotImplemented {
        let text = "the container was started by an older release, and gets new ports only with its next start";
        return Error::Conflict(text.into());
    }
    Error::Supervisor(error)
}
