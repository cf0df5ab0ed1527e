//! `COPY` and `ADD`.

use dhow_dockerfile::{Add, Copy, Heredoc, Lexer, Source};
use dhow_oci::Digest;

use crate::graph::{CopyAction, FileAction, FileOp, HttpOp, ModeChange, Op, Vertex, VertexId};
use crate::plan::drawing::Drawing;
use crate::plan::git;
use crate::plan::path::{absolute, base};
use crate::plan::problem::Problem;
use crate::plan::state::{State, Step, Titles, owner, told};

/// What both instructions say, variables expanded.
struct Transfer {
    keyword: &'static str,
    paths: Vec<String>,
    inline: Vec<Heredoc>,
    destination: String,
    chown: Option<String>,
    chmod: Option<String>,
    checksum: Option<String>,
    exclude: Vec<String>,
    keep_git_dir: Option<bool>,
    unpack: Option<bool>,
    parents: bool,
    link: bool,
}

/// Where the files come from.
#[derive(Clone, Copy)]
pub(crate) struct From {
    /// The vertex.
    pub(crate) vertex: VertexId,
    /// Whether it is a tree, whose owners mean nothing.
    pub(crate) tree: bool,
}

/// Draws a `COPY`.
pub(crate) fn copy(
    copy: &Copy,
    from: From,
    step: &Step<'_>,
    state: &mut State,
    drawing: (&mut Drawing, &mut Titles),
) -> Result<(), Problem> {
    let expand = Words(step.lexer, state);
    let (paths, inline) = expand.sources(&copy.sources)?;
    let transfer = Transfer {
        keyword: "COPY",
        paths,
        inline,
        destination: expand.one(&copy.destination)?,
        chown: expand.option(copy.chown.as_deref())?,
        chmod: expand.option(copy.chmod.as_deref())?,
        checksum: None,
        exclude: expand.all(&copy.exclude)?,
        keep_git_dir: None,
        unpack: Some(false),
        parents: copy.parents,
        link: copy.link.unwrap_or(false),
    };
    transfer.draw(from, step, state, drawing)
}

/// Draws an `ADD`.
pub(crate) fn add(
    add: &Add,
    from: From,
    step: &Step<'_>,
    state: &mut State,
    drawing: (&mut Drawing, &mut Titles),
) -> Result<(), Problem> {
    let expand = Words(step.lexer, state);
    let (paths, inline) = expand.sources(&add.sources)?;
    let transfer = Transfer {
        keyword: "ADD",
        paths,
        inline,
        destination: expand.one(&add.destination)?,
        chown: expand.option(add.chown.as_deref())?,
        chmod: expand.option(add.chmod.as_deref())?,
        checksum: expand.option(add.checksum.as_deref())?,
        exclude: expand.all(&add.exclude)?,
        keep_git_dir: add.keep_git_dir,
        unpack: add.unpack,
        parents: false,
        link: add.link.unwrap_or(false),
    };
    transfer.draw(from, step, state, drawing)
}

/// Expands the words of an instruction.
struct Words<'a>(Lexer, &'a State);

impl Words<'_> {
    fn one(&self, text: &str) -> Result<String, Problem> {
        Ok(self.0.word(text, &self.1.environment)?.text)
    }

    fn option(&self, text: Option<&str>) -> Result<Option<String>, Problem> {
        text.map(|text| self.one(text)).transpose()
    }

    fn all(&self, texts: &[String]) -> Result<Vec<String>, Problem> {
        texts.iter().map(|text| self.one(text)).collect()
    }

    /// Paths, and files that stand in the Dockerfile.
    fn sources(&self, sources: &[Source]) -> Result<(Vec<String>, Vec<Heredoc>), Problem> {
        let (mut paths, mut inline) = (Vec::new(), Vec::new());
        for source in sources {
            match source {
                Source::Path(path) => paths.push(self.one(path)?),
                Source::Inline(doc) => {
                    let mut doc = doc.clone();
                    doc.content = doc.text();
                    if doc.expand {
                        let lexer = Lexer::new('\\').ignoring_quotes();
                        doc.content = lexer.word(&doc.content, &self.1.environment)?.text;
                    }
                    inline.push(doc);
                }
            }
        }
        Ok((paths, inline))
    }
}

