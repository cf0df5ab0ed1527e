//! Walks the syntax tree.

use super::ast::{Branch, Command, Node, Operand, OperandKind, Pipeline};
use super::value::Value;
use super::{Error, Template, functions};

/// How deep templates may call each other, and actions stand in actions.
const MAX_DEPTH: usize = 200;
/// How often `range` goes around for a number: the output is kept in memory.
const MAX_COUNT: i128 = 1 << 20;

pub(crate) fn execute(template: &Template, data: &Value) -> Result<String, Error> {
    let mut state = State {
        template,
        variables: vec![("$".to_owned(), data.clone())],
        out: String::new(),
        depth: 0,
    };
    if let Some(body) = template.defined.get(&template.name) {
        state.nodes(body, data)?;
    }
    Ok(state.out)
}

/// Why a list of nodes ended.
#[derive(PartialEq)]
enum Flow {
    Next,
    Break,
    Continue,
}

struct State<'a> {
    template: &'a Template,
    variables: Vec<(String, Value)>,
    out: String,
    depth: usize,
}

impl<'a> State<'a> {
    /// Go's text for an error at the node that starts at `at` and reads `source`.
    fn fail<T>(&self, at: usize, source: &str, message: &str) -> Result<T, Error> {
        let name = &self.template.name;
        let before = &self.template.text[..at.min(self.template.text.len())];
        let line = before.matches('\n').count() + 1;
        let column = before.rfind('\n').map_or(at, |newline| at - newline - 1);
        let shown = if source.chars().count() > 20 {
            format!("{}...", source.chars().take(20).collect::<String>())
        } else {
            source.to_owned()
        };
        Err(Error(format!(
            "template: {name}:{line}:{column}: executing {name:?} at <{shown}>: {message}"
        )))
    }

    fn nodes(&mut self, nodes: &'a [Node], dot: &Value) -> Result<Flow, Error> {
        self.depth += 1;
        let flow = nodes
            .iter()
            .map(|node| self.node(node, dot))
            .find(|flow| *flow != Ok(Flow::Next));
        self.depth -= 1;
        flow.unwrap_or(Ok(Flow::Next))
    }

    fn node(&mut self, node: &'a Node, dot: &Value) -> Result<Flow, Error> {
        match node {
            Node::Text(text) => self.out.push_str(text),
            Node::Action(pipeline) => {
                let value = self.pipeline(pipeline, dot)?;
                if pipeline.variables.is_empty() {
                    self.print(&value);
                }
            }
            Node::If(branch) => {
                let depth = self.variables.len();
                let truth = self.pipeline(&branch.pipeline, dot)?.truth();
                let flow = self.nodes(
                    if truth {
                        &branch.body
                    } else {
                        &branch.otherwise
                    },
                    dot,
                );
                self.variables.truncate(depth);
                return flow;
            }
            Node::With(branch) => {
                let depth = self.variables.len();
                let value = self.pipeline(&branch.pipeline, dot)?;
                let flow = if value.truth() {
                    self.nodes(&branch.body, &value)
                } else {
                    self.nodes(&branch.otherwise, dot)
                };
                self.variables.truncate(depth);
                return flow;
            }
            Node::Range(branch) => return self.range(branch, dot),
            Node::Template { at, name, data } => {
                self.call_template(*at, name, data.as_ref(), dot)?
            }
            Node::Break => return Ok(Flow::Break),
            Node::Continue => return Ok(Flow::Continue),
        }
        Ok(Flow::Next)
    }

    fn print(&mut self, value: &Value) {
        match value {
            Value::Absent | Value::Null => self.out.push_str("<no value>"),
            value => self.out.push_str(&value.to_string()),
        }
    }

    fn call_template(
        &mut self,
        at: usize,
        name: &str,
        data: Option<&'a Pipeline>,
        dot: &Value,
    ) -> Result<(), Error> {
        let Some(body) = self.template.defined.get(name) else {
            let source = format!("{{{{template {name:?}}}}}");
            return self.fail(at, &source, &format!("template {name:?} not defined"));
        };
        if self.depth >= MAX_DEPTH {
            let source = format!("{{{{template {name:?}}}}}");
            return self.fail(
                at,
                &source,
                &format!("exceeded maximum template depth ({MAX_DEPTH})"),
            );
        }
        let data = match data {
            Some(pipeline) => self.pipeline(pipeline, dot)?,
            None => Value::Null,
        };
        let outer = std::mem::replace(&mut self.variables, vec![("$".to_owned(), data.clone())]);
        let result = self.nodes(body, &data);
        self.variables = outer;
        result.map(drop)
    }

