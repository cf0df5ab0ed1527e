//! The text of `--help`, laid out as Docker's.

use crate::command::{Action, Command, Section};
use crate::plugins::Plugin;
use dhow_options::flags::Flag;

/// Columns that the names of commands have at least.
const NAME_COLUMNS: usize = 11;

/// Help for the command at `path` (`docker container ls`), for a window of `columns`.
pub(crate) fn command(command: &Command, path: &str, columns: usize) -> String {
    let program = path.split(' ').next().unwrap_or(path);
    let about = if command.long.is_empty() {
        command.about
    } else {
        command.long
    };
    let mut text = format!("Usage:  {}\n\n{about}\n", command.usage_of(path));
    if !command.also.is_empty() {
        let also: Vec<String> = command
            .also
            .split(", ")
            .map(|line| format!("{program} {line}"))
            .collect();
        text += &format!("\nAliases:\n  {}\n", also.join(", "));
    }
    let flags: Vec<Flag> = command
        .flags
        .iter()
        .flat_map(|table| table.iter().copied())
        .collect();
    if flags.iter().any(|flag| !flag.hidden) {
        text += &format!("\nOptions:\n{}", options(&flags, columns));
    }
    if let Action::Group(commands) = command.action {
        text += &section("Commands", commands, Section::Other);
        text += &format!("\nRun '{path} COMMAND --help' for more information on a command.\n");
    }
    text
}

/// Help for the whole program.
pub(crate) fn root(
    root: &Command,
    program: &str,
    globals: &[Flag],
    plugins: &[Plugin],
    columns: usize,
) -> String {
    let Action::Group(commands) = root.action else {
        return String::new();
    };
    let mut text = format!("Usage:  {program} [OPTIONS] COMMAND\n\n{}\n", root.about);
    text += &section("Common Commands", commands, Section::Common);
    text += &management(commands, plugins);
    text += &section("Commands", commands, Section::Other);
    text += &invalid(plugins);
    text += &format!("\nGlobal Options:\n{}", options(globals, columns));
    text += &format!("\nRun '{program} COMMAND --help' for more information on a command.\n");
    text
}

fn section(title: &str, commands: &[&Command], section: Section) -> String {
    let listed: Vec<_> = commands
        .iter()
        .filter(|command| command.section == section)
        .collect();
    if listed.is_empty() {
        return String::new();
    }
    let all = commands
        .iter()
        .filter(|command| command.section != Section::Hidden);
    let width = all
        .map(|command| command.name.len())
        .max()
        .unwrap_or(0)
        .max(NAME_COLUMNS);
    let mut text = format!("\n{title}:\n");
    for command in listed {
        text += &format!("  {:width$} {}\n", command.name, command.about);
    }
    text
}

/// Groups of commands, and plugins, which have a star.
fn management(commands: &[&Command], plugins: &[Plugin]) -> String {
    let own = commands
        .iter()
        .filter(|command| command.section == Section::Management)
        .map(|command| (command.name.to_owned(), command.about));
    let plugins = plugins
        .iter()
        .filter(|plugin| plugin.error.is_none())
        .map(|plugin| (format!("{}*", plugin.name), plugin.text("ShortDescription")));
    let mut rows: Vec<_> = own.chain(plugins).collect();
    rows.sort();
    let mut text = String::from("\nManagement Commands:\n");
    for (name, about) in rows {
        text += &format!("  {name:NAME_COLUMNS$} {about}\n");
    }
    text
}

/// Plugins that cannot be used, and why.
fn invalid(plugins: &[Plugin]) -> String {
    let rows: String = plugins
        .iter()
        .filter_map(|plugin| Some((&plugin.name, plugin.error.as_ref()?)))
        .map(|(name, error)| format!("  {name:NAME_COLUMNS$} {error}\n"))
        .collect();
    if rows.is_empty() {
        rows
    } else {
        format!("\nInvalid Plugins:\n{rows}")
    }
}

/// The table of flags, wrapped as `pflag` wraps it.
fn options(flags: &[Flag], columns: usize) -> String {
    let mut flags: Vec<&Flag> = flags.iter().filter(|flag| !flag.hidden).collect();
    flags.sort_by_key(|flag| flag.name);
    let left: Vec<String> = flags
        .iter()
        .map(|flag| {
            let short = flag
                .short
                .map_or("    ".to_owned(), |short| format!("-{short}, "));
            let space = if flag.value.is_empty() { "" } else { " " };
            format!("  {short}--{}{space}{}", flag.name, flag.value)
        })
        .collect();
    let widest = left.iter().map(String::len).max().unwrap_or(0);
    let mut text = String::new();
    for (left, flag) in left.iter().zip(&flags) {
        let usage = wrap(widest + 3, columns - 1, flag.usage);
        text += &format!("{left:widest$}   {usage}\n");
    }
    text
}

/// Columns by which a last word may overrun the line rather than stand alone on the next.
const SLOP: usize = 5;

fn wrap(indent: usize, columns: usize, text: &str) -> String {
    let mut indent = indent;
    let mut room = columns.saturating_sub(indent);
    let mut out = String::new();
    if room < 24 {
        // Too narrow beside the flags: as a block on the next line.
        indent = 16;
        room = columns.saturating_sub(indent);
        out = format!("\n{:indent$}", "");
    }
    if room < 24 {
        return text.replace('\n', &out);
    }
    let newline = format!("\n{:indent$}", "");
    let (line, mut rest) = take_line(text, room - SLOP);
    out += &line.replace('\n', &newline);
    while !rest.is_empty() {
        let (line, after) = take_line(rest, room - SLOP);
        out += &newline;
        out += &line.replace('\n', &newline);
        rest = after;
    }
    out
}

fn take_line(text: &str, width: usize) -> (&str, &str) {
    if width + SLOP > text.len() {
        return (text, "");
    }
    let head = &text[..width];
    match (head.rfind([' ', '\t', '\n']), head.rfind('\n')) {
        (None | Some(0), _) => (text, ""),
        (Some(space), Some(line)) if line > 0 && line < space => (&text[..line], &text[line + 1..]),
        (Some(space), _) => (&text[..space], &text[space + 1..]),
    }
}