impl Transfer {
    fn draw(
        self,
        from: From,
        step: &Step<'_>,
        state: &mut State,
        (drawing, titles): (&mut Drawing, &mut Titles),
    ) -> Result<(), Problem> {
        let mode = self.mode()?;
        self.check_checksum()?;
        let text = told(step.original, &state.environment, &step.lexer);
        let title = titles.next(&text);
        let below = match self.link {
            true => drawing.scratch(&state.platform),
            false => state.root,
        };
        let mut drawn = Drawn {
            transfer: &self,
            vertex: Vertex {
                op: Op::Scratch,
                inputs: vec![below],
                name: title,
                platform: state.platform.clone(),
                no_cache: step.no_cache,
                lines: Some(step.lines),
            },
            destination: self.destination(state),
            mode,
            epoch: state.epoch,
            actions: Vec::new(),
        };
        for path in &self.paths {
            drawn.path(path, from, drawing)?;
        }
        for doc in &self.inline {
            drawn.inline(doc);
        }
        let mut vertex = drawn.vertex;
        vertex.op = Op::File(FileOp {
            actions: drawn.actions,
        });
        let made = drawing.add(vertex.clone());
        state.root = match self.link {
            true => drawing.add(Vertex {
                op: Op::Stack,
                inputs: vec![state.root, made],
                name: String::new(),
                ..vertex
            }),
            false => made,
        };
        state.note(format!("{} # buildkit", self.noted()), true);
        Ok(())
    }

    /// What the history says.
    fn noted(&self) -> String {
        let mut words = vec![self.keyword.to_owned()];
        words.extend(self.parents.then(|| "--parents".to_owned()));
        words.extend(self.chown.as_ref().map(|value| format!("--chown={value}")));
        words.extend(self.chmod.as_ref().map(|value| format!("--chmod={value}")));
        words.extend(self.paths.iter().cloned());
        words.extend(self.inline.iter().map(|doc| format!("<<{}", doc.name)));
        words.push(self.destination.clone());
        words.join(" ")
    }

    /// Absolute, with a slash at the end where it is a directory in any case.
    fn destination(&self, state: &State) -> String {
        let mut path = absolute(state.directory(), &self.destination);
        let directory = matches!(self.destination.as_str(), "" | ".")
            || self.destination.ends_with('/')
            || self.paths.len() + self.inline.len() > 1;
        if directory && !path.ends_with('/') {
            path.push('/');
        }
        path
    }

    fn mode(&self) -> Result<Option<ModeChange>, Problem> {
        let Some(text) = self.chmod.as_deref().filter(|text| !text.is_empty()) else {
            return Ok(None);
        };
        let wrong = || {
            Problem::new(format!(
                "invalid chmod parameter: '{text}'. it should be octal string and between 0 and 07777"
            ))
        };
        match u32::from_str_radix(text, 8) {
            Ok(mode) if mode <= 0o7777 => Ok(Some(ModeChange::Octal(mode))),
            Ok(_) => Err(wrong()),
            Err(_) if is_symbolic(text) => Ok(Some(ModeChange::Symbolic(text.to_owned()))),
            Err(_) => Err(wrong()),
        }
    }

    fn check_checksum(&self) -> Result<(), Problem> {
        if self.checksum.is_none() {
            return Ok(());
        }
        let [path] = self.paths.as_slice() else {
            return Err("checksum can't be specified for multiple sources".into());
        };
        match is_http(path) || git::parse(path)?.is_some() {
            true => Ok(()),
            false => Err("checksum requires HTTP(S) or Git sources".into()),
        }
    }
}

/// Whether a text is a change of permissions as `chmod` takes it: `u=rwX,go-w`.
fn is_symbolic(text: &str) -> bool {
    text.split(',').all(|part| {
        let rest = part.trim_start_matches(['u', 'g', 'o', 'a']);
        let mut letters = rest.chars();
        matches!(letters.next(), Some('+' | '-' | '='))
            && letters.all(|c| "rwxXstugo+-=".contains(c))
    })
}

fn is_http(text: &str) -> bool {
    text.starts_with("http://") || text.starts_with("https://")
}

/// A transfer's vertex while it is made.
struct Drawn<'a> {
    transfer: &'a Transfer,
    vertex: Vertex,
    destination: String,
    mode: Option<ModeChange>,
    epoch: Option<i64>,
    actions: Vec<FileAction>,
}