    fn range(&mut self, branch: &'a Branch, dot: &Value) -> Result<Flow, Error> {
        let depth = self.variables.len();
        let pipeline = &branch.pipeline;
        let value = self.commands(pipeline, dot)?;
        let pairs: Vec<(Value, Value)> = match &value {
            Value::Absent | Value::Null | Value::Nil | Value::Zero(_) => Vec::new(),
            Value::List(items) => (0_i128..)
                .map(Value::Int)
                .zip(items.iter().cloned())
                .collect(),
            Value::Map(entries) => entries
                .iter()
                .map(|(key, value)| (key.as_str().into(), value.clone()))
                .collect(),
            Value::Int(count) if *count <= MAX_COUNT => (0..*count)
                .map(|number| (Value::Int(number), Value::Int(number)))
                .collect(),
            other => {
                let source = pipeline_source(pipeline);
                let message = format!("range can't iterate over {other}");
                return self.fail(pipeline.at, &source, &message);
            }
        };
        if pairs.is_empty() {
            let flow = self.nodes(&branch.otherwise, dot);
            self.variables.truncate(depth);
            return flow;
        }
        for (key, item) in pairs {
            let inner = self.variables.len();
            match pipeline.variables.as_slice() {
                [] => {}
                [only] => self.bind(only, item.clone(), pipeline.assigns),
                [first, second, ..] => {
                    self.bind(first, key, pipeline.assigns);
                    self.bind(second, item.clone(), pipeline.assigns);
                }
            }
            let flow = self.nodes(&branch.body, &item)?;
            self.variables.truncate(inner);
            if flow == Flow::Break {
                break;
            }
        }
        self.variables.truncate(depth);
        Ok(Flow::Next)
    }

    fn bind(&mut self, name: &str, value: Value, assigns: bool) {
        if assigns
            && let Some(known) = self
                .variables
                .iter_mut()
                .rev()
                .find(|(known, _)| known == name)
        {
            known.1 = value;
            return;
        }
        self.variables.push((name.to_owned(), value));
    }

    fn pipeline(&mut self, pipeline: &'a Pipeline, dot: &Value) -> Result<Value, Error> {
        let value = self.commands(pipeline, dot)?;
        for name in &pipeline.variables {
            self.bind(name, value.clone(), pipeline.assigns);
        }
        Ok(value)
    }

    fn commands(&mut self, pipeline: &'a Pipeline, dot: &Value) -> Result<Value, Error> {
        let mut value = None;
        for command in &pipeline.commands {
            value = Some(self.command(command, dot, value)?);
        }
        Ok(value.unwrap_or_default())
    }

    fn command(
        &mut self,
        command: &'a Command,
        dot: &Value,
        last: Option<Value>,
    ) -> Result<Value, Error> {
        let Some((first, rest)) = command.operands.split_first() else {
            return Ok(Value::Absent);
        };
        if let OperandKind::Function(name) = &first.kind {
            if name == "and" || name == "or" {
                return self.short_circuit(name == "or", rest, dot, last);
            }
            let mut arguments = self.arguments(rest, dot)?;
            arguments.extend(last);
            return functions::call(name, &arguments, self.template.header).or_else(|failure| {
                match failure {
                    functions::Failure::Arguments(message) => {
                        self.fail(first.at, &first.source, &message)
                    }
                    functions::Failure::Argument(at, message) => match rest.get(at) {
                        Some(operand) => {
                            let message = constant_complaint(operand).unwrap_or(message);
                            self.fail(operand.at, &operand.source, &message)
                        }
                        None => self.fail(first.at, &first.source, &message),
                    },
                    functions::Failure::Call(message) => {
                        let message = format!("error calling {name}: {message}");
                        self.fail(command.at, &command.source, &message)
                    }
                }
            });
        }
        let chained = matches!(
            first.kind,
            OperandKind::Field(_) | OperandKind::Variable(..) | OperandKind::Pipeline(..)
        );
        if !chained && (!rest.is_empty() || last.is_some()) {
            let message = format!("can't give argument to non-function {}", first.source);
            return self.fail(first.at, &first.source, &message);
        }
        let mut arguments = self.arguments(rest, dot)?;
        arguments.extend(last);
        self.operand(first, dot, &arguments)
    }

    fn arguments(&mut self, operands: &'a [Operand], dot: &Value) -> Result<Vec<Value>, Error> {
        operands
            .iter()
            .map(|operand| self.operand(operand, dot, &[]))
            .collect()
    }

