//! What commands get, as it is written.

use std::net::IpAddr;

use tonic::Status;

use super::{invalid, list};

/// `name=address,…`
pub(super) fn hosts(value: &str) -> Result<Vec<(String, IpAddr)>, Status> {
    let host = |text: &String| {
        let (name, address) = text.split_once(['=']).unwrap_or((text, ""));
        let parsed = address.trim_matches(['[', ']']).parse();
        let address = parsed.map_err(|_| invalid(format!("failed to parse IP {address}")))?;
        Ok((name.to_owned(), address))
    };
    list(value).iter().map(host).collect()
}

/// A number of bytes.
pub(super) fn bytes(value: &str) -> Result<u64, Status> {
    let wrong = |_| invalid(format!("invalid shm-size: {value}"));
    value.parse().map_err(wrong)
}

/// `name=soft:hard,…`; the soft one alone is both.
pub(super) fn ulimits(value: &str) -> Result<Vec<(String, i64, i64)>, Status> {
    let limit = |text: &String| {
        let wrong = || invalid(format!("invalid ulimit argument: {text}"));
        let (name, numbers) = text.split_once('=').ok_or_else(wrong)?;
        let (soft, hard) = numbers.split_once(':').unwrap_or((numbers, numbers));
        let number = |text: &str| text.parse::<i64>().map_err(|_| wrong());
        Ok((name.to_owned(), number(soft)?, number(hard)?))
    };
    list(value).iter().map(limit).collect()
}
