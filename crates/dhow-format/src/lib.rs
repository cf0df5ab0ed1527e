//! `--format`: lists as tables, JSON lines or by a template; documents by a template.
//!
//! Lists of containers and images, which several commands show, have modules of their own. A list is a [`Layout`] (the headers Docker gives each field, and the default table) and one [`Row`] a line.

pub mod container;
pub mod document;
pub mod image;
pub mod ports;
pub mod times;

use std::rc::Rc;

use dhow_terminal::align;
use dhow_terminal::template::{self, Function, Record, Template, Value, json_text};

/// A kind of list.
pub struct Layout {
    /// Fields and their headers; what is not here has no header.
    pub headers: &'static [(&'static str, &'static str)],
    /// The template of the default table, without `table `.
    pub table: String,
    /// What `--quiet` prints of a row.
    pub quiet: &'static str,
    /// The template of `--format raw`, where there is one.
    pub raw: Option<&'static str>,
}

/// A template that is none, or one of no use for what it is given; the texts are Docker's.
#[derive(Debug, thiserror::Error)]
pub enum Error {
    /// It cannot be parsed.
    #[error("template parsing error: {0}")]
    Syntax(template::Error),
    /// It fails on what it is given.
    #[error("template parsing error: {0}")]
    Execution(template::Error),
    /// It cannot be parsed, as [`try_out`] says it.
    #[error("failed to parse template: {0}")]
    TrialSyntax(template::Error),
    /// It fails on an empty row.
    #[error("failed to execute template: {0}")]
    Trial(template::Error),
}

/// A line of a list.
#[derive(Clone)]
pub struct Row {
    type_name: &'static str,
    fields: Vec<(&'static str, Value)>,
}

impl Row {
    /// A line of that Go type, which errors name, with these fields.
    #[must_use]
    pub fn new(type_name: &'static str, fields: Vec<(&'static str, Value)>) -> Self {
        Self { type_name, fields }
    }
}

impl Record for Row {
    fn type_name(&self) -> &str {
        self.type_name
    }

    fn field(&self, name: &str) -> Option<Value> {
        self.fields
            .iter()
            .find(|(known, _)| *known == name)
            .map(|(_, value)| value.clone())
    }

    fn json(&self) -> String {
        let mut fields: Vec<_> = self
            .fields
            .iter()
            .filter(|(_, value)| !matches!(value, Value::Function(_)))
            .collect();
        fields.sort_by_key(|(name, _)| *name);
        let fields: Vec<String> = fields
            .iter()
            .map(|(name, value)| format!("{name:?}:{}", json_text(value)))
            .collect();
        escape_html(&format!("{{{}}}", fields.join(",")))
    }
}

/// The line above a table: Docker keeps it in a map, in which anything may be looked for.
struct Headers(Row);

impl Record for Headers {
    fn type_name(&self) -> &str {
        self.0.type_name()
    }

    fn field(&self, name: &str) -> Option<Value> {
        Some(self.0.field(name).unwrap_or_else(|| "<no value>".into()))
    }

    fn json(&self) -> String {
        self.0.json()
    }
}

/// Go's JSON encoder hides what could be HTML.
pub fn escape_html(json: &str) -> String {
    json.replace('&', "\\u0026")
        .replace('<', "\\u003c")
        .replace('>', "\\u003e")
}

/// The label function of rows: `{{.Label "name"}}`.
pub fn label(labels: dhow_api::Map<String>) -> Value {
    let find: Function = Rc::new(move |arguments| {
        let name = arguments
            .first()
            .map(ToString::to_string)
            .unwrap_or_default();
        Ok(labels.get(&name).cloned().unwrap_or_default().into())
    });
    Value::Function(find)
}

/// Labels as `a=b,c=d`.
pub fn labels_text(labels: &dhow_api::Map<String>) -> String {
    let pairs: Vec<String> = labels
        .iter()
        .map(|(name, value)| format!("{name}={value}"))
        .collect();
    pairs.join(",")
}

/// The first twelve digits of an id, without its algorithm.
pub fn short_id(id: &str) -> &str {
    let id = id.split_once(':').map_or(id, |(_, digest)| digest);
    id.get(..12).unwrap_or(id)
}

/// At most `most` characters, the last one an ellipsis where something is missing.
pub fn ellipsis(text: &str, most: usize) -> String {
    if text.chars().count() <= most {
        return text.to_owned();
    }
    let mut short: String = text.chars().take(most.saturating_sub(1)).collect();
    short.push('…');
    short
}

