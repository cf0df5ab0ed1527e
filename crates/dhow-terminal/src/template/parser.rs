//! Builds the syntax tree.

use std::collections::BTreeMap;

use super::Error;
use super::ast::{Branch, Command, Node, Operand, OperandKind, Pipeline};
use super::functions;
use super::lexer::{self, Piece, Spanned, Token};

/// How deep actions and parentheses may stand in each other; evaluation goes as deep.
const MAX_DEPTH: usize = 100;

/// Parses `text` into its named templates; the one called `name` is the main one.
pub(crate) fn parse(name: &str, text: &str) -> Result<BTreeMap<String, Vec<Node>>, Error> {
    let located = |(at, message): (usize, String)| {
        let line = text[..at.min(text.len())].matches('\n').count() + 1;
        Error(format!("template: {name}:{line}: {message}"))
    };
    let pieces = lexer::split(text).map_err(located)?;
    let mut parser = Parser {
        pieces: pieces.into_iter(),
        end: text.len(),
        defined: BTreeMap::new(),
        loops: 0,
        depth: 0,
    };
    let mut scope = vec!["$".to_owned()];
    let (body, ended) = parser.list(&mut scope).map_err(located)?;
    match ended {
        Ended::Input => {}
        Ended::End(at) => return Err(located((at, "unexpected {{end}}".to_owned()))),
        Ended::Else(at, _) => return Err(located((at, "unexpected {{else}}".to_owned()))),
    }
    parser.defined.insert(name.to_owned(), body);
    Ok(parser.defined)
}

type Failure = (usize, String);

/// What ended a list of nodes.
enum Ended {
    Input,
    End(usize),
    /// The tokens after `else`.
    Else(usize, Vec<Spanned>),
}

struct Parser {
    pieces: std::vec::IntoIter<Piece>,
    end: usize,
    defined: BTreeMap<String, Vec<Node>>,
    loops: usize,
    depth: usize,
}

impl Parser {
    fn list(&mut self, scope: &mut Vec<String>) -> Result<(Vec<Node>, Ended), Failure> {
        if self.depth == MAX_DEPTH {
            return Err((self.end, "actions are nested too deeply".to_owned()));
        }
        self.depth += 1;
        let list = self.flat_list(scope);
        self.depth -= 1;
        list
    }

    fn flat_list(&mut self, scope: &mut Vec<String>) -> Result<(Vec<Node>, Ended), Failure> {
        let mut nodes = Vec::new();
        while let Some(piece) = self.pieces.next() {
            let (at, tokens) = match piece {
                Piece::Text(text) => {
                    nodes.push(Node::Text(text));
                    continue;
                }
                Piece::Action { at, tokens } => (at, tokens),
            };
            let keyword = match tokens.first() {
                Some(Spanned {
                    token: Token::Word(word),
                    ..
                }) => word.clone(),
                Some(_) => String::new(),
                None => return Err((at, "missing value for command".to_owned())),
            };
            match keyword.as_str() {
                "end" => return Ok((nodes, Ended::End(at))),
                "else" => return Ok((nodes, Ended::Else(at, tokens[1..].to_vec()))),
                "define" => self.define(at, &tokens)?,
                _ => nodes.push(self.action(&keyword, at, tokens, scope)?),
            }
        }
        Ok((nodes, Ended::Input))
    }

    fn action(
        &mut self,
        keyword: &str,
        at: usize,
        tokens: Vec<Spanned>,
        scope: &mut Vec<String>,
    ) -> Result<Node, Failure> {
        match keyword {
            "if" => Ok(Node::If(self.branch("if", &tokens[1..], at, scope)?)),
            "with" => Ok(Node::With(self.branch("with", &tokens[1..], at, scope)?)),
            "range" => {
                self.loops += 1;
                let branch = self.branch("range", &tokens[1..], at, scope);
                self.loops -= 1;
                Ok(Node::Range(branch?))
            }
            "break" | "continue" if self.loops == 0 => {
                Err((at, format!("{{{{{keyword}}}}} outside {{{{range}}}}")))
            }
            "break" => Ok(Node::Break),
            "continue" => Ok(Node::Continue),
            "template" | "block" => {
                let name = quoted_name(&tokens, keyword, at)?;
                let data = match tokens.get(2..) {
                    Some(rest) if !rest.is_empty() => Some(pipeline(rest, "template", at, scope)?),
                    _ => None,
                };
                if keyword == "block" {
                    let (body, _) = self.list(&mut vec!["$".to_owned()])?;
                    self.defined.entry(name.clone()).or_insert(body);
                }
                let at = tokens.get(1).map_or(at, |name| name.at);
                Ok(Node::Template { at, name, data })
            }
            _ => Ok(Node::Action(pipeline(&tokens, "command", at, scope)?)),
        }
    }

    fn define(&mut self, at: usize, tokens: &[Spanned]) -> Result<(), Failure> {
        let name = quoted_name(tokens, "define", at)?;
        match self.list(&mut vec!["$".to_owned()])? {
            (body, Ended::End(_)) => {
                self.defined.insert(name, body);
                Ok(())
            }
            (_, Ended::Else(at, _)) => Err((at, "unexpected {{else}} in define clause".to_owned())),
            (_, Ended::Input) => Err((self.end, "unexpected EOF".to_owned())),
        }
    }

