//! The ports of `EXPOSE`: `80`, `53/udp`, `8000-8010`, and with the host's ports before a colon, which say nothing here.

use crate::Error;

/// The ports a word means, as a config names them.
pub(super) fn ports(word: &str) -> Result<Vec<String>, Error> {
    let (ports, protocol) = word.split_once('/').unwrap_or((word, ""));
    let protocol = match protocol.to_ascii_lowercase().as_str() {
        "" => "tcp".to_owned(),
        known @ ("tcp" | "udp" | "sctp") => known.to_owned(),
        _ => return Err(Error::Change(format!("Invalid proto: {protocol}"))),
    };
    let container = ports.rsplit(':').next().unwrap_or(ports);
    if container.is_empty() {
        let text = format!("No port specified: {ports}<empty>");
        return Err(Error::Change(text));
    }
    let (first, last) = container.split_once('-').unwrap_or((container, container));
    let number = |text: &str| text.parse::<u16>().ok();
    match (number(first), number(last)) {
        (Some(first), Some(last)) if first <= last => Ok((first..=last)
            .map(|port| format!("{port}/{protocol}"))
            .collect()),
        _ => Err(Error::Change(format!("Invalid containerPort: {container}"))),
    }
}