    fn short_circuit(
        &mut self,
        stop: bool,
        operands: &'a [Operand],
        dot: &Value,
        last: Option<Value>,
    ) -> Result<Value, Error> {
        let mut value = Value::Absent;
        for operand in operands {
            value = self.operand(operand, dot, &[])?;
            if value.truth() == stop {
                return Ok(value);
            }
        }
        Ok(last.unwrap_or(value))
    }

    fn operand(
        &mut self,
        operand: &'a Operand,
        dot: &Value,
        arguments: &[Value],
    ) -> Result<Value, Error> {
        match &operand.kind {
            OperandKind::Dot => Ok(dot.clone()),
            OperandKind::Nil => Ok(Value::Nil),
            OperandKind::Bool(value) => Ok(Value::Bool(*value)),
            OperandKind::Int(value) => Ok(Value::Int(*value)),
            OperandKind::Float(value) => Ok(Value::Float(*value)),
            OperandKind::Text(text) => Ok(text.as_str().into()),
            OperandKind::Field(names) => self.chain(operand, dot.clone(), names, arguments),
            OperandKind::Variable(name, names) => {
                let value = self.variables.iter().rev().find(|(known, _)| known == name);
                let value = value.map(|(_, value)| value.clone()).unwrap_or_default();
                self.chain(operand, value, names, arguments)
            }
            OperandKind::Function(name) => functions::call(name, &[], self.template.header)
                .or_else(|failure| self.fail(operand.at, &operand.source, failure.message())),
            OperandKind::Pipeline(pipeline, names) => {
                let depth = self.variables.len();
                let value = self.pipeline(pipeline, dot)?;
                self.variables.truncate(depth);
                self.chain(operand, value, names, arguments)
            }
        }
    }

    fn chain(
        &self,
        operand: &Operand,
        mut value: Value,
        names: &[String],
        arguments: &[Value],
    ) -> Result<Value, Error> {
        for (index, name) in names.iter().enumerate() {
            let given = if index + 1 == names.len() {
                arguments
            } else {
                &[]
            };
            value = self.field(operand, &value, name, given)?;
        }
        if names.is_empty() && !arguments.is_empty() {
            let message = format!("can't give argument to non-function {}", operand.source);
            return self.fail(operand.at, &operand.source, &message);
        }
        Ok(value)
    }

    fn field(
        &self,
        operand: &Operand,
        value: &Value,
        name: &str,
        arguments: &[Value],
    ) -> Result<Value, Error> {
        let fail = |message: &str| self.fail(operand.at, &operand.source, message);
        let found = match value {
            Value::Record(record) => record.field(name),
            Value::Map(entries) => match entries.get(name) {
                Some(value) => Some(value.clone()),
                None if self.template.strict => {
                    return fail(&format!("map has no entry for key {name:?}"));
                }
                None => Some(Value::Absent),
            },
            Value::Absent if self.template.strict => {
                return fail(&format!("nil data; no entry for key {name:?}"));
            }
            Value::Absent | Value::Zero("map[]") => Some(Value::Absent),
            Value::Null | Value::Nil => {
                return fail(&format!("nil pointer evaluating interface {{}}.{name}"));
            }
            _ => None,
        };
        match found {
            Some(Value::Function(function)) => {
                function(arguments).or_else(|error| fail(&format!("error calling {name}: {error}")))
            }
            Some(_) if !arguments.is_empty() && matches!(value, Value::Record(_)) => {
                let given = arguments.len();
                fail(&format!(
                    "wrong number of args for {name}: want 0 got {given}"
                ))
            }
            Some(_) if !arguments.is_empty() => fail(&format!(
                "{name} has arguments but cannot be invoked as function"
            )),
            Some(value) => Ok(value),
            None => fail(&format!(
                "can't evaluate field {name} in type {}",
                value.type_name()
            )),
        }
    }
}

/// Go's complaint about a constant where a string should be.
fn constant_complaint(operand: &Operand) -> Option<String> {
    let constant = matches!(
        operand.kind,
        OperandKind::Int(_) | OperandKind::Float(_) | OperandKind::Bool(_)
    );
    constant.then(|| format!("expected string; found {}", operand.source))
}

fn pipeline_source(pipeline: &Pipeline) -> String {
    let sources: Vec<&str> = pipeline
        .commands
        .iter()
        .map(|c| c.source.as_str())
        .collect();
    sources.join(" | ")
}