    /// A branch in the `else` of another.
    fn nested(
        &mut self,
        kind: &str,
        tokens: &[Spanned],
        at: usize,
        scope: &mut Vec<String>,
    ) -> Result<Branch, Failure> {
        if self.depth == MAX_DEPTH {
            return Err((at, "actions are nested too deeply".to_owned()));
        }
        self.depth += 1;
        let branch = self.branch(kind, tokens, at, scope);
        self.depth -= 1;
        branch
    }

    fn branch(
        &mut self,
        kind: &str,
        tokens: &[Spanned],
        at: usize,
        scope: &mut Vec<String>,
    ) -> Result<Branch, Failure> {
        let depth = scope.len();
        let pipeline = pipeline(tokens, kind, at, scope)?;
        let (body, ended) = self.list(scope)?;
        let otherwise = match ended {
            Ended::Input => return Err((self.end, "unexpected EOF".to_owned())),
            Ended::End(_) => Vec::new(),
            Ended::Else(at, rest) => match rest.first().map(|first| &first.token) {
                // `{{else if x}}` is an `if` inside the `else` that shares its `end`.
                Some(Token::Word(word)) if word == "if" && kind == "if" => {
                    vec![Node::If(self.nested("if", &rest[1..], at, scope)?)]
                }
                Some(Token::Word(word)) if word == "with" && kind == "with" => {
                    vec![Node::With(self.nested("with", &rest[1..], at, scope)?)]
                }
                Some(_) => return Err((at, format!("unexpected <{}> in else", rest[0].source))),
                None => match self.list(scope)? {
                    (nodes, Ended::End(_)) => nodes,
                    (_, Ended::Else(at, _)) => {
                        return Err((at, "expected end; found {{else}}".to_owned()));
                    }
                    (_, Ended::Input) => return Err((self.end, "unexpected EOF".to_owned())),
                },
            },
        };
        scope.truncate(depth);
        Ok(Branch {
            pipeline,
            body,
            otherwise,
        })
    }
}

fn quoted_name(tokens: &[Spanned], context: &str, at: usize) -> Result<String, Failure> {
    match tokens.get(1).map(|token| &token.token) {
        Some(Token::Text(name)) => Ok(name.clone()),
        Some(_) => Err((
            at,
            format!("unexpected {:?} in {context} clause", tokens[1].source),
        )),
        None => Err((at, format!("unexpected \"}}}}\" in {context} clause"))),
    }
}

fn pipeline(
    tokens: &[Spanned],
    context: &str,
    at: usize,
    scope: &mut Vec<String>,
) -> Result<Pipeline, Failure> {
    let mut cursor = Cursor {
        tokens,
        next: 0,
        depth: 0,
        end: tokens.last().map_or(at, |t| t.at + t.source.len()),
    };
    let pipeline = cursor.pipeline(context, scope)?;
    match cursor.peek() {
        None => Ok(pipeline),
        Some(token) => Err((
            token.at,
            format!("unexpected {:?} in {context}", token.source),
        )),
    }
}

struct Cursor<'a> {
    tokens: &'a [Spanned],
    next: usize,
    depth: usize,
    end: usize,
}

