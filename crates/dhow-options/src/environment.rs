//! `--env`, `--env-file`, `--label` and `--label-file`.

use std::path::Path;

/// Checks one value of `--env`.
pub fn check(value: &str) -> Result<(), String> {
    if value.is_empty() || value.starts_with('=') {
        return Err(format!("invalid environment variable: {value}"));
    }
    Ok(())
}

/// Checks one value of `--label`.
pub fn check_label(value: &str) -> Result<(), String> {
    let name = value.split('=').next().unwrap_or_default();
    if name.trim().is_empty() {
        return Err(format!("invalid label '{value}': empty name"));
    }
    Ok(())
}

/// The variables of `files`, then `values`; a name without a value takes this process's, or stands alone.
pub fn environment(files: &[String], values: &[String]) -> Result<Vec<String>, String> {
    let lookup = |name: &str| std::env::var(name).ok();
    let mut all = Vec::new();
    for file in files {
        // In a file, a name that is not set here is left out.
        for (name, value) in read(file, "env")? {
            if let Some(value) = value.or_else(|| lookup(&name)) {
                all.push(format!("{name}={value}"));
            }
        }
    }
    for value in values {
        all.push(match lookup(value).filter(|_| !value.contains('=')) {
            Some(found) => format!("{value}={found}"),
            None => value.clone(),
        });
    }
    Ok(all)
}

/// The labels of `files`, then `values`.
pub(crate) fn labels(files: &[String], values: &[String]) -> Result<Vec<String>, String> {
    let mut all = Vec::new();
    for file in files {
        let named = read(file, "label")?.into_iter();
        all.extend(named.filter_map(|(name, value)| Some(format!("{name}={}", value?))));
    }
    all.extend_from_slice(values);
    Ok(all)
}

type Entry = (String, Option<String>);

fn read(file: &str, kind: &str) -> Result<Vec<Entry>, String> {
    let bytes = std::fs::read(Path::new(file))
        .map_err(|error| format!("open {file}: {}", dhow_golang::io_text(&error)))?;
    parse(&bytes).map_err(|error| format!("invalid {kind} file ({file}): {error}"))
}

fn parse(bytes: &[u8]) -> Result<Vec<Entry>, String> {
    let bytes = bytes.strip_prefix(b"\xef\xbb\xbf").unwrap_or(bytes);
    let mut entries = Vec::new();
    for (number, line) in bytes.split(|byte| *byte == b'\n').enumerate() {
        let line = line.strip_suffix(b"\r").unwrap_or(line);
        let line = std::str::from_utf8(line)
            .map_err(|_| format!("invalid utf8 bytes at line {}: {line:?}", number + 1))?;
        let line = line.trim_start();
        if line.is_empty() || line.starts_with('#') {
            continue;
        }
        let (name, value) = match line.split_once('=') {
            Some((name, value)) => (name, Some(value.to_owned())),
            None => (line, None),
        };
        if name.is_empty() {
            return Err(format!("no variable name on line '{line}'"));
        }
        if name.contains(char::is_whitespace) {
            return Err(format!("variable '{name}' contains whitespaces"));
        }
        entries.push((name.to_owned(), value));
    }
    Ok(entries)
}