impl Drawn<'_> {
    /// The position of an input.
    fn input(&mut self, vertex: VertexId) -> usize {
        // The root that is put into may be the one that is copied from.
        let found = self.vertex.inputs.iter().position(|id| *id == vertex);
        found.unwrap_or_else(|| {
            self.vertex.inputs.push(vertex);
            self.vertex.inputs.len() - 1
        })
    }

    fn copied(&mut self, from: From, source: String, unpack: bool) {
        let input = self.input(from.vertex);
        let transfer = self.transfer;
        self.actions.push(FileAction::Copy(CopyAction {
            input,
            sources: vec![source],
            destination: self.destination.clone(),
            owner: transfer.chown.as_deref().and_then(owner),
            mode: self.mode.clone(),
            parents: transfer.parents,
            exclude: transfer.exclude.clone(),
            unpack,
            foreign_owners: from.tree,
            epoch: self.epoch,
        }));
    }

    fn path(&mut self, path: &str, from: From, drawing: &mut Drawing) -> Result<(), Problem> {
        let is_add = self.transfer.keyword == "ADD";
        if let Some(op) = git::parse(path)? {
            if !is_add {
                return Err("source can't be a git ref for COPY".into());
            }
            return self.git(op, drawing);
        }
        if is_http(path) {
            if !is_add {
                return Err("source can't be a URL for COPY".into());
            }
            return self.http(path, drawing);
        }
        // Where the kept parents begin is marked by a dot, which must not be cleaned away.
        let source = match path.split_once("/./") {
            Some((before, after)) if self.transfer.parents => {
                let after = absolute("/", after);
                format!("{}/.{after}", absolute("/", before).trim_end_matches('/'))
            }
            _ => absolute("/", path),
        };
        drawing.uses(from.vertex, &absolute("/", path));
        self.copied(from, source, self.transfer.unpack.unwrap_or(is_add));
        Ok(())
    }

    fn git(&mut self, mut op: crate::graph::GitOp, drawing: &mut Drawing) -> Result<(), Problem> {
        if let Some(keep) = self.transfer.keep_git_dir {
            op.keep_git_dir = keep;
        }
        if let Some(checksum) = &self.transfer.checksum {
            if op.checksum.as_ref().is_some_and(|other| other != checksum) {
                return Err(format!(
                    "checksum mismatch {checksum:?} != {:?}",
                    op.checksum.unwrap_or_default()
                )
                .into());
            }
            op.checksum = Some(checksum.clone());
        }
        let vertex = self.source(Op::Git(op), drawing);
        self.copied(From { vertex, tree: true }, "/".into(), false);
        Ok(())
    }

    fn http(&mut self, url: &str, drawing: &mut Drawing) -> Result<(), Problem> {
        let checksum = match &self.transfer.checksum {
            Some(text) => Some(text.parse::<Digest>().map_err(|e| e.to_string())?),
            None => None,
        };
        let path = url.split(['?', '#']).next().unwrap_or(url);
        let path = path.splitn(4, '/').nth(3).unwrap_or_default();
        let name = match base(path) {
            "" | "." => "__unnamed__",
            name => name,
        };
        let op = Op::Http(HttpOp {
            url: url.to_owned(),
            checksum,
            file_name: Some(name.to_owned()),
        });
        let vertex = self.source(op, drawing);
        let unpack = self.transfer.unpack.unwrap_or(false);
        self.copied(From { vertex, tree: true }, format!("/{name}"), unpack);
        Ok(())
    }

    fn source(&self, op: Op, drawing: &mut Drawing) -> VertexId {
        drawing.add(Vertex {
            op,
            inputs: Vec::new(),
            ..self.vertex.clone()
        })
    }

    fn inline(&mut self, doc: &Heredoc) {
        let path = match self.destination.strip_suffix('/') {
            Some(directory) => format!("{directory}/{}", base(&doc.name)),
            None => self.destination.clone(),
        };
        let mode = match self.mode {
            Some(ModeChange::Octal(mode)) => mode,
            _ => 0o644,
        };
        self.actions.push(FileAction::Make {
            path,
            content: doc.content.clone().into_bytes(),
            mode,
            owner: self.transfer.chown.as_deref().and_then(owner),
            epoch: self.epoch,
        });
    }
}
