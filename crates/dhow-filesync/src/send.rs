//! The sending side: lists a folder's files and gives the content of those that are asked for.

use std::collections::HashMap;
use std::fs::File;
use std::io::Read;
use std::path::{Path, PathBuf};
use std::sync::{Arc, Mutex, PoisonError};

use futures::{Stream, StreamExt};
use tokio::sync::mpsc;

use crate::stat::{self, Kind};
use crate::walk::{self, Selection, WalkError};
use crate::{Error, Packet, PacketType};

/// The largest piece of a file; as `fsutil` has it.
const PIECE: usize = 32 * 1024;

/// Whether owners are sent.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Owners {
    /// As they are.
    Keep,
    /// Everything is root's: what a build's context is sent with.
    Root,
}

/// The files that may be asked for, by their number in the list.
type Listed = Arc<Mutex<HashMap<u32, PathBuf>>>;

/// Sends a folder to a receiver until that has all it wants.
///
/// # Errors
/// A file can't be listed, or the receiver fails, goes away, or asks for what there is not.
pub async fn send<S>(
    root: PathBuf,
    selection: Selection,
    owners: Owners,
    mut requests: S,
    packets: mpsc::Sender<Packet>,
) -> Result<(), Error>
where
    S: Stream<Item = Result<Packet, Error>> + Unpin,
{
    let listed = Listed::default();
    let (known, out) = (listed.clone(), packets.clone());
    let mut list =
        tokio::task::spawn_blocking(move || list(&root, &selection, owners, &known, &out));
    let (wanted, queue) = mpsc::unbounded_channel();
    let out = packets.clone();
    let content = tokio::task::spawn_blocking(move || contents(queue, &out));
    let mut listing = true;
    loop {
        tokio::select! {
            done = &mut list, if listing => {
                listing = false;
                let done = done.unwrap_or(Err(WalkError::Stopped));
                if let Err(error) = done {
                    let text = dhow_errdefs::chain(&error).to_string();
                    let _ = packets.send(packet(PacketType::PacketErr, 0, text.into_bytes())).await;
                    return Err(error.into());
                }
            }
            request = requests.next() => {
                let request = request.ok_or(Error::Ended)??;
                match PacketType::try_from(request.r#type) {
                    Ok(PacketType::PacketReq) => {
                        let mut listed = listed.lock().unwrap_or_else(PoisonError::into_inner);
                        let path = listed.remove(&request.id).ok_or_else(|| {
                            Error::Protocol(format!("invalid file id {}", request.id))
                        })?;
                        let _ = wanted.send((request.id, path));
                    }
                    Ok(PacketType::PacketFin) => break,
                    Ok(PacketType::PacketErr) => {
                        let text = String::from_utf8_lossy(&request.data).into_owned();
                        return Err(Error::Sender(text));
                    }
                    _ => return Err(Error::Protocol(format!("a message of type {}", request.r#type))),
                }
            }
        }
    }
    drop(wanted);
    let _ = content.await;
    let _ = packets
        .send(packet(PacketType::PacketFin, 0, Vec::new()))
        .await;
    Ok(())
}

fn list(
    root: &Path,
    selection: &Selection,
    owners: Owners,
    listed: &Listed,
    packets: &mpsc::Sender<Packet>,
) -> Result<(), WalkError> {
    let mut number: u32 = 0;
    walk::walk(root, selection, &mut |mut stat, place| {
        if owners == Owners::Root {
            (stat.uid, stat.gid) = (0, 0);
        }
        if stat::kind(stat.mode) == Kind::File {
            let mut listed = listed.lock().unwrap_or_else(PoisonError::into_inner);
            listed.insert(number, place.to_owned());
        }
        number += 1;
        let packet = Packet {
            stat: Some(stat),
            ..Packet::default()
        };
        packets
            .blocking_send(packet)
            .map_err(|_| WalkError::Stopped)
    })?;
    packets
        .blocking_send(Packet::default())
        .map_err(|_| WalkError::Stopped)
}

/// Sends files as they are asked for. One that can't be read any more is sent as far as it goes, as its size said nothing
/// binding either.
fn contents(mut wanted: mpsc::UnboundedReceiver<(u32, PathBuf)>, packets: &mpsc::Sender<Packet>) {
    while let Some((id, path)) = wanted.blocking_recv() {
        let mut file = File::open(path).ok();
        loop {
            let mut piece = vec![0; PIECE];
            let length = match &mut file {
                Some(file) => file.read(&mut piece).unwrap_or(0),
                None => 0,
            };
            piece.truncate(length);
            let sent = packets.blocking_send(packet(PacketType::PacketData, id, piece));
            if sent.is_err() {
                return;
            }
            if length == 0 {
                break;
            }
        }
    }
}

fn packet(kind: PacketType, id: u32, data: Vec<u8>) -> Packet {
    Packet {
        r#type: kind.into(),
        id,
        data,
        ..Packet::default()
    }
}