impl<'a> Cursor<'a> {
    fn peek(&self) -> Option<&'a Spanned> {
        self.tokens.get(self.next)
    }

    fn pipeline(&mut self, context: &str, scope: &mut Vec<String>) -> Result<Pipeline, Failure> {
        let at = self.peek().map_or(self.end, |token| token.at);
        let (variables, assigns) = self.declaration(context, scope);
        let mut commands: Vec<Command> = Vec::new();
        loop {
            let command = self.command(scope)?;
            if let (Some(first), false) = (command.operands.first(), commands.is_empty())
                && is_constant(&first.kind)
            {
                let stage = commands.len() + 1;
                let message = format!("non executable command in pipeline stage {stage}");
                return Err((first.at, message));
            }
            commands.push(command);
            if self.peek().is_none_or(|token| token.token != Token::Pipe) {
                break;
            }
            self.next += 1;
        }
        if commands.iter().any(|command| command.operands.is_empty()) {
            return Err((at, format!("missing value for {context}")));
        }
        Ok(Pipeline {
            at,
            variables,
            assigns,
            commands,
        })
    }

    /// `$x :=`, `$x =` or, in `range`, `$i, $x :=`.
    fn declaration(&mut self, context: &str, scope: &mut Vec<String>) -> (Vec<String>, bool) {
        let mut ahead = self.next;
        let mut names = Vec::new();
        while let Some(Spanned {
            token: Token::Variable(name),
            ..
        }) = self.tokens.get(ahead)
        {
            names.push(name.clone());
            match self.tokens.get(ahead + 1).map(|next| &next.token) {
                Some(Token::Comma) if context == "range" && names.len() == 1 => ahead += 2,
                Some(end @ (Token::Declare | Token::Assign)) => {
                    self.next = ahead + 2;
                    if *end == Token::Declare {
                        scope.extend(names.iter().cloned());
                    }
                    return (names, *end == Token::Assign);
                }
                _ => break,
            }
        }
        (Vec::new(), false)
    }

    fn command(&mut self, scope: &mut Vec<String>) -> Result<Command, Failure> {
        let at = self.peek().map_or(self.end, |token| token.at);
        let mut operands = Vec::new();
        while let Some(token) = self.peek() {
            if matches!(token.token, Token::Pipe | Token::Close) {
                break;
            }
            if !operands.is_empty() && !token.spaced {
                return Err((
                    token.at,
                    format!("unexpected {:?} in operand", token.source),
                ));
            }
            operands.push(self.operand(scope)?);
        }
        let source = operands
            .iter()
            .map(|o: &Operand| o.source.as_str())
            .collect::<Vec<_>>()
            .join(" ");
        Ok(Command {
            at,
            source,
            operands,
        })
    }

    fn operand(&mut self, scope: &mut Vec<String>) -> Result<Operand, Failure> {
        let first = &self.tokens[self.next];
        self.next += 1;
        let mut kind =
            match &first.token {
                Token::Dot => OperandKind::Dot,
                Token::Field(name) => OperandKind::Field(vec![name.clone()]),
                Token::Text(text) => OperandKind::Text(text.clone()),
                Token::Char(c) => OperandKind::Int(i128::from(u32::from(*c))),
                Token::Number(text) => number(text)
                    .ok_or_else(|| (first.at, format!("bad number syntax: {text:?}")))?,
                Token::Variable(name) if scope.contains(name) => {
                    OperandKind::Variable(name.clone(), Vec::new())
                }
                Token::Variable(name) => {
                    return Err((first.at, format!("undefined variable {name:?}")));
                }
                Token::Word(word) => named(word)
                    .ok_or_else(|| (first.at, format!("function {word:?} not defined")))?,
                Token::Open => {
                    let depth = scope.len();
                    if self.depth == MAX_DEPTH {
                        return Err((first.at, "parentheses are nested too deeply".to_owned()));
                    }
                    self.depth += 1;
                    let inner = self.pipeline("parenthesized pipeline", scope)?;
                    self.depth -= 1;
                    scope.truncate(depth);
                    self.next += 1;
                    OperandKind::Pipeline(Box::new(inner), Vec::new())
                }
                _ => {
                    return Err((
                        first.at,
                        format!("unexpected {:?} in operand", first.source),
                    ));
                }
            };
        let mut at = first.at;
        while let Some(Spanned {
            token: Token::Field(name),
            at: field,
            spaced: false,
            ..
        }) = self.peek()
        {
            match &mut kind {
                OperandKind::Field(names)
                | OperandKind::Variable(_, names)
                | OperandKind::Pipeline(_, names) => {
                    // Go names a chain by the place of its second part.
                    if at == first.at {
                        at = *field;
                    }
                    names.push(name.clone());
                }
                _ => {
                    return Err((
                        first.at,
                        format!("unexpected . after term {:?}", first.source),
                    ));
                }
            }
            self.next += 1;
        }
        let source = self.source_of(first.at);
        Ok(Operand { at, source, kind })
    }

    /// The text of the tokens from the one at `at` to the last one read.
    fn source_of(&self, at: usize) -> String {
        let mut text = String::new();
        for token in self.tokens[..self.next]
            .iter()
            .filter(|token| token.at >= at)
        {
            if token.spaced && !text.is_empty() {
                text.push(' ');
            }
            text.push_str(&token.source);
        }
        text
    }
}

fn is_constant(kind: &OperandKind) -> bool {
    use OperandKind::{Bool, Dot, Float, Int, Nil, Text};
    matches!(kind, Bool(_) | Dot | Float(_) | Int(_) | Nil | Text(_))
}

fn named(word: &str) -> Option<OperandKind> {
    match word {
        "true" => Some(OperandKind::Bool(true)),
        "false" => Some(OperandKind::Bool(false)),
        "nil" => Some(OperandKind::Nil),
        _ if functions::exists(word) => Some(OperandKind::Function(word.to_owned())),
        _ => None,
    }
}

fn number(text: &str) -> Option<OperandKind> {
    let (negative, digits) = match text.strip_prefix('-') {
        Some(digits) => (true, digits),
        None => (false, text.strip_prefix('+').unwrap_or(text)),
    };
    let plain = digits.replace('_', "");
    let integer = match plain.get(..2) {
        Some("0x" | "0X") => i128::from_str_radix(&plain[2..], 16).ok(),
        Some("0o" | "0O") => i128::from_str_radix(&plain[2..], 8).ok(),
        Some("0b" | "0B") => i128::from_str_radix(&plain[2..], 2).ok(),
        _ => plain.parse().ok(),
    };
    let sign = if negative { -1 } else { 1 };
    match integer {
        Some(value) => Some(OperandKind::Int(value * sign)),
        None => {
            let value: f64 = plain.parse().ok()?;
            Some(OperandKind::Float(if negative { -value } else { value }))
        }
    }
}
