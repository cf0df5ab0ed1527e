//! The program of the bundled image: says where it runs, shows that it is isolated, and what to try next.
//!
//! Built by `build.rs` on its own, static, with nothing but the standard library.

use std::fs;
use std::io::Write;

/// What `memory.limit_in_bytes` reads like without a limit; anything near the whole address space is none.
const NO_LIMIT: u64 = 1 << 60;

fn main() {
    let text = format!(
        "\nHello from Dhow! Your container works.\n\n  \
           kernel    {kernel}, shared with the machine\n  \
           hostname  {hostname}\n  \
           process   {process}\n  \
           memory    {memory}\n  \
           network   {network}\n  \
           files     only this image's: {files}\n\n\
         What just happened: the engine unpacked a small image that came with it, gave this\n\
         program namespaces and a cgroup of its own, and started it as process 1.\n\n\
         Try next:\n  \
           dhow run -it --rm debian bash           a shell in a Debian of its own\n  \
           dhow run -d -p 8080:80 --name web nginx   a web server on http://localhost:8080\n  \
           dhow ps -a                              what runs and what ran\n  \
           dhow --help                             everything else\n\n",
        kernel = kernel(),
        hostname = hostname(),
        process = process(),
        memory = memory(),
        network = network(),
        files = files(),
    );
    // A reader that has gone away is no reason to fail.
    let _ = std::io::stdout().write_all(text.as_bytes());
}

fn read(path: &str) -> Option<String> {
    let text = fs::read_to_string(path).ok()?;
    let text = text.trim();
    (!text.is_empty()).then(|| text.to_owned())
}

fn kernel() -> String {
    let release = read("/proc/sys/kernel/osrelease").unwrap_or_else(|| "unknown".into());
    format!("Linux {release} on {}", std::env::consts::ARCH)
}

fn hostname() -> String {
    read("/proc/sys/kernel/hostname")
        .or_else(|| read("/etc/hostname"))
        .unwrap_or_else(|| "unknown".into())
}

fn process() -> String {
    let id = std::process::id();
    let others = fs::read_dir("/proc").map_or(0, |entries| {
        let names = entries.flatten().filter_map(|entry| entry.file_name().into_string().ok());
        names.filter(|name| name.bytes().all(|b| b.is_ascii_digit())).count().saturating_sub(1)
    });
    match (id, others) {
        (1, 0) => "1, and the only one it can see".into(),
        (id, 0) => format!("{id}, and the only one it can see"),
        (id, others) => format!("{id}, and sees {others} more"),
    }
}

fn memory() -> String {
    let limit = read("/sys/fs/cgroup/memory.max")
        .or_else(|| read("/sys/fs/cgroup/memory/memory.limit_in_bytes"))
        .and_then(|text| text.parse::<u64>().ok())
        .filter(|limit| *limit < NO_LIMIT);
    match limit {
        Some(limit) => format!("limited to {} MiB", limit >> 20),
        None => "no limit but the machine's".into(),
    }
}

fn network() -> String {
    let table = read("/proc/net/dev").unwrap_or_default();
    let names: Vec<&str> = table
        .lines()
        .filter_map(|line| line.split_once(':'))
        .map(|(name, _)| name.trim())
        .filter(|name| *name != "lo")
        .collect();
    match names.is_empty() {
        true => "none but the loopback".into(),
        false => names.join(", "),
    }
}

fn files() -> String {
    let mut names: Vec<String> = fs::read_dir("/")
        .map(|entries| entries.flatten().filter_map(|e| e.file_name().into_string().ok()).collect())
        .unwrap_or_default();
    names.sort();
    names.iter().map(|name| format!("/{name}")).collect::<Vec<_>>().join(" ")
}