/// The list in `format`; an empty one is the default table.
pub fn render(layout: &Layout, format: &str, quiet: bool, rows: &[Row]) -> Result<String, Error> {
    let table = format!("table {}", layout.table);
    let source = match (format, quiet) {
        (_, true) => layout.quiet,
        ("" | "table", _) => &table,
        ("json", _) => "{{json .}}",
        ("raw", _) => layout.raw.unwrap_or("raw"),
        (custom, _) => custom,
    };
    let (is_table, source) = match source.strip_prefix("table") {
        Some(rest) => (true, rest.trim_matches(' ')),
        None => (false, source),
    };
    let source = source
        .trim_matches(' ')
        .replace("\\t", "\t")
        .replace("\\n", "\n");
    let template = parse(&source)?;
    let mut text = String::new();
    for row in rows {
        text += &execute(&template, &Value::Record(Rc::new(row.clone())))?;
        text.push('\n');
    }
    if !is_table {
        return Ok(text);
    }
    let header = parse(&source)?.for_header();
    let header = execute(&header, &Value::Record(Rc::new(Headers(headers(layout)))))?;
    Ok(align(&format!("{header}\n{text}"), 10, 3))
}

/// Whether a template asks for a field, which may cost the engine something.
pub fn uses(format: &str, field: &str) -> bool {
    format.contains(field) || (format.contains("json .") && format.contains("{{"))
}

/// Fails as Docker does before it asks the engine, where a template is of no use on an empty row.
pub fn try_out(source: &str, row: Row) -> Result<(), Error> {
    let template = Template::parse("", source).map_err(Error::TrialSyntax)?;
    template
        .execute(&Value::Record(Rc::new(row)))
        .map(drop)
        .map_err(Error::Trial)
}

fn parse(source: &str) -> Result<Template, Error> {
    Template::parse("", source).map_err(Error::Syntax)
}

fn execute(template: &Template, value: &Value) -> Result<String, Error> {
    template.execute(value).map_err(Error::Execution)
}

fn headers(layout: &Layout) -> Row {
    let mut fields: Vec<(&'static str, Value)> = layout
        .headers
        .iter()
        .map(|(field, header)| (*field, (*header).into()))
        .collect();
    let of_label: Function = Rc::new(|arguments| {
        let name = arguments
            .first()
            .map(ToString::to_string)
            .unwrap_or_default();
        let last = name.rsplit('.').next().unwrap_or_default();
        Ok(last.replace(['-', '_'], " ").into())
    });
    fields.push(("Label", Value::Function(of_label)));
    Row::new("formatter.SubHeaderContext", fields)
}

#[cfg(test)]
mod tests {
    #![allow(clippy::unwrap_used, reason = "tests")]
    use super::*;

    fn layout() -> Layout {
        Layout {
            headers: &[("Name", "NAME"), ("Driver", "DRIVER")],
            table: "{{.Name}}\t{{.Driver}}".to_owned(),
            quiet: "{{.Name}}",
            raw: None,
        }
    }

    fn rows() -> Vec<Row> {
        let labels = dhow_api::Map::from([("a.b-c".to_owned(), "d".to_owned())]);
        vec![Row::new(
            "*x.Context",
            vec![
                ("Name", "n->1".into()),
                ("Driver", "local".into()),
                ("Label", label(labels)),
            ],
        )]
    }

    #[test]
    fn lists_are_tables_json_or_what_the_template_says() {
        let render = |format, quiet| render(&layout(), format, quiet, &rows()).unwrap();
        assert_eq!(render("", false), "NAME      DRIVER\nn->1      local\n");
        assert_eq!(render("", true), "n->1\n");
        assert_eq!(
            render("json", false),
            "{\"Driver\":\"local\",\"Name\":\"n-\\u003e1\"}\n"
        );
        assert_eq!(
            render("{{.Name}}\\t{{upper .Driver}}", false),
            "n->1\tLOCAL\n"
        );
        assert_eq!(
            render("table {{upper .Name}}\\t{{.Label \"a.b-c\"}}", false),
            "NAME      b c\nN->1      d\n"
        );
    }

    #[test]
    fn wrong_templates_have_dockers_texts() {
        let error = |format| {
            render(&layout(), format, false, &rows())
                .unwrap_err()
                .to_string()
        };
        assert_eq!(
            error("{{.Foo}}"),
            "template parsing error: template: :1:2: executing \"\" at <.Foo>: can't evaluate field Foo in type *x.Context"
        );
        assert_eq!(
            error("{{.Name"),
            "template parsing error: template: :1: unclosed action"
        );
    }
}
